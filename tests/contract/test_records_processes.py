"""Rows of processes: written again and again, withdrawn, and forgotten."""

from dataclasses import replace
from datetime import timedelta

from partage.model.process_state import ProcessState, Purpose
from partage.records import processes
from partage.records.database import Database
from tests.contract.records_worlds import START, undone

STATE = ProcessState(worker="host/boot/1:2:3", purpose=Purpose.IMPORTS, version="1.0", started_at=START, seen_at=START)


def test_process_is_renewed_and_keeps_its_start(database: Database) -> None:
    later = START + timedelta(seconds=20)
    with undone(database) as tx:
        processes.write(tx, STATE)
        assert processes.list_all(tx) == [STATE]
        processes.write(tx, replace(STATE, started_at=later, seen_at=later))
        assert processes.list_all(tx) == [replace(STATE, seen_at=later)]


def test_only_the_process_that_ends_is_removed(database: Database) -> None:
    other = replace(STATE, worker="host/boot/1:4:5")
    with undone(database) as tx:
        processes.write(tx, STATE)
        processes.write(tx, other)
        processes.remove(tx, STATE.worker)
        assert processes.list_all(tx) == [other]


def test_processes_that_have_long_been_silent_are_forgotten(database: Database) -> None:
    now = START + timedelta(hours=1)
    with undone(database) as tx:
        processes.write(tx, STATE)
        processes.write(tx, replace(STATE, worker="host/boot/1:4:5", seen_at=now))
        assert processes.remove_unseen(tx, since=START) == 0
        assert processes.remove_unseen(tx, since=now) == 1
        assert [each.worker for each in processes.list_all(tx)] == ["host/boot/1:4:5"]
