"""When a maintenance job is due, whatever came of its last run, and whatever the clocks of hosts say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from partage.model.maintenance import CLOCKS_DIFFER, MaintenanceJob, MaintenanceState, Outcome

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
RUNNING = MaintenanceState(job=MaintenanceJob.SWEEP).start(token="t", worker="w", now=NOW)


def due(state: MaintenanceState, now: datetime = NOW) -> bool:
    return state.is_due(interval=HOUR, now=now)


def test_job_that_runs_is_not_due() -> None:
    assert not due(RUNNING, NOW + 100 * HOUR)


def test_success_plans_the_next_run_an_interval_after_the_start() -> None:
    ended = RUNNING.succeed({"packs": 3}, interval=HOUR, now=NOW + MINUTE)
    assert (ended.outcome, ended.succeeded_at, ended.due_at, ended.token) == (Outcome.SUCCESS, NOW + MINUTE, NOW + HOUR, None)
    assert not due(ended, NOW + HOUR - MINUTE)
    assert due(ended, NOW + HOUR)


def test_run_that_takes_longer_than_the_interval_is_followed_at_once() -> None:
    assert RUNNING.succeed({}, interval=HOUR, now=NOW + 2 * HOUR).due_at == NOW + 2 * HOUR


def test_failures_back_off_up_to_the_interval() -> None:
    state, pauses = RUNNING, []
    for _ in range(9):
        state = state.fail("no answer", interval=HOUR, now=NOW)
        assert state.due_at is not None
        pauses.append(state.due_at - NOW)
    assert pauses == [1 * MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 16 * MINUTE, 32 * MINUTE, HOUR, HOUR, HOUR]
    assert (state.outcome, state.failures, state.message) == (Outcome.FAILURE, 9, "no answer")
    assert state.start(token="u", worker="w", now=NOW).succeed({}, interval=HOUR, now=NOW).failures == 0


def test_first_death_is_followed_at_once_and_later_ones_after_a_back_off() -> None:
    once = RUNNING.interrupt(interval=HOUR, now=NOW)
    twice = once.interrupt(interval=HOUR, now=NOW)
    assert (once.due_at, once.outcome) == (NOW, Outcome.INTERRUPTED)
    assert twice.due_at == NOW + MINUTE


@pytest.mark.parametrize("ahead", [HOUR + CLOCKS_DIFFER + MINUTE, 365 * 24 * HOUR])
def test_due_time_that_no_right_clock_planned_counts_as_due(ahead: timedelta) -> None:
    """Its host's clock was wrong, or the interval has been shortened."""
    assert due(replace(RUNNING, token=None, due_at=NOW + ahead))


def test_due_time_of_a_clock_that_is_a_little_ahead_is_kept() -> None:
    assert not due(replace(RUNNING, token=None, due_at=NOW + HOUR + CLOCKS_DIFFER - MINUTE))
