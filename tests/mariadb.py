"""A MariaDB of Debian's, or a Galera cluster, started for one test run on sockets of its own; nothing in it is worth an fsync."""

import itertools
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy

from partage.main.process.listening import find_free_port

_SECONDS = 60
_numbers = itertools.count()
_OPTIONS = (
    "--no-defaults",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--skip-innodb-doublewrite",
    "--performance-schema=OFF",
)


def find_program(name: str) -> str | None:
    """Return the path of one of MariaDB's programs, or None when it is not installed."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")


def _find_user() -> str:
    """Return the name of the user that runs the server: its package's own, or one that every system has."""
    try:
        return pwd.getpwnam("mysql").pw_name
    except KeyError:
        return "nobody"


@contextmanager
def server(max_connections: int = 200) -> Iterator[str]:
    """Start a server and yield the URL of an empty database; stop it and remove its files at the end."""
    with make_folder() as folder, start(folder, "--skip-networking", f"--max-connections={max_connections}") as socket:
        ask(socket, "CREATE DATABASE partage")
        yield url_of(socket)


@contextmanager
def cluster() -> Iterator[tuple[str, str]]:
    """Start two nodes of a Galera cluster on free ports, and yield the URL of an empty database at each of them."""
    library = next(Path("/usr/lib/galera").glob("libgalera_smm.so"))
    ports = [[find_free_port() for _ in range(4)] for _ in range(2)]
    with ExitStack() as stack:
        sockets: list[Path] = []
        for number, (group, state, copy, clients) in enumerate(ports):
            members = f"127.0.0.1:{ports[0][0]}" if number else ""
            options = (
                "--binlog-format=ROW",
                "--innodb-autoinc-lock-mode=2",
                "--bind-address=127.0.0.1",
                f"--port={clients}",
                "--wsrep-on=ON",
                f"--wsrep-provider={library}",
                f"--wsrep-cluster-address=gcomm://{members}",
                f"--wsrep-node-address=127.0.0.1:{group}",
                "--wsrep-sst-method=rsync",
                f"--wsrep-sst-receive-address=127.0.0.1:{copy}",
                f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{state}",
            )
            socket = stack.enter_context(start(stack.enter_context(make_folder()), *options))
            if not sockets:
                ask(socket, "CREATE DATABASE partage")
            sockets.append(socket)
        yield url_of(sockets[0]), url_of(sockets[1])


@contextmanager
def make_folder() -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="partage-my-", dir="/tmp"))  # a short path: socket names have a limit of 107 bytes
    if os.geteuid() == 0:
        shutil.chown(folder, _find_user())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def start(folder: Path, *options: str) -> Iterator[Path]:
    """Start a server whose files are in `folder`, anew or again; yield its socket once it answers, and kill it at the end."""
    program, install = find_program("mariadbd"), find_program("mariadb-install-db")
    if program is None or install is None:
        raise RuntimeError("MariaDB is not installed: apt-get install mariadb-server")
    user = _find_user() if os.geteuid() == 0 else None  # the server refuses to run as root
    run: dict[str, Any] = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data, socket = folder / "data", folder / "socket"
    # No password: nobody but the user of the server, and root, reaches the socket.
    made = [f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    if not data.exists():
        subprocess.run([install, "--no-defaults", *made], check=True, **run)
    places = [f"--datadir={data}", f"--socket={socket}", f"--log-error={folder}/log"]
    with subprocess.Popen([program, *_OPTIONS, *places, *options], **run) as running:
        try:
            _wait(running, socket, folder / "log")
            yield socket
        finally:
            running.kill()


def url_of(socket: Path) -> str:
    return f"mariadb+pymysql://root@localhost/partage?unix_socket={socket}"


def add_database(url: str) -> str:
    """Create one more database on the server of `url`; return its URL."""
    name = f"partage_{next(_numbers)}"
    parsed = sqlalchemy.make_url(url)
    ask(Path(str(parsed.query["unix_socket"])), f"CREATE DATABASE {name}")
    return parsed.set(database=name).render_as_string(hide_password=False)


def copy_database(url: str, name: str, *, to: str) -> None:
    """Replace a database of the server of `url` with a copy of another one."""
    socket = Path(str(sqlalchemy.make_url(url).query["unix_socket"]))
    ask(socket, f"DROP DATABASE IF EXISTS {to}; CREATE DATABASE {to}")
    options = ["--no-defaults", f"--socket={socket}", "--user=root"]
    dumped = subprocess.run(
        [find_program("mariadb-dump") or "mariadb-dump", *options, "--single-transaction", name], check=True, stdout=subprocess.PIPE
    )
    subprocess.run([find_program("mariadb") or "mariadb", *options, to], check=True, input=dumped.stdout)


def ask(socket: Path, statement: str) -> None:
    """Execute a statement as the administrator of a server."""
    client = find_program("mariadb")
    subprocess.run([client or "mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "-e", statement], check=True)


def _wait(running: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Wait until the server executes statements: a node of a cluster does not until it has a copy of the data."""
    ends_at = time.monotonic() + _SECONDS
    client = [find_program("mariadb") or "mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "-e", "SHOW DATABASES"]
    while not socket.exists() or subprocess.run(client, check=False, capture_output=True).returncode:
        if running.poll() is not None or time.monotonic() > ends_at:
            raise RuntimeError(f"MariaDB did not start: {log.read_text()[-2000:] if log.exists() else 'no log'}")
        time.sleep(0.05)
