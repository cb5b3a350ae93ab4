"""A RabbitMQ of Debian's, started for one test run on ports and in a folder of its own; it can be stopped and started again."""

import gc
import os
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import pytest

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 120
MARKS = [pytest.mark.slow, pytest.mark.skipif(not SERVER.exists(), reason="apt-get install rabbitmq-server")]
"""Marks of modules that need a broker."""


@dataclass
class Broker:
    """One RabbitMQ."""

    folder: Path
    port: int
    mapper_port: int
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is, for oslo.messaging."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        environment = {**os.environ, **self._environment()}
        with (self.folder / "output").open("ab") as output:
            self._run(["epmd", "-port", str(self.mapper_port), "-address", "127.0.0.1"], environment, output)
            self._run([str(SERVER)], environment, output)
        end = time.monotonic() + START_SECONDS
        while not self._greets():
            if time.monotonic() > end or self._running[-1].poll() is not None:
                raise RuntimeError((self.folder / "output").read_text())
            time.sleep(0.2)

    def stop(self) -> None:
        """Kill it, as a machine that loses power does."""
        for process in reversed(self._running):
            os.killpg(process.pid, 9)
            process.wait()
        self._running.clear()

    def _run(self, command: list[str], environment: dict[str, str], output: object) -> None:
        started = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)  # type: ignore[call-overload]
        self._running.append(started)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        configuration = self.folder / "rabbitmq.conf"
        configuration.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        plugins = self.folder / "plugins"
        plugins.write_text("[].\n")
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"partage{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


@contextmanager
def broker() -> Iterator[Broker]:
    """Start a broker; kill it and remove its files at the end.

    oslo.messaging leaves connections of a killed broker to the garbage collector, which warns of them: it runs here, silenced.
    """
    folder = Path(mkdtemp(prefix="partage-rabbitmq-"))
    made = Broker(folder, port=_free_port(), mapper_port=_free_port())
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
