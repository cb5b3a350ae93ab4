"""The processes of the service, as each reports itself. Pure values."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

REPORT_INTERVAL = timedelta(seconds=20)
"""How often a process reports that it runs."""

SILENT_AFTER = timedelta(minutes=1)
"""A process of another machine that has not reported for this long is shown as silent."""


class Purpose(StrEnum):
    """What a process is for."""

    REQUESTS = "requests"
    IMPORTS = "imports"
    MAINTENANCE = "maintenance"


class Condition(StrEnum):
    """Whether a process runs. `silent`: on another machine, and it died or does not reach the database."""

    RUNS = "runs"
    SILENT = "silent"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process: its name among all, which begins with that of its host, its release, and when it last reported itself."""

    worker: str
    purpose: Purpose
    version: str
    started_at: datetime
    seen_at: datetime

    @property
    def host(self) -> str:
        """The name of the machine or container."""
        return self.worker.partition("/")[0]

    def judge(self, *, lives: bool | None, now: datetime) -> Condition:
        """Say whether the process runs. `lives` is what this machine says of it; None: it belongs to another."""
        if lives is None:
            return Condition.SILENT if now - self.seen_at > SILENT_AFTER else Condition.RUNS
        return Condition.RUNS if lives else Condition.DEAD
