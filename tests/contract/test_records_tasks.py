"""Which task is taken up next: one of its own lane, of the project that has the fewest running, within the slots of a project."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from partage.model.ids import ProjectID, TaskID
from partage.model.task import Task, TaskLane, TaskType
from partage.records import tasks
from partage.records.database import Database, Transaction

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_tasks(database: Database) -> None:
    with database.write() as tx:
        tx.execute(tasks.tasks.delete())


def add(tx: Transaction, project: str, second: int, lane: TaskLane = TaskLane.WEB) -> str:
    at = NOW + timedelta(seconds=second)
    name = TaskID(str(uuid4()))
    task = Task(id=name, type=TaskType.IMPORT, owner=ProjectID(project), created_at=at, updated_at=at)
    tasks.add(tx, task, roles=[], lane=lane)
    return name


def claim(tx: Transaction, worker: str = "w", lane: TaskLane = TaskLane.WEB, per_project: int = 2) -> str | None:
    claimed = tasks.claim_next(tx, claim=str(uuid4()), worker=worker, lane=lane, per_project=per_project, now=NOW)
    return claimed.task.id if claimed else None


def test_projects_take_turns_and_none_gets_more_than_its_slots(database: Database) -> None:
    with database.write() as tx:
        a = [add(tx, "A", number) for number in range(6)]
        b = [add(tx, "B", 10 + number) for number in range(3)]
        c = add(tx, "C", 20)
        taken = [claim(tx) for _ in range(6)]
        assert taken == [a[0], b[0], c, a[1], b[1], None]


def test_slots_are_counted_for_each_worker_and_running_tasks_for_all(database: Database) -> None:
    with database.write() as tx:
        a = [add(tx, "A", number) for number in range(4)]
        b = add(tx, "B", 10)
        assert [claim(tx, "one"), claim(tx, "one", per_project=1), claim(tx, "one", per_project=1)] == [a[0], b, None]
        assert [claim(tx, "other", per_project=1), claim(tx, "other", per_project=1)] == [a[1], None]


def test_lanes_have_separate_slots(database: Database) -> None:
    with database.write() as tx:
        web, here = add(tx, "A", 0), add(tx, "A", 1, TaskLane.HERE)
        assert claim(tx, lane=TaskLane.HERE, per_project=1) == here
        assert claim(tx, lane=TaskLane.HERE, per_project=1) is None
        assert claim(tx, per_project=1) == web


def test_a_task_that_ended_leaves_its_slot_to_the_next(database: Database) -> None:
    with database.write() as tx:
        first, second = add(tx, "A", 0), add(tx, "A", 1)
        claimed = tasks.claim_next(tx, claim="c", worker="w", lane=TaskLane.WEB, per_project=1, now=NOW)
        assert claimed is not None
        assert (claimed.task.id, claim(tx, per_project=1)) == (first, None)
        tasks.save_claimed(tx, claimed.task.fail("because", now=NOW), "c", now=NOW)
        assert claim(tx, per_project=1) == second


def receive(tx: Transaction, received_bytes: int) -> Task:
    """Add a task, claim it as "c", and note what it has received."""
    add(tx, "A", 0)
    claimed = tasks.claim_next(tx, claim="c", worker="w", lane=TaskLane.WEB, per_project=9, now=NOW)
    assert claimed is not None
    assert tasks.find_received(tx, claimed.task.id) is None
    tasks.note_received(tx, claimed.task.id, "c", received_bytes=received_bytes, digest=b"d" * 32)
    return claimed.task


def test_what_a_task_received_is_noted_under_its_claim_only(database: Database) -> None:
    with database.write() as tx:
        task, other = receive(tx, 1 << 40), receive(tx, 7)
        tasks.note_received(tx, task.id, "another", received_bytes=1, digest=b"x" * 32)
        assert tasks.find_received(tx, task.id) == tasks.ReceivedRow(1 << 40, b"d" * 32)
        assert tasks.find_received(tx, other.id) == tasks.ReceivedRow(7, b"d" * 32)


@pytest.mark.parametrize("how", ["waits again", "fails", "succeeds", "is ended"])
def test_what_a_task_received_is_kept_until_it_ends(how: str, database: Database) -> None:
    with database.write() as tx:
        task = receive(tx, 7)
        if how == "is ended":
            assert tasks.end(tx, task.id, "because", now=NOW) is not None
        else:
            became = {"waits again": task.wait_again(now=NOW), "fails": task.fail("because", now=NOW)}
            tasks.save_claimed(tx, became.get(how) or task.succeed({}, now=NOW), "c", now=NOW)
        assert (tasks.find_received(tx, task.id) is not None) == (how == "waits again")


def test_expired_tasks_are_removed_some_at_a_time(database: Database) -> None:
    with database.write() as tx:
        for number in range(5):
            add(tx, "A", number)
            claimed = tasks.claim_next(tx, claim="c", worker="w", lane=TaskLane.WEB, per_project=9, now=NOW)
            assert claimed is not None
            tasks.save_claimed(tx, claimed.task.succeed({}, now=NOW + timedelta(seconds=number)), "c", now=NOW)
        waiting = add(tx, "A", 9)
        later = NOW + timedelta(hours=48, seconds=3)
        assert tasks.have_expired(tx, now=later)
        assert [tasks.remove_expired(tx, now=later, limit=2) for _ in range(3)] == [2, 1, 0]
        assert not tasks.have_expired(tx, now=later)
        assert {row.id for row in tx.execute(tasks.tasks.select())} > {waiting}
