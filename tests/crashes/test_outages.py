"""The store or the database fails at its N-th call, for every N, once or until it is healed: uploads, deletes, sweeps get over it.

What is real here is the service and SQLite; that a call fails is made up. test_failing_calls.py lets the system's own calls fail,
test_postgresql.py stops a server.
"""

import errno
import gc
import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, exc

from partage import problems
from partage.model.image import ImageStatus
from partage.model.patch import Change, Operation
from partage.operations import images, recovery, sweep, verify
from partage.operations.service import Service
from partage.records import schema
from tests.crashes import worlds
from tests.crashes.worlds import LOCAL, NO_GRACE, OWNER, id_of, noise, send
from tests.services import change_service
from tests.unit.stores.doubles import FailingStore

DATA = noise(1, 0.1)
MANY_CALLS = 200
STRIDES = {"sweep": 6, "upload": 3}
"""Of the long operations every so manieth call fails, from a random first one; of the others every one."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = worlds.without_syncs(worlds.compose(tmp_path))
    schema.upgrade(made.database)
    yield made
    made.close()


def prepare(service: Service, turn: int) -> None:
    """Make what the operations act on, under names of this turn."""
    worlds.create(service, f"new {turn}")
    send(service, worlds.create(service, f"old {turn}"), DATA + noise(turn + 10, 0.05))
    send(service, worlds.create(service, f"dead {turn}"), DATA[:40_000] + noise(turn + 1000, 0.05))
    images.delete_image(service, OWNER, id_of(f"dead {turn}"))


def data_of(turn: int) -> bytes:
    return DATA + noise(turn + 5000, 0.05)


def upload(service: Service, turn: int) -> None:
    send(service, id_of(f"new {turn}"), data_of(turn))


def delete(service: Service, turn: int) -> None:
    images.delete_image(service, OWNER, id_of(f"old {turn}"))


def update(service: Service, turn: int) -> None:
    changes = (Change(Operation.ADD, ("os_distro",), "debian"),)
    images.update_image(service, OWNER, id_of(f"old {turn}"), changes)


postponed: list[str] = []
"""What the last sweep could not rewrite or remove."""


def sweep_twice(service: Service, _turn: int) -> None:
    swept = [sweep.sweep(service, grace=NO_GRACE) for _ in range(2)]
    postponed[:] = [reason for each in swept for reason in each.postponed]


OPERATIONS: dict[str, Callable[[Service, int], None]] = {
    "upload": upload,
    "delete": delete,
    "update": update,
    "sweep": sweep_twice,
}
DONE_BEFORE = {"upload": problems.StatusConflict, "delete": problems.ImageNotFound}


class FailingDatabase:
    """Let the N-th statement, BEGIN or COMMIT of a database fail as drivers do; or that one and all that follow."""

    def __init__(self, service: Service) -> None:
        self._engine = service.database._engine  # noqa: SLF001
        self._calls = itertools.count(1)
        self._fail_at = 0
        self._until_healed = False
        self.calls = 0

    @contextmanager
    def failing(self, fail_at: int, *, until_healed: bool) -> Iterator[None]:
        self._calls, self._fail_at, self._until_healed, self.calls = itertools.count(1), fail_at, until_healed, 0
        event.listen(self._engine, "before_cursor_execute", self._count)
        event.listen(self._engine, "commit", self._count)
        try:
            yield
        finally:
            event.remove(self._engine, "before_cursor_execute", self._count)
            event.remove(self._engine, "commit", self._count)

    def _count(self, *_given: object) -> None:
        self.calls = next(self._calls)
        if self.calls == self._fail_at or (self._until_healed and self.calls > self._fail_at):
            raise exc.OperationalError("made up", {}, Exception("the database is away"))


FEW = 4
"""Files that the first operation opens for the whole process: a pooled connection, the folder of the store."""

SHARED_THREADS = ("partage-read", "store-")
"""Beginnings of the names of threads that all streams of a process share, and that stay for the next one."""


@dataclass
class Open:
    """How many threads of its own, and files, this process has open."""

    threads: int
    files: int

    @classmethod
    def now(cls) -> "Open":
        gc.collect()
        own = [each for each in threading.enumerate() if not each.name.startswith(SHARED_THREADS)]
        return cls(len(own), len(list(Path("/proc/self/fd").iterdir())))


def attempt(service: Service, name: str, turn: int) -> problems.Problem | None:
    """Do an operation that may end in a problem, and in nothing else."""
    try:
        OPERATIONS[name](service, turn)
    except problems.Problem as problem:
        return problem
    return None


def get_over_it(service: Service, name: str, turn: int, *, recovered: int) -> None:
    """Check that what an operation left after a problem is in order, and do it again."""
    assert recovery.recover(service) <= recovered
    status = images.show_image(service, OWNER, id_of(f"new {turn}")).status
    assert status in (ImageStatus.QUEUED, ImageStatus.ACTIVE)
    again = attempt(service, name, turn)
    assert again is None or isinstance(again, DONE_BEFORE.get(name, ())), repr(again)
    if name == "upload":
        assert worlds.fetch(service, id_of(f"new {turn}")) == data_of(turn)


@pytest.mark.parametrize("until_healed", [False, True], ids=["once", "until-healed"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_database_that_fails_at_any_statement(service: Service, name: str, until_healed: bool) -> None:
    database = FailingDatabase(service)
    prepare(service, 0)
    OPERATIONS[name](service, 0)  # every connection and thread that it needs exists
    before = Open.now()
    stride = STRIDES.get(name, 1)
    for turn in range(1 + random.randrange(stride), MANY_CALLS, stride):
        prepare(service, turn)
        with database.failing(turn, until_healed=until_healed):
            problem = attempt(service, name, turn)
        if database.calls < turn:
            assert problem is None
            break
        assert problem is None or isinstance(problem, problems.DatabaseUnavailable), repr(problem)
        get_over_it(service, name, turn, recovered=1)
    else:
        pytest.fail("the operation never got through")
    after = Open.now()
    assert after.threads <= before.threads  # fewer: those of an earlier test have ended
    assert after.files <= before.files + FEW, "a file is left behind by each failure"
    assert not [verdict for verdict in verify.verify(service) if verdict.fault]


@pytest.mark.parametrize(("error", "expected"), [(errno.ENOSPC, problems.StoreFull), (errno.EIO, problems.StoreUnavailable)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_store_that_fails_at_any_call(service: Service, name: str, error: int, expected: type[problems.Problem]) -> None:
    before = Open.now()
    for turn in range(1, MANY_CALLS):
        prepare(service, turn)
        store: Any = FailingStore(service.stores.by_id[LOCAL].store, fail_at=turn, error=error)
        failing = change_service(service, stores={LOCAL: replace(service.stores.by_id[LOCAL], store=store)})
        problem = attempt(failing, name, turn)
        if store.calls < turn:
            assert problem is None
            break
        # A sweep names what it cannot rewrite or remove, and goes on. Without room its own count of sweeps is left as it was.
        went_on = problem is None and name == "sweep" and (bool(postponed) or error == errno.ENOSPC)
        assert isinstance(problem, expected) or went_on, repr(problem)
        assert images.show_image(service, OWNER, id_of(f"new {turn}")).status is ImageStatus.QUEUED
        get_over_it(service, name, turn, recovered=0)
    else:
        pytest.fail("the operation never got through")
    assert Open.now().threads <= before.threads  # fewer: those of an earlier test have ended
    assert not [verdict for verdict in verify.verify(service) if verdict.fault]
