"""Two hosts and one database: the database goes away and comes back, and nobody gives up what the other one is at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.ids import ImageID
from partage.model.image import ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.task import TaskStatus
from partage.operations import images, recovery, tasks, uploads
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.imports.steps import Run
from partage.operations.service import Service
from partage.operations.silence import SILENCE_SECONDS, Listener
from partage.records.database import Database, Transaction
from tests import uploading
from tests.operations.services import OWNER, Clock, download, make, queued_image
from tests.services import change_service

HEARTBEAT_SECONDS = 5
DATA = b"data of an upload that waits for its client" * 1000


@dataclass
class AwayDatabase:
    """A database that can be away, or give answers and take nothing."""

    database: Database
    state: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        if self.state["is"] == "away":
            raise problems.DatabaseUnavailable("away")
        with self.database.read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        if self.state["is"] != "there":
            raise problems.DatabaseUnavailable("away, or locked")
        with self.database.write() as tx:
            yield tx


@dataclass
class Hosts:
    """Two hosts whose housekeeping is done at times that a test chooses."""

    here: Service
    elsewhere: Service
    state: dict[str, str]
    seconds: list[float]
    dead: set[str] = field(default_factory=set)

    def wait(self, seconds: float, *, first: str = "here") -> None:
        """Let both hosts do their housekeeping every few seconds; `first` does it before the other one."""
        order = [self.here, self.elsewhere] if first == "here" else [self.elsewhere, self.here]
        for _ in range(round(seconds / HEARTBEAT_SECONDS)):
            self.seconds[0] += HEARTBEAT_SECONDS
            for host in order:
                if host.process.worker not in self.dead:
                    for act in (recovery.recover, import_runs.recover, recovery.renew, import_runs.renew):
                        attempt(act, host)


def attempt(act: Callable[[Service], object], host: Service) -> None:
    try:
        act(host)
    except problems.DatabaseUnavailable:
        return


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    state, seconds = {"is": "there"}, [0.0]
    made = make(tmp_path)
    database: Any = AwayDatabase(made.database, state)
    start = Clock().now

    def host(name: str, *, ahead_seconds: float) -> Service:
        clock = Clock()

        def now() -> Any:
            clock.now = start
            clock.passes(seconds=seconds[0] + ahead_seconds)
            return clock.now

        return change_service(
            made,
            database=database,
            worker=name,
            worker_lives=lambda worker: True if worker == name else None,
            clock=now,
            listener=Listener(monotonic=lambda: seconds[0] + ahead_seconds),
            running_uploads=set(),
            running_tasks={},
        )

    return Hosts(host("here", ahead_seconds=0), host("elsewhere", ahead_seconds=5000), state, seconds)


def upload_around(host: Service, image_id: ImageID, between: Callable[[], None]) -> Callable[[], None]:
    """Make an upload whose client sends one block, lets something happen, and sends the other block."""

    def blocks() -> Iterator[bytes]:
        yield DATA
        between()
        yield DATA

    return lambda: uploading.upload(host, OWNER, image_id, blocks(), announced_bytes=2 * len(DATA), store_id=None)


@pytest.mark.parametrize("first", ["here", "elsewhere"])
@pytest.mark.parametrize("away_seconds", [70, 300])
@pytest.mark.parametrize("how", ["away", "locked"])
def test_no_upload_is_given_up_when_the_database_comes_back(hosts: Hosts, how: str, away_seconds: int, first: str) -> None:
    begun = [(host, queued_image(host).id) for host in (hosts.here, hosts.elsewhere) for _ in range(3)]

    def outage() -> None:
        hosts.wait(30, first="elsewhere" if first == "here" else "here")
        hosts.state["is"] = how
        hosts.wait(away_seconds, first=first)
        hosts.state["is"] = "there"
        hosts.wait(2 * HEARTBEAT_SECONDS, first=first)

    act: Callable[[], None] = outage
    for host, image_id in begun:
        act = upload_around(host, image_id, act)  # all are under way at the same time, each within the next
    act()
    for _, image_id in begun:
        assert download(hosts.here, image_id) == 2 * DATA


DIRECT = ImportRequest(method=ImportMethod.GLANCE_DIRECT)


def claimed_import(host: Service) -> tuple[ImageID, Run]:
    image = queued_image(host)
    uploading.stage(host, OWNER, image.id, iter([DATA]), announced_bytes=None)
    import_requests.request_import(host, OWNER, image.id, DIRECT, request_id="req-1")
    work = import_runs.claim(host)
    assert work is not None
    return image.id, work


@pytest.mark.parametrize("first", ["here", "elsewhere"])
@pytest.mark.parametrize("away_seconds", [70, 300])
@pytest.mark.parametrize("how", ["away", "locked"])
def test_no_import_is_given_up_when_the_database_comes_back(hosts: Hosts, how: str, away_seconds: int, first: str) -> None:
    begun = [(host, *claimed_import(host)) for host in (hosts.here, hosts.elsewhere) for _ in range(3)]
    hosts.wait(30, first="elsewhere" if first == "here" else "here")
    hosts.state["is"] = how
    hosts.wait(away_seconds, first=first)
    hosts.state["is"] = "there"
    hosts.wait(2 * HEARTBEAT_SECONDS, first=first)
    for host, image_id, work in begun:
        import_runs.run(host, work)
        assert download(host, image_id) == DATA


def test_work_of_a_dead_host_is_recovered_after_its_timeout(hosts: Hosts) -> None:
    image = queued_image(hosts.elsewhere)
    uploads._begin(hosts.elsewhere, OWNER, image.id, None)  # noqa: SLF001 -- as far as a host gets that dies while bytes arrive
    imported, _ = claimed_import(hosts.elsewhere)
    hosts.wait(30)
    hosts.dead.add("elsewhere")
    hosts.wait(SILENCE_SECONDS - 2 * HEARTBEAT_SECONDS)
    assert images.show_image(hosts.here, OWNER, image.id).status is ImageStatus.SAVING
    hosts.wait(4 * HEARTBEAT_SECONDS)
    assert images.show_image(hosts.here, OWNER, image.id).status is ImageStatus.QUEUED
    assert tasks.list_image_tasks(hosts.here, OWNER, imported)[0].status is TaskStatus.PENDING


def test_a_dead_host_is_noticed_after_an_outage_too(hosts: Hosts) -> None:
    image = queued_image(hosts.elsewhere)
    uploads._begin(hosts.elsewhere, OWNER, image.id, None)  # noqa: SLF001
    hosts.state["is"] = "away"
    hosts.dead.add("elsewhere")
    hosts.wait(300)
    hosts.state["is"] = "there"
    hosts.wait(SILENCE_SECONDS + 2 * HEARTBEAT_SECONDS)
    assert images.show_image(hosts.here, OWNER, image.id).status is ImageStatus.QUEUED


def test_an_import_interrupted_by_outages_is_not_given_up(hosts: Hosts) -> None:
    """Its worker lives, so that no number of interruptions means that the task kills workers."""
    image_id, work = claimed_import(hosts.here)
    for _ in range(import_runs.MOST_ATTEMPTS + 1):
        hosts.state["is"] = "away"
        with pytest.raises(problems.DatabaseUnavailable):
            import_runs.run(hosts.here, work)
        hosts.state["is"] = "there"
        assert import_runs.recover(hosts.here) == 1
        again = import_runs.claim(hosts.here)
        assert again is not None
        work = again
    import_runs.run(hosts.here, work)
    assert download(hosts.here, image_id) == DATA
