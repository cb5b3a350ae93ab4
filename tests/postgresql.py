"""A PostgreSQL of Debian's, started for one test run on a socket of its own; nothing in it is worth an fsync."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp


def programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs, newest version first, or None when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def server(max_connections: int = 200) -> Iterator[str]:
    """Start a server and yield the URL of an empty database; stop it and remove its files at the end."""
    binaries = programs()
    if binaries is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(mkdtemp(prefix="partage-pg-", dir="/tmp"))  # a short path: socket names have a limit of 107 bytes
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # the server refuses to run as root
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    run = {"user": user if os.geteuid() == 0 else None, "cwd": folder, "stdout": subprocess.DEVNULL}
    data = folder / "data"
    create = [binaries / "initdb", "-D", data, "-U", "partage", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(create, check=True, **run)
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections={max_connections}"
    control = [binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, **run)
    try:
        yield f"postgresql+psycopg://partage@/postgres?host={folder}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **run)
        shutil.rmtree(folder, ignore_errors=True)
