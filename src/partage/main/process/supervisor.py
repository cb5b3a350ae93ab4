"""Worker processes: fork them, replace one that dies, reload them all, end them all.

The parent does nothing but wait for signals. It forks after every module is imported and before any thread or connection exists,
so workers start in milliseconds and share memory. Each worker is a process group of its own: Ctrl-C on a terminal reaches the
parent alone, which passes on a stop signal; a second one ends the workers at once.
"""

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from partage import problems
from partage.main.process import children

_LOG = logging.getLogger(__name__)

_STOPS = {signal.SIGTERM, signal.SIGINT}
_WATCHED = _STOPS | {signal.SIGHUP, signal.SIGCHLD}
_FAILED_AT_START = 3
_QUICK_EXIT_SECONDS = 2.0
_MAX_QUICK_EXITS = 5
_MIN_BACKOFF_SECONDS = 0.2
_MAX_BACKOFF_SECONDS = 30.0
_CLEANUP_SECONDS = 5.0
_TICK_SECONDS = 0.2

Job = Callable[[], None]


class Dependency(Protocol):
    """Another child of the parent that workers cannot do without."""

    def fault(self) -> str | None:
        """Say in a sentence that it is no longer there, or None."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A job, and the worker that does it at the moment. Times are on the monotonic clock."""

    job: Job
    pid: int | None = None
    since: float = 0.0
    not_before: float = 0.0
    quick_exits: int = 0
    has_started: bool = False
    """A worker of this slot has lived for long enough to have started."""

    def update_age(self, now: float) -> None:
        """Forget the short lives of workers before, if this one lives for long enough."""
        if self.pid is not None and now - self.since >= _QUICK_EXIT_SECONDS:
            self.has_started = True
            self.quick_exits = 0

    def backoff_seconds(self) -> float:
        """Say how long to wait before the next worker: nothing after one short life, then twice as long each time."""
        return 0.0 if self.quick_exits <= 1 else min(_MAX_BACKOFF_SECONDS, _MIN_BACKOFF_SECONDS * 2.0 ** (self.quick_exits - 2))


