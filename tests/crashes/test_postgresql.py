"""PostgreSQL dies under a running service and comes back: problems meanwhile, nothing acknowledged lost, nobody needed to help."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy

from partage import problems
from partage.main import housekeeping
from partage.model.ids import ImageID
from partage.model.image import ImageStatus
from partage.model.patch import Change, Operation
from partage.operations import images, recovery, verify
from partage.operations.service import Service
from partage.operations.silence import Listener
from partage.records import schema
from tests import postgresql, uploading
from tests.crashes import worlds
from tests.crashes.worlds import OWNER, blocks, create, fetch, id_of, noise, send
from tests.services import change_service

RECOVERY_SECONDS = 10
PATIENCE_SECONDS = 60
DEATHS = 4


@dataclass
class Server:
    """A PostgreSQL that a test may stop, start, and kill parts of."""

    url: str

    @property
    def folder(self) -> Path:
        return Path(self.url.rpartition("host=")[2])

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("-l", str(self.folder / "log"), "-o", options, "start")

    def kill_a_backend(self) -> None:
        """kill -9 one process that serves a connection: the server then restarts itself as after a crash."""
        engine = sqlalchemy.create_engine(self.url)
        with _connected(engine) as connection:
            found = (
                connection.exec_driver_sql(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY pid = pg_backend_pid(), pid",
                )
                .scalars()
                .all()
            )
        engine.dispose()
        os.kill(found[0], signal.SIGKILL)

    def _control(self, *arguments: str) -> None:
        binaries = postgresql.programs()
        assert binaries
        command = [str(binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-w", *arguments]
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(command, user=user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)


def _connected(engine: sqlalchemy.Engine) -> sqlalchemy.Connection:
    """Connect once the server lets anybody in: after a death it recovers first, and refuses until it has."""
    end = time.monotonic() + 30
    while True:
        try:
            return engine.connect()
        except sqlalchemy.exc.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.fixture
def server() -> Iterator[Server]:
    with postgresql.server() as url:
        yield Server(url)


@pytest.fixture
def service(server: Server, tmp_path: Path) -> Iterator[Service]:
    made = worlds.compose(tmp_path, url=server.url)
    schema.upgrade(made.database)
    yield made
    made.database.close()


def answers(service: Service) -> float:
    """Wait until the service answers again; return how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < RECOVERY_SECONDS:
        try:
            recovery.recover(service)
        except problems.DatabaseUnavailable:
            threading.Event().wait(0.02)
        else:
            return time.monotonic() - began
    raise AssertionError("the service did not recover by itself")


def test_database_restart_during_an_upload_queues_the_image_again(service: Service, server: Server) -> None:
    data = noise(1, 1)
    create(service, "new")
    send(service, create(service, "kept"), data)

    def stopping() -> Iterator[bytes]:
        yield from blocks(data)
        server.stop()

    with pytest.raises(problems.DatabaseUnavailable):
        uploading.upload(service, OWNER, id_of("new"), stopping(), announced_bytes=None, store_id=None)
    with pytest.raises(problems.DatabaseUnavailable):
        fetch(service, id_of("kept"))
    with pytest.raises(problems.DatabaseUnavailable):
        create(service, "newer")
    server.start()
    assert answers(service) < RECOVERY_SECONDS
    assert images.show_image(service, OWNER, id_of("new")).status is ImageStatus.QUEUED
    send(service, id_of("new"), data)
    assert fetch(service, id_of("new")) == fetch(service, id_of("kept")) == data


@dataclass
class Writer:
    """Writes as long as it is told to, and remembers what was acknowledged."""

    service: Service
    name: str
    created: list[ImageID] = field(default_factory=list)
    uploaded: dict[ImageID, int] = field(default_factory=dict)
    changed: list[tuple[ImageID, str]] = field(default_factory=list)
    unexpected: list[BaseException] = field(default_factory=list)
    refused: int = 0
    turns: int = 0

    def write_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.turns += 1
            try:
                self._write(self.turns)
            except problems.DatabaseUnavailable:
                self.refused += 1
            except BaseException as unexpected:  # noqa: BLE001 -- whatever it is, the test shows it
                self.unexpected.append(unexpected)

    def _write(self, turn: int) -> None:
        image_id = create(self.service, f"{self.name} {turn}")
        self.created.append(image_id)
        images.update_image(self.service, OWNER, image_id, (Change(Operation.ADD, ("turn",), "set"),))
        self.changed.append((image_id, "turn"))
        send(self.service, image_id, noise(turn % 3, 0.1))
        self.uploaded[image_id] = turn % 3


