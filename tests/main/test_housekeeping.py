"""The loops of a worker in their real threads: what fails in one step is tried again, and the heartbeat goes on meanwhile."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partage.main import housekeeping
from partage.model.ids import ProjectID, TaskID
from partage.model.task import KEPT, Task, TaskLane, TaskStatus, TaskType
from partage.operations import images, uploads
from partage.operations.maintenance import Maintainer
from partage.operations.service import Service
from partage.records import tasks
from partage.records import uploads as upload_rows
from partage.records.database import Database, Transaction
from partage.worker import imports
from partage.worker.imports import Slots
from partage.worker.maintenance import plan_expiry
from partage.worker.periodic import JobRunner
from tests.operations.services import OWNER, Clock, make, queued_image
from tests.services import change_service

PATIENCE_SECONDS = 60
INTERVAL_SECONDS = 0.02
EMFILE = OSError(errno.EMFILE, "Too many open files")


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@dataclass
class Refusing:
    """A database that raises an error in the threads whose names are given, and counts how often."""

    database: Database
    error: BaseException
    threads: set[str]
    count: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    def _refuse(self) -> None:
        if threading.current_thread().name in self.threads:
            self.count += 1
            raise self.error

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        self._refuse()
        with self.database.read() as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self._refuse()
        with self.database.write() as tx:
            yield tx


@dataclass
class Slow:
    """A database whose housekeeping takes a second for each transaction that reads."""

    database: Database
    is_busy: threading.Event = field(default_factory=threading.Event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self.database.read() as tx:
            if threading.current_thread().name == "housekeeping":
                self.is_busy.set()
                time.sleep(1)
            yield tx
        self.is_busy.clear()


@contextmanager
def kept(service: Service) -> Iterator[None]:
    with housekeeping.start(service, interval_seconds=INTERVAL_SECONDS):
        yield


def upload_of_a_dead_worker(service: Service) -> Callable[[], bool]:
    image = queued_image(service)
    uploads._begin(change_service(service, worker="dead", running_uploads=set()), OWNER, image.id, None)  # noqa: SLF001
    return lambda: images.show_image(service, OWNER, image.id).status == "queued"


@pytest.mark.parametrize("error", [EMFILE, ValueError("nobody foresaw this"), MemoryError()], ids=["EMFILE", "value", "memory"])
def test_heartbeat_and_housekeeping_go_on_after_failures(error: BaseException, tmp_path: Path) -> None:
    made = make(tmp_path)
    refusing: Any = Refusing(made.database, error, {"heartbeat", "housekeeping"})
    service = replace(made, database=refusing)
    is_recovered = upload_of_a_dead_worker(service)
    own = queued_image(service)
    uploads._begin(service, OWNER, own.id, None)  # noqa: SLF001 -- an upload that is under way
    begun = renewed_at(service)
    with kept(service):
        wait_for(lambda: refusing.count > 10)
        refusing.threads.clear()
        wait_for(is_recovered)
        wait_for(lambda: renewed_at(service) > begun)


def test_housekeeping_has_ended_before_the_database_is_closed(tmp_path: Path) -> None:
    """A worker that stops while a job is in the middle of a transaction waits for the job."""
    made = make(tmp_path)
    slow: Any = Slow(made.database)
    with housekeeping.start(replace(made, database=slow), interval_seconds=INTERVAL_SECONDS):
        wait_for(slow.is_busy.is_set)
    assert not slow.is_busy.is_set()
    assert not {"heartbeat", "housekeeping", "memory"} & {each.name for each in threading.enumerate()}
    made.database.close()


def renewed_at(service: Service) -> Any:
    with service.database.read() as tx:
        return next(row.renewed_at for row in upload_rows.list_uploads(tx) if row.worker == service.process.worker)


def test_heartbeat_goes_on_while_all_other_steps_fail(tmp_path: Path) -> None:
    made = make(tmp_path)
    refusing: Any = Refusing(made.database, EMFILE, {"housekeeping"})
    service = replace(made, database=refusing)
    image = queued_image(service)
    uploads._begin(service, OWNER, image.id, None)  # noqa: SLF001
    with kept(service):
        wait_for(lambda: refusing.count > 4)
        failed = renewed_at(service)
        wait_for(lambda: renewed_at(service) > failed)


def test_import_threads_go_on_after_failures(tmp_path: Path) -> None:
    made = make(tmp_path)
    refusing: Any = Refusing(made.database, EMFILE, {"imports-here", "imports-web", "imports-watched"})
    service = replace(made, database=refusing)
    claimers = JobRunner()
    slots = {lane: Slots(at_once=2, per_project=1) for lane in TaskLane}
    running = threading.Thread(target=imports.run, args=(service, claimers, slots))
    running.start()
    try:
        wait_for(lambda: refusing.count >= 2)
        task = add_task(service, TaskStatus.PENDING)
        refusing.threads.clear()
        wait_for(lambda: status(service, task.id) is TaskStatus.FAILURE)  # its image is not there
    finally:
        claimers.stop()
        running.join(PATIENCE_SECONDS)
    assert not running.is_alive()


def add_task(service: Service, becomes: TaskStatus) -> Task:
    now = service.clock()
    task = Task(
        id=TaskID(service.new_id()),
        type=TaskType.IMPORT,
        owner=ProjectID("A"),
        created_at=now,
        updated_at=now,
        input={"import_from": "http://example.org/"},
    )
    if becomes is not TaskStatus.PENDING:
        task = task.begin(now=now)
        task = task.succeed({}, now=now) if becomes is TaskStatus.SUCCESS else task.fail("because", now=now)
    with service.database.write() as tx:
        tasks.add(tx, task, roles=[])
    return task


def status(service: Service, task_id: TaskID) -> TaskStatus:
    with service.database.read() as tx:
        return tasks.find(tx, task_id).status


def known(service: Service) -> set[str]:
    with service.database.read() as tx:
        return {row.id for row in tx.execute(tasks.tasks.select())}


def test_tasks_are_forgotten_48_hours_after_their_end(tmp_path: Path) -> None:
    clock = Clock()
    service = make(tmp_path, clock=clock)
    old = [add_task(service, TaskStatus.SUCCESS), add_task(service, TaskStatus.FAILURE)]
    clock.passes(hours=1)
    young = add_task(service, TaskStatus.FAILURE)
    clock.now += KEPT - timedelta(hours=1)
    expire(service)
    assert known(service) == {each.id for each in [*old, young]}
    clock.passes(seconds=1)
    expire(service)
    assert known(service) == {young.id}
    waiting = add_task(service, TaskStatus.PENDING)
    clock.passes(hours=1, minutes=30)
    expire(service)
    assert known(service) == {waiting.id}


def expire(service: Service) -> None:
    Maintainer(service, plan_expiry(timedelta(0)), may_go_on=lambda: True).run_if_due()
