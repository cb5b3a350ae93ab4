"""A running `partage serve` beside the tests' Keystone, for what happens to processes, connections and signals."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from partage.main.process import listening
from tests import standalone
from tests.standalone import PARTAGE, RunningKeystone

ESTABLISHED = "01"


@dataclass
class Serving:
    """One `partage serve` of its own."""

    process: subprocess.Popen[str]
    port: int
    log_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def connections_of(self, worker: int) -> int:
        """Count the connections that a worker has with clients."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = {line[9] for line in lines if line[1].endswith(f":{self.port:04X}") and line[3] == ESTABLISHED}
        found = 0
        for each in Path(f"/proc/{worker}/fd").iterdir():
            try:
                name = str(each.readlink())
            except OSError:
                continue
            found += name.removeprefix("socket:[").removesuffix("]") in ours
        return found


def settings_at(keystone: RunningKeystone, data: Path, port: int) -> dict[str, str]:
    return {
        "PARTAGE_DATA": str(data),
        "PARTAGE_PORT": str(port),
        "PARTAGE_IDENTITY__URL": keystone.url,
        "PARTAGE_IDENTITY__PASSWORD": keystone.kept.passwords["partage"],
        # Without maintenance and its cache every child serves requests; test_maintenance_processes.py has both.
        "PARTAGE_MAINTENANCE__ENABLED": "false",
        "PARTAGE_CACHE__ENABLED": "false",
    }


@contextmanager
def serving(
    keystone: RunningKeystone, data: Path, *arguments: str, name: str = "serve", port: int | None = None, **environment: str
) -> Iterator[Serving]:
    """Run `partage serve` on a directory until the block ends; `name` tells several of one directory apart."""
    port = port or listening.find_free_port()
    settings = {**os.environ, **settings_at(keystone, data, port), **standalone.NO_DRAIN, **environment}
    if not (data / "partage.db").exists():
        subprocess.run([PARTAGE, "manage", "upgrade-database"], env=settings, check=True, capture_output=True)
    log = data / f"{name}.log"
    with log.open("w") as out:
        command = [str(PARTAGE), "serve", *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, text=True, env=settings)
    live = Serving(process, port, log)
    try:
        standalone.wait_for(lambda: standalone.answers(f"{live.url}/versions") == 200 or process.poll() is not None, seconds=180)
        if process.poll() is not None:
            raise RuntimeError(f"partage serve ended: {live.log}")
        yield live
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