def everybody_gets_on(writers: list[Writer]) -> None:
    """Wait until every writer has begun a few more turns."""
    turns = [writer.turns for writer in writers]
    give_up = time.monotonic() + PATIENCE_SECONDS
    while any(writer.turns < before + 3 for writer, before in zip(writers, turns, strict=True)):
        assert time.monotonic() < give_up, "a writer stands still"
        threading.Event().wait(0.01)


def test_killed_backends_lose_nothing_that_was_acknowledged(service: Service, server: Server) -> None:
    stop = threading.Event()
    writers = [Writer(service, f"w{number}") for number in range(3)]
    threads = [threading.Thread(target=writer.write_until, args=(stop,)) for writer in writers]
    for thread in threads:
        thread.start()
    for _ in range(DEATHS):
        everybody_gets_on(writers)
        server.kill_a_backend()
        answers(service)
    stop.set()
    for thread in threads:
        thread.join()
    answers(service)
    recovery.recover(service)
    assert [writer.unexpected for writer in writers] == [[]] * len(writers)
    assert sum(writer.refused for writer in writers) > 0
    for writer in writers:
        for image_id in writer.created:
            assert images.show_image(service, OWNER, image_id).status is not ImageStatus.SAVING
        for image_id, name in writer.changed:
            assert name in images.show_image(service, OWNER, image_id).properties
        for image_id, seed in writer.uploaded.items():
            assert fetch(service, image_id) == noise(seed, 0.1)
    assert not [verdict for verdict in verify.verify(service) if verdict.fault]


INTERVAL_SECONDS, SILENCE_SECONDS, AWAY_SECONDS = 0.1, 1.5, 4.0


def host(folder: Path, url: str, name: str) -> Service:
    """Make a host that knows of others what the database says, and has little patience."""
    made = worlds.compose(folder, url=url)
    listener = Listener(silence_seconds=SILENCE_SECONDS, look_seconds=3 * INTERVAL_SECONDS)
    return change_service(made, worker=name, worker_lives=lambda worker: True if worker == name else None, listener=listener)


def test_uploads_of_two_hosts_outlive_a_server_that_is_away_for_long(service: Service, server: Server, tmp_path: Path) -> None:
    hosts = [host(tmp_path, server.url, name) for name in ("one", "other")]
    data = noise(1, 0.2)
    images_of = {f"{each.process.worker} {number}": each for each in hosts for number in range(3)}
    for name in images_of:
        create(service, name)
    begun, goes_on = threading.Barrier(len(images_of) + 1), threading.Event()

    def waiting() -> Iterator[bytes]:
        yield data
        begun.wait(PATIENCE_SECONDS)
        goes_on.wait(PATIENCE_SECONDS)
        yield data

    def upload(name: str) -> None:
        uploading.upload(images_of[name], OWNER, id_of(name), waiting(), announced_bytes=None, store_id=None)

    runners = [housekeeping.start(each, interval_seconds=INTERVAL_SECONDS) for each in hosts]
    with ThreadPoolExecutor(len(images_of)) as pool:
        uploads = [pool.submit(upload, name) for name in images_of]
        try:
            begun.wait(PATIENCE_SECONDS)
            server.stop()
            time.sleep(AWAY_SECONDS)
            server.start()
            answers(service)
            time.sleep(2 * SILENCE_SECONDS)  # whoever was taken for dead is given up by now
        finally:
            goes_on.set()
        for each in uploads:
            each.result()
    for runner in runners:
        runner.stop()
    for name in images_of:
        assert fetch(service, id_of(name)) == data + data
    for each in hosts:
        each.database.close()
