"""Jobs that a process repeats for as long as it runs. No exception ends a job: it is logged, and the job is tried again later."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from partage import problems
from partage.operations import failures

LONGEST_PAUSE_SECONDS = 60.0
_TOLD_AGAIN_SECONDS = 600.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is repeated, and its name in the log.

    `act` returns True when there may be more to do at once; otherwise the next attempt is `interval_seconds` later. After failures
    the pauses double, up to `longest_pause_seconds` or the interval, whichever is longer.
    """

    name: str
    act: Callable[[], bool]
    interval_seconds: float
    longest_pause_seconds: float = LONGEST_PAUSE_SECONDS


def repeat(jobs: Sequence[Job], stop: threading.Event, *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Repeat several jobs in this thread, each at its own times, until `stop` is set. A job that fails delays no other one."""
    repeated = [_Repeated(job) for job in jobs]
    while not stop.is_set():
        for each in repeated:
            if each.due <= monotonic() and not stop.is_set():
                each.attempt(monotonic)
        stop.wait(max(0.0, min(each.due for each in repeated) - monotonic()))


def start(name: str, jobs: Sequence[Job], stop: threading.Event) -> threading.Thread:
    """Repeat several jobs in a thread of that name."""
    thread = threading.Thread(target=repeat, args=(jobs, stop), name=name, daemon=True)
    thread.start()
    return thread


class _Repeated:
    """One job: when it is due next, how often it failed in a row, and which failures were logged when."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._failed = 0
        self._told: dict[tuple[type[BaseException], int | None], float] = {}
        self._tells_success = False
        self.due = float("-inf")

    def attempt(self, monotonic: Callable[[], float]) -> None:
        try:
            more = self._job.act()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody would start the job again
            self._note(error, monotonic())
            self.due = monotonic() + self._pause()
        else:
            self._note_success()
            self.due = monotonic() + (0.0 if more else self._job.interval_seconds)

    def _pause(self) -> float:
        self._failed += 1
        longest = max(self._job.interval_seconds, self._job.longest_pause_seconds)
        return min(longest, self._job.interval_seconds * 2.0 ** min(self._failed - 1, 32))

    def _note(self, error: Exception, now: float) -> None:
        """Log each kind of failure once in a while: a job that fails every second would fill the log."""
        kind = (type(error), error.errno if isinstance(error, OSError) else None)
        if now - self._told.get(kind, float("-inf")) < _TOLD_AGAIN_SECONDS:
            return
        self._told[kind] = now
        self._tells_success = True
        foreseen = isinstance(error, problems.Problem)
        _LOG.warning(
            "%s failed and is tried again: %s", self._job.name, failures.describe(error), exc_info=None if foreseen else error
        )

    def _note_success(self) -> None:
        if self._tells_success:
            _LOG.warning("%s works again, after %d failures in a row", self._job.name, self._failed)
        self._tells_success, self._failed = False, 0
