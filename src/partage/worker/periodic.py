"""Periodic jobs: the one loop of every process that polls.

No exception ends a job: it is logged, and the job is retried with exponential back-off.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from partage import problems
from partage.measures import JOB_RUNS, Meter, Unmetered
from partage.operations import failures

MAX_BACKOFF_SECONDS = 60.0
JOIN_SECONDS = 5.0
"""How long a process that ends waits for a job that is running."""

_LOG_AGAIN_SECONDS = 600.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicJob:
    """A function to call every `interval_seconds`, and its name in the log.

    `run` returns True when there may be more work: then it is called again at once. After failures the interval doubles, up to
    `max_backoff_seconds` or the interval itself, whichever is longer.
    """

    name: str
    run: Callable[[], bool]
    interval_seconds: float
    max_backoff_seconds: float = MAX_BACKOFF_SECONDS


class JobRunner:
    """Runs periodic jobs until it is stopped: by `stop`, by a signal, or at the end of a `with` block.

    Jobs of one thread share it and have times of their own: a job that fails delays no other.
    """

    def __init__(
        self,
        stopping: threading.Event | None = None,
        *,
        meter: Meter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a runner without threads. Runners that share `stopping` stop together."""
        self.stopping = threading.Event() if stopping is None else stopping
        self._meter = Unmetered() if meter is None else meter
        self._monotonic = monotonic
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Stop at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop, so that no job uses afterwards what the process closes."""
        self.stop()

    def stop_on_signals(self) -> None:
        """Stop when this process receives SIGTERM, SIGINT or SIGHUP. Call it in the main thread."""
        for number in _STOP_SIGNALS:
            signal.signal(number, lambda *_: self.stopping.set())

    def start(self, name: str, jobs: Sequence[PeriodicJob]) -> None:
        """Run jobs in a new thread of that name."""
        thread = threading.Thread(target=self.run, args=(jobs,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def run(self, jobs: Sequence[PeriodicJob]) -> None:
        """Run jobs in this thread until the runner is stopped."""
        names = ", ".join(job.name for job in jobs)
        _LOG.debug("started: %s", names)
        scheduled = [_ScheduledJob(job) for job in jobs]
        while not self.stopping.is_set():
            for each in scheduled:
                if each.due <= self._monotonic() and not self.stopping.is_set():
                    self._meter.add(JOB_RUNS, each.name, "succeeded" if each.attempt(self._monotonic) else "failed")
            self.stopping.wait(max(0.0, min(each.due for each in scheduled) - self._monotonic()))
        _LOG.debug("stopped: %s", names)

    def stop(self, *, timeout_seconds: float = JOIN_SECONDS) -> None:
        """Start no job any more, and wait for those that are running, but not for longer than the timeout."""
        self.stopping.set()
        end = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                _LOG.warning(
                    "%s is still running %g s after the stop; the process ends without it, and its work is repeated later",
                    thread.name,
                    timeout_seconds,
                )

    def join(self) -> None:
        """Wait until every thread has ended, however long its job takes."""
        for thread in self._threads:
            thread.join()


class _ScheduledJob:
    """One job: when it is due next, how often it failed in a row, and when each kind of failure was logged."""

    def __init__(self, job: PeriodicJob) -> None:
        self._job = job
        self._failures = 0
        self._logged: dict[tuple[type[BaseException], int | None], float] = {}
        self._logs_recovery = False
        self.due = float("-inf")

    @property
    def name(self) -> str:
        """The name of the job."""
        return self._job.name

    def attempt(self, monotonic: Callable[[], float]) -> bool:
        """Run the job once; return whether it succeeded."""
        try:
            has_more = self._job.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing else would start the job again
            backoff_seconds = self._increase_backoff()
            self._log_failure(error, monotonic(), backoff_seconds)
            self.due = monotonic() + backoff_seconds
            return False
        self._note_success()
        self.due = monotonic() + (0.0 if has_more else self._job.interval_seconds)
        return True

    def _increase_backoff(self) -> float:
        self._failures += 1
        longest = max(self._job.interval_seconds, self._job.max_backoff_seconds)
        return min(longest, self._job.interval_seconds * 2.0 ** min(self._failures - 1, 32))

    def _log_failure(self, error: Exception, now: float, backoff_seconds: float) -> None:
        """Log each kind of failure once in ten minutes: a job that fails every second would fill the log."""
        kind = (type(error), error.errno if isinstance(error, OSError) else None)
        if now - self._logged.get(kind, float("-inf")) < _LOG_AGAIN_SECONDS:
            return
        self._logged[kind] = now
        self._logs_recovery = True
        _LOG.warning(
            "%s failed, next attempt in %g s: %s",
            self._job.name,
            backoff_seconds,
            failures.describe(error),
            exc_info=None if isinstance(error, problems.Problem) else error,
        )

    def _note_success(self) -> None:
        if self._logs_recovery:
            _LOG.warning("%s works again after %d failures in a row", self._job.name, self._failures)
        self._logs_recovery, self._failures = False, 0
