"""A process reports itself until it ends, and one that died without a word is forgotten after an hour."""

import time
from pathlib import Path

from partage.model.process_state import Condition, Purpose
from partage.operations import processes
from partage.operations.service import Service
from partage.worker import presence
from tests.operations.services import Clock, make
from tests.services import change_service


def list_conditions(service: Service) -> list[tuple[Purpose, Condition]]:
    return [(state.purpose, condition) for state, condition in processes.list_with_condition(service)]


def test_process_is_listed_while_it_runs(tmp_path: Path) -> None:
    service = change_service(make(tmp_path), worker_lives=lambda _name: True)
    with presence.report_process(service, Purpose.MAINTENANCE):
        end = time.monotonic() + 30
        while not list_conditions(service) and time.monotonic() < end:
            time.sleep(0.01)
        assert list_conditions(service) == [(Purpose.MAINTENANCE, Condition.RUNS)]
    assert list_conditions(service) == []


def test_remote_process_is_silent_first_and_forgotten_after_an_hour(tmp_path: Path) -> None:
    clock = Clock()
    service = change_service(make(tmp_path, clock=clock), worker_lives=lambda _name: None)
    processes.report(service, Purpose.IMPORTS, clock())
    for minutes, expected in ((1, Condition.RUNS), (1, Condition.SILENT), (57, Condition.SILENT)):
        clock.passes(minutes=minutes)
        assert processes.remove_silent(service) == 0
        assert list_conditions(service) == [(Purpose.IMPORTS, expected)]
    clock.passes(minutes=2)
    assert processes.remove_silent(service) == 1
    assert list_conditions(service) == []


def test_process_of_this_host_that_died_is_dead_at_once(tmp_path: Path) -> None:
    service = change_service(make(tmp_path), worker_lives=lambda _name: False)
    processes.report(service, Purpose.REQUESTS, service.clock())
    assert list_conditions(service) == [(Purpose.REQUESTS, Condition.DEAD)]
