"""Worker processes: fork them, replace one that dies, end them all.

The parent does nothing but wait for signals. It forks after every module is imported and before any thread or connection exists,
so workers start in milliseconds and share memory. Each worker is a process group of its own: Ctrl-C on a terminal reaches the
parent alone, which passes on a stop signal; a second one ends the workers at once.
"""

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from partage import problems
from partage.main import processes

_LOG = logging.getLogger(__name__)

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_WATCHED = _STOPS | {signal.SIGCHLD}
_FAILED_AT_START = 3
_SHORT_LIFE_SECONDS = 2.0
_SHORT_LIVES = 5
_TIDYING_SECONDS = 5.0


class Companion(Protocol):
    """Another child of the parent that workers cannot do without."""

    def fault(self) -> str | None:
        """Say in a sentence that it is no longer there, or None."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """What a process does, and since when, on the monotonic clock."""

    duty: Callable[[], None]
    since: float


@dataclass(slots=True)
class Crew:
    """Workers and what became of them. Used by the parent's only thread."""

    duties: Sequence[Callable[[], None]]
    grace_seconds: float
    companions: Sequence[Companion] = ()
    _workers: dict[int, "_Worker"] = field(default_factory=dict)
    _short_lives: int = 0

    def run(self) -> int:
        """Keep a worker running for each duty until a stop signal; return the exit status of the whole."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        gc.collect()
        gc.freeze()  # workers then do not copy pages only because the collector marked them
        try:
            for duty in self.duties:
                self._hire(duty)
            fault = self._watch()
            self._stop()
        finally:
            self._signal_all(signal.SIGKILL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if fault is not None:
            print(f"partage: {fault}", file=sys.stderr)
        return 0 if fault is None else 1

    def _watch(self) -> str | None:
        while True:
            caught = signal.sigtimedwait(_WATCHED, 1.0)
            if caught is not None and caught.si_signo in _STOPS:
                return None
            fault = self._replace() or next(filter(None, (each.fault() for each in self.companions)), None)
            if fault is not None:
                return fault

    def _replace(self) -> str | None:
        for pid, status, ended in self._ended():
            lived = time.monotonic() - ended.since
            code = os.waitstatus_to_exitcode(status)
            if code == _FAILED_AT_START:
                return "a worker could not start; the reason stands above"
            self._short_lives = self._short_lives + 1 if lived < _SHORT_LIFE_SECONDS else 0
            if self._short_lives >= _SHORT_LIVES:
                return f"workers die as soon as they start, the last one with status {code}"
            _LOG.warning("worker %d ended with status %d and is replaced", pid, code)
            self._hire(ended.duty)
        return None

    def _ended(self) -> list[tuple[int, int, _Worker]]:
        """Take leave of every worker that has ended: its number may be another process's from now on."""
        waited = [os.waitpid(pid, os.WNOHANG) for pid in self._workers]
        return [(pid, status, self._workers.pop(pid)) for pid, status in waited if pid]

    def _hire(self, duty: Callable[[], None]) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _become_worker(parent, duty)
        self._workers[pid] = _Worker(duty, time.monotonic())

    def _stop(self) -> None:
        self._signal_all(signal.SIGTERM)
        end = time.monotonic() + self.grace_seconds + _TIDYING_SECONDS
        notice = time.monotonic() + 1.0
        while self._workers and time.monotonic() < end:
            caught = signal.sigtimedwait(_WATCHED, 0.2)
            self._ended()
            if caught is not None and caught.si_signo in _STOPS:
                return
            if self._workers and time.monotonic() > notice:
                notice = end
                print(f"Waiting up to {self.grace_seconds:g} s for running transfers; Ctrl-C again ends them", flush=True)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in list(self._workers):
            os.kill(pid, number)
            if number == signal.SIGKILL:
                os.waitpid(pid, 0)
                del self._workers[pid]


def _become_worker(parent: int, work: Callable[[], None]) -> NoReturn:
    status = _FAILED_AT_START
    try:
        os.setpgid(0, 0)
        processes.end_with_parent(parent, signal.SIGTERM)
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        work()
        status = 0
    except problems.Problem as problem:
        print(f"partage: {problem}", file=sys.stderr)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else _FAILED_AT_START
    except BaseException:  # noqa: BLE001 - nothing above this line is the worker's: it must not return into the parent's code
        _LOG.exception("a worker failed")
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # threads that still read from a client that is silent must not keep the process
