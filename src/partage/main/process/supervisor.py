"""The supervisor of worker processes: spawn, reap and restart them with back-off, reload on SIGHUP, stop.

The parent only waits for signals. It forks after every module is imported and before any thread or connection exists, so workers
start in milliseconds and share memory. Each worker has its own process group: Ctrl-C on a terminal reaches only the parent, which
forwards the stop signal; a second one kills the workers at once.
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
from partage.main import logs
from partage.main.process import children, service_manager

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
    """Another child of the parent, without which workers cannot run."""

    def fault(self) -> str | None:
        """Return a sentence that says that the child has ended, or None while it runs."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A job and the worker that runs it now. Times are on the monotonic clock."""

    job: Job
    pid: int | None = None
    since: float = 0.0
    not_before: float = 0.0
    quick_exits: int = 0
    has_started: bool = False
    """A worker of this slot has run long enough to count as started."""

    def update_age(self, now: float) -> None:
        """Reset the count of quick exits once the worker has run long enough."""
        if self.pid is not None and now - self.since >= _QUICK_EXIT_SECONDS:
            self.has_started = True
            self.quick_exits = 0

    def backoff_seconds(self) -> float:
        """Return the back-off before the next spawn: none after one quick exit, then doubled each time."""
        return 0.0 if self.quick_exits <= 1 else min(_MAX_BACKOFF_SECONDS, _MIN_BACKOFF_SECONDS * 2.0 ** (self.quick_exits - 2))


@dataclass(slots=True)
class Supervisor:
    """Spawns workers and reaps them. Used by the parent's only thread.

    `reload` returns the jobs of workers that replace the present ones, or raises a Problem; without it SIGHUP is a stop signal.
    `close_shared` is called when no more workers will be spawned, to close what only workers need.
    """

    jobs: Sequence[Job]
    grace_seconds: float
    dependencies: Sequence[Dependency] = ()
    reload: Callable[[], Sequence[Job]] | None = None
    close_shared: Callable[[], None] = lambda: None
    _slots: list[_Slot] = field(default_factory=list)
    _previous: list[_Slot] = field(default_factory=list)
    """The slots before a reload. They are retired when all workers of `_slots` have started."""
    _retired: set[int] = field(default_factory=set)
    _stop_signal: signal.Signals = signal.SIGTERM
    _has_terminal: bool = False
    _is_ready: bool = False
    _alive_at: float = float("-inf")
    """When the last sign of life was sent to the watchdog."""

    def run(self) -> int:
        """Keep a worker running for each job until a stop signal; return the exit status of the program."""
        self._has_terminal = _is_terminal()
        with block_signals():
            gc.collect()
            gc.freeze()  # otherwise the collector's marks make workers copy shared pages
            try:
                self._slots = [_Slot(job) for job in self.jobs]
                self._spawn_due()
                fault = self._supervise()
                service_manager.notify("STOPPING=1")
                self.close_shared()
                self._stop()
            finally:
                self._signal_all(signal.SIGKILL)
        if fault is not None:
            logs.print_failure(fault)
        return 0 if fault is None else 1

    def _supervise(self) -> str | None:
        while True:
            self._report_state()
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

    def _report_state(self) -> None:
        """Tell the service manager once that all workers run, and its watchdog again and again that this process does."""
        now = time.monotonic()
        if not self._is_ready and all(slot.pid is not None and now - slot.since >= _QUICK_EXIT_SECONDS for slot in self._slots):
            self._is_ready = True
            service_manager.notify("READY=1")
        pause = service_manager.find_watchdog_pause()
        if pause is not None and now >= self._alive_at + pause:
            self._alive_at = now
            service_manager.notify("WATCHDOG=1")

    def _is_stop(self, number: signal.Signals) -> bool:
        """Return whether a signal stops the program. SIGHUP does when the terminal was closed, or when there is no `reload`."""
        if number in _STOPS:
            self._stop_signal = number
            return True
        return number == signal.SIGHUP and (self.reload is None or (self._has_terminal and not _is_terminal()))

    def _reload(self) -> None:
        """Spawn workers with new jobs beside the present ones, which stay if the new workers fail."""
        if self.reload is None or self._previous:
            return  # a reload is in progress; after a later change of settings SIGHUP is sent again
        try:
            jobs = self.reload()
        except problems.Problem as problem:
            _LOG.error("reload failed, the workers keep the old settings: %s", problem)
            return
        self._previous, self._slots = self._slots, [_Slot(job) for job in jobs]

    def _retire_previous(self) -> None:
        """Retire the workers before a reload, once all new workers have started."""
        now = time.monotonic()
        for slot in (*self._slots, *self._previous):
            slot.update_age(now)
        if self._previous and all(slot.has_started for slot in self._slots):
            self._retire(self._previous, signal.SIGHUP)
            self._previous = []
            _LOG.warning("reload complete: new workers run with the present settings and policy")

    def _retire(self, slots: Sequence[_Slot], number: signal.Signals) -> None:
        for slot in slots:
            if slot.pid is not None:
                os.kill(slot.pid, number)
                self._retired.add(slot.pid)

    def _reap(self) -> str | None:
        """Reap exited workers and schedule their replacements; return a reason to stop the program, or None."""
        for slot, pid, status in self._reap_exited():
            now = time.monotonic()
            slot.update_age(now)
            slot.pid = None
            code = os.waitstatus_to_exitcode(status)
            if self._previous and slot in self._slots:
                self._retire(self._slots, signal.SIGTERM)
                self._slots, self._previous = self._previous, []
                _LOG.error(
                    "reload failed, the workers keep the old settings: a new worker exited with status %d, see the error above",
                    code,
                )
                return None
            if code == _FAILED_AT_START and not slot.has_started and slot.quick_exits == 0:
                return "a worker could not start; see the error above"
            slot.quick_exits = slot.quick_exits + 1 if now - slot.since < _QUICK_EXIT_SECONDS else 0
            if all(each.quick_exits >= _MAX_QUICK_EXITS and not each.has_started for each in self._slots):
                return f"every worker exits as soon as it starts, the last one with status {code}; see the errors above"
            pause = slot.backoff_seconds()
            slot.not_before = now + pause
            _LOG.warning("worker %d exited with status %d and is restarted%s", pid, code, f" in {pause:g} s" if pause else "")
        return None

    def _reap_exited(self) -> Iterator[tuple[_Slot, int, int]]:
        """Reap each exited worker and yield it. From then on its pid may be reused."""
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
                _LOG.info("waiting up to %g s for running transfers; Ctrl-C again ends them", self.grace_seconds)

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
    """Block signals, so that they wait for `sigtimedwait`. Signals that are still pending at the end of the block are discarded.

    So a stop signal has the same effect from the first message on, whatever the parent does at that moment.
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
        logs.print_failure(str(problem))
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else _FAILED_AT_START
    except BaseException:  # noqa: BLE001 - nothing above this line is the worker's: it must not return into the parent's code
        _LOG.exception("a worker failed and exits with status 1")
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # a thread that still reads from a silent client must not keep the process alive
