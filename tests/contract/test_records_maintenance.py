"""Rows of maintenance jobs: every change happens only for the run that was seen."""

from datetime import timedelta

import pytest

from partage.model.maintenance import MaintenanceJob, MaintenanceState
from partage.records import maintenance
from partage.records.database import Database
from tests.contract.records_worlds import START, undone

PLANNED = MaintenanceState(job=MaintenanceJob.SWEEP, due_at=START)
RUNNING = PLANNED.start(token="one", worker="here", now=START)
ENDED = RUNNING.succeed({"packs": 3, "held": "a backup", "images": ["x"]}, interval=timedelta(hours=1), now=START)


def test_state_is_read_as_it_was_written(database: Database) -> None:
    with undone(database) as tx:
        assert maintenance.find(tx, MaintenanceJob.SWEEP) is None
        maintenance.add(tx, PLANNED)
        assert maintenance.find(tx, MaintenanceJob.SWEEP) == PLANNED
        assert maintenance.change(tx, RUNNING, was=PLANNED)
        assert maintenance.change(tx, ENDED, was=RUNNING)
        assert maintenance.list_states(tx) == [ENDED]


def test_state_that_another_worker_has_added_stays(database: Database) -> None:
    with undone(database) as tx:
        maintenance.add(tx, RUNNING)
        maintenance.add(tx, PLANNED)
        assert maintenance.find(tx, MaintenanceJob.SWEEP) == RUNNING


@pytest.mark.parametrize("was", [PLANNED, ENDED, RUNNING.start(token="two", worker="there", now=START)])
def test_change_of_a_state_that_was_not_there_changes_nothing(database: Database, was: MaintenanceState) -> None:
    with undone(database) as tx:
        maintenance.add(tx, RUNNING)
        assert not maintenance.change(tx, ENDED, was=was)
        assert maintenance.find(tx, MaintenanceJob.SWEEP) == RUNNING


def test_heartbeat_and_progress_need_the_lease(database: Database) -> None:
    later = START + timedelta(seconds=5)
    with undone(database) as tx:
        maintenance.add(tx, RUNNING)
        assert not maintenance.renew(tx, "two", now=later)
        assert not maintenance.save_progress(tx, "two", "7:x", {"contents": 1})
        assert maintenance.find(tx, MaintenanceJob.SWEEP) == RUNNING
        assert maintenance.renew(tx, "one", now=later)
        assert maintenance.save_progress(tx, "one", "7:x", {"contents": 1})
        maintenance.rewrite(tx, ["one"])
        found = maintenance.find(tx, MaintenanceJob.SWEEP)
        assert found is not None
        assert (found.renewed_at, found.cursor, found.report) == (later, "7:x", {"contents": 1})
