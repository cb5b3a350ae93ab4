"""Maintenance jobs: work that one worker at a time does for everybody, and what is known of its runs. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

CLOCKS_DIFFER = timedelta(minutes=5)
"""By more than this a time of another host is taken for that of a wrong clock."""

_FIRST_PAUSE = timedelta(minutes=1)
_MOST_DOUBLINGS = 16


class MaintenanceJob(StrEnum):
    """What is maintained. A backup is made by hand only. `cut`: data of a Glance that was taken over is cut into chunks."""

    SWEEP = "sweep"
    VERIFY = "verify"
    EXPIRY = "expiry"
    BACKUP = "backup"
    CUT = "cut"


class Outcome(StrEnum):
    """How a run ended. `stopped`: its process was stopped, the rest is done later. `interrupted`: its process died."""

    SUCCESS = "success"
    FAILURE = "failure"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


Report = Mapping[str, int | str | list[str]]
"""What a run did: counts by name, and a few names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceState:
    """One job and its last run.

    - `token` is the lease of the run that is in progress, `worker` the process of the last run, `renewed_at` its heartbeat.
    - `runs` counts the starts. `failures` counts the runs in a row that failed or were interrupted.
    - `succeeded_at` is the end of the last run that succeeded. `message` says why the last run failed.
    - `cursor` is where the next run goes on, if the last one did not come to its end.
    - `due_at` is when the next run is due; None: at once, if the job runs by itself.
    """

    job: MaintenanceJob
    token: str | None = None
    worker: str | None = None
    renewed_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    succeeded_at: datetime | None = None
    due_at: datetime | None = None
    outcome: Outcome | None = None
    message: str = ""
    report: Report = field(default_factory=dict)
    cursor: str = ""
    runs: int = 0
    failures: int = 0

    def is_due(self, *, interval: timedelta, now: datetime) -> bool:
        """Return whether the job is due. A time that no clock of this host could have planned counts as due."""
        if self.token is not None:
            return False
        return self.due_at is None or self.due_at <= now or self.due_at > now + interval + CLOCKS_DIFFER

    def start(self, *, token: str, worker: str, now: datetime) -> Self:
        """Start a run."""
        return replace(self, token=token, worker=worker, renewed_at=now, started_at=now, runs=self.runs + 1)

    def succeed(self, report: Report, *, interval: timedelta | None, now: datetime) -> Self:
        """End the run; the next one is due an interval after the start of this one. None: the job does not run by itself."""
        due_at = None if interval is None else max(now, (self.started_at or now) + interval)
        ended = self._end(Outcome.SUCCESS, now=now, due_at=due_at)
        return replace(ended, succeeded_at=now, report=report, failures=0, message="", cursor="")

    def fail(self, message: str, *, interval: timedelta | None, now: datetime) -> Self:
        """End the run with a failure; the next attempt is due after a back-off."""
        due_at = None if interval is None else now + find_backoff(self.failures, interval)
        return replace(self._end(Outcome.FAILURE, now=now, due_at=due_at), failures=self.failures + 1, message=message)

    def stop(self, *, now: datetime, due_at: datetime | None) -> Self:
        """End the run of a process that stops; another process goes on when the job is due."""
        return self._end(Outcome.STOPPED, now=now, due_at=due_at)

    def interrupt(self, *, interval: timedelta | None, now: datetime) -> Self:
        """End the run of a process that has died; another process goes on, at once after the first death in a row."""
        pause = find_backoff(self.failures - 1, interval) if self.failures and interval else timedelta(0)
        dead = self._end(Outcome.INTERRUPTED, now=now, due_at=None if interval is None else now + pause)
        return replace(dead, failures=self.failures + 1, message="the process of the run died")

    def _end(self, outcome: Outcome, *, now: datetime, due_at: datetime | None) -> Self:
        return replace(self, token=None, renewed_at=None, ended_at=now, outcome=outcome, due_at=due_at)


def find_backoff(failures: int, interval: timedelta) -> timedelta:
    """Return the pause after a failure that followed so many others: doubled each time, and never longer than the interval."""
    return min(interval, _FIRST_PAUSE * (1 << min(failures, _MOST_DOUBLINGS)))