@dataclass(slots=True)
class Supervisor:
    """Workers and what became of them. Used by the parent's only thread.

    `reload` returns jobs for workers that shall take the place of those there are, or raises a Problem; without it SIGHUP is a
    stop signal. `close_shared` is called as soon as no more workers will be forked: the parent closes then what only workers need.
    """

    jobs: Sequence[Job]
    grace_seconds: float
    dependencies: Sequence[Dependency] = ()
    reload: Callable[[], Sequence[Job]] | None = None
    close_shared: Callable[[], None] = lambda: None
    _slots: list[_Slot] = field(default_factory=list)
    _previous: list[_Slot] = field(default_factory=list)
    """The slots whose place `_slots` take as soon as these have lived for long enough."""
    _retired: set[int] = field(default_factory=set)
    _stop_signal: signal.Signals = signal.SIGTERM
    _has_terminal: bool = False

    def run(self) -> int:
        """Keep a worker running for each job until a stop signal; return the exit status of the whole."""
        self._has_terminal = _is_terminal()
        with block_signals():
            gc.collect()
            gc.freeze()  # workers then do not copy pages only because the collector marked them
            try:
                self._slots = [_Slot(job) for job in self.jobs]
                self._spawn_due()
                fault = self._supervise()
                self.close_shared()
                self._stop()
            finally:
                self._signal_all(signal.SIGKILL)
        if fault is not None:
            print(f"partage: {fault}", file=sys.stderr)
        return 0 if fault is None else 1

    def _supervise(self) -> str | None:
        while True:
            caught = signal.sigtimedwait(_WATCHED, _TICK_SECONDS)
            if caught is not None and self._is_stop(signal.Signals(caught.si_signo)):
                return None
            if caught is not None and caught.si_signo == signal.SIGHUP:
                self._reload()
            fault = self._reap() or next(filter(None, (each.fault() for each in self.dependencies)), None)
            if fault is not None:
                return fault
            self._spawn_due()
            self._retire_previous()

    def _is_stop(self, number: signal.Signals) -> bool:
        """Say whether a signal ends all this: SIGHUP does when the terminal is gone, or when there is nothing to reload."""
        if number in _STOPS:
            self._stop_signal = number
            return True
        return number == signal.SIGHUP and (self.reload is None or (self._has_terminal and not _is_terminal()))

    def _reload(self) -> None:
        """Let workers with new jobs start beside those there are, which are still needed if that does not work."""
        if self.reload is None or self._previous:
            return  # new workers are starting already; whoever changed the settings since then asks again
        try:
            jobs = self.reload()
        except problems.Problem as problem:
            _LOG.error("nothing was changed: %s", problem)
            return
        self._previous, self._slots = self._slots, [_Slot(job) for job in jobs]

    def _retire_previous(self) -> None:
        """Let the workers of before retire, once the new ones have all lived for long enough."""
        now = time.monotonic()
        for slot in (*self._slots, *self._previous):
            slot.update_age(now)
        if self._previous and all(slot.has_started for slot in self._slots):
            self._retire(self._previous, signal.SIGHUP)
            self._previous = []
            _LOG.warning("settings and policy were read again")

    def _retire(self, slots: Sequence[_Slot], number: signal.Signals) -> None:
        for slot in slots:
            if slot.pid is not None:
                os.kill(slot.pid, number)
                self._retired.add(slot.pid)

    def _reap(self) -> str | None:
        """See who has died, and who is to be replaced when; return a reason to end if there is one."""
        for slot, pid, status in self._reap_exited():
            now = time.monotonic()
            slot.update_age(now)
            slot.pid = None
            code = os.waitstatus_to_exitcode(status)
            if self._previous and slot in self._slots:
                self._retire(self._slots, signal.SIGTERM)
                self._slots, self._previous = self._previous, []
                _LOG.error("nothing was changed: a worker with the new settings ended with status %d", code)
                return None
            if code == _FAILED_AT_START and not slot.has_started and slot.quick_exits == 0:
                return "a worker could not start; the reason stands above"
            slot.quick_exits = slot.quick_exits + 1 if now - slot.since < _QUICK_EXIT_SECONDS else 0
            if all(each.quick_exits >= _MAX_QUICK_EXITS and not each.has_started for each in self._slots):
                return f"workers die as soon as they start, the last one with status {code}"
            pause = slot.backoff_seconds()
            slot.not_before = now + pause
            _LOG.warning("worker %d ended with status %d and is replaced%s", pid, code, f" in {pause:g} s" if pause else "")
        return None

    def _reap_exited(self) -> Iterator[tuple[_Slot, int, int]]:
        """Find each worker that has ended: its number may be another process's from now on."""
        for pid in tuple(self._retired):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._retired.discard(pid)
        for slot in (*self._slots, *self._previous):
            if slot.pid is not None:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    yield slot, pid, status

    def _spawn_due(self) -> None:
        now = time.monotonic()
        for slot in (*self._slots, *self._previous):
            if slot.pid is None and now >= slot.not_before:
                slot.since = now
                slot.pid = _spawn(slot.job)

    def _stop(self) -> None:
        self._signal_all(self._stop_signal)
        end = time.monotonic() + self.grace_seconds + _CLEANUP_SECONDS
        notice = time.monotonic() + 1.0
        while self._pids() and time.monotonic() < end:
            caught = signal.sigtimedwait(_WATCHED, _TICK_SECONDS)
            for slot, _pid, _status in self._reap_exited():
                slot.pid = None
            if caught is not None and caught.si_signo in _STOPS:
                return
            if self._pids() and time.monotonic() > notice:
                notice = end
                print(f"Waiting up to {self.grace_seconds:g} s for running transfers; Ctrl-C again ends them", flush=True)

    def _pids(self) -> list[int]:
        slots = (*self._slots, *self._previous)
        return [*self._retired, *(slot.pid for slot in slots if slot.pid is not None)]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            os.kill(pid, number)
            if number == signal.SIGKILL:
                os.waitpid(pid, 0)
        if number == signal.SIGKILL:
            self._retired.clear()
            for slot in (*self._slots, *self._previous):
                slot.pid = None


@contextlib.contextmanager
def block_signals() -> Iterator[None]:
    """Let signals wait for whoever asks for them. What was not asked for when the block ends is forgotten.

    So a stop signal is the same from the greeting on, whatever the parent does at that moment.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        yield
    finally:
        if not before & _WATCHED:  # the outermost block
            while signal.sigtimedwait(_WATCHED, 0) is not None:
                pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _spawn(job: Job) -> int:
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become_worker(parent, job)
    return pid


def _become_worker(parent: int, work: Job) -> NoReturn:
    status = _FAILED_AT_START
    try:
        os.setpgid(0, 0)
        children.end_with_parent(parent, signal.SIGTERM)
        for number in (*_STOPS, signal.SIGHUP):
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
