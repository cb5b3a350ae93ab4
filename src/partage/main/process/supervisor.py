"""Worker processes: fork them, replace one that dies, renew them all, end them all.

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
_SHORT_LIFE_SECONDS = 2.0
_SHORT_LIVES = 5
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_TIDYING_SECONDS = 5.0
_TICK_SECONDS = 0.2

Duty = Callable[[], None]


class Companion(Protocol):
    """Another child of the parent that workers cannot do without."""

    def fault(self) -> str | None:
        """Say in a sentence that it is no longer there, or None."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A duty, and the worker that does it at the moment. Times are on the monotonic clock."""

    duty: Duty
    pid: int | None = None
    since: float = 0.0
    not_before: float = 0.0
    short_lives: int = 0
    has_worked: bool = False
    """A worker of this slot has lived for long enough to have started."""

    def note_age(self, now: float) -> None:
        """Forget the short lives of workers before, if this one lives for long enough."""
        if self.pid is not None and now - self.since >= _SHORT_LIFE_SECONDS:
            self.has_worked = True
            self.short_lives = 0

    def pause_seconds(self) -> float:
        """Say how long to wait before the next worker: nothing after one short life, then twice as long each time."""
        return 0.0 if self.short_lives <= 1 else min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (self.short_lives - 2))


@dataclass(slots=True)
class Crew:
    """Workers and what became of them. Used by the parent's only thread.

    `renew` returns duties for workers that shall take the place of those there are, or raises a Problem; without it SIGHUP is a
    stop signal. `release` is called as soon as no more workers will be forked: the parent closes then what only workers need.
    """

    duties: Sequence[Duty]
    grace_seconds: float
    companions: Sequence[Companion] = ()
    renew: Callable[[], Sequence[Duty]] | None = None
    release: Callable[[], None] = lambda: None
    _slots: list[_Slot] = field(default_factory=list)
    _before: list[_Slot] = field(default_factory=list)
    """The slots whose place `_slots` take as soon as these have lived for long enough."""
    _retired: set[int] = field(default_factory=set)
    _asked: signal.Signals = signal.SIGTERM
    _has_terminal: bool = False

    def run(self) -> int:
        """Keep a worker running for each duty until a stop signal; return the exit status of the whole."""
        self._has_terminal = _is_terminal()
        with signals_held():
            gc.collect()
            gc.freeze()  # workers then do not copy pages only because the collector marked them
            try:
                self._slots = [_Slot(duty) for duty in self.duties]
                self._hire_due()
                fault = self._watch()
                self.release()
                self._stop()
            finally:
                self._signal_all(signal.SIGKILL)
        if fault is not None:
            print(f"partage: {fault}", file=sys.stderr)
        return 0 if fault is None else 1

    def _watch(self) -> str | None:
        while True:
            caught = signal.sigtimedwait(_WATCHED, _TICK_SECONDS)
            if caught is not None and self._is_stop(signal.Signals(caught.si_signo)):
                return None
            if caught is not None and caught.si_signo == signal.SIGHUP:
                self._begin_anew()
            fault = self._bury() or next(filter(None, (each.fault() for each in self.companions)), None)
            if fault is not None:
                return fault
            self._hire_due()
            self._take_over()

    def _is_stop(self, number: signal.Signals) -> bool:
        """Say whether a signal ends all this: SIGHUP does when the terminal is gone, or when there is nothing to renew."""
        if number in _STOPS:
            self._asked = number
            return True
        return number == signal.SIGHUP and (self.renew is None or (self._has_terminal and not _is_terminal()))

    def _begin_anew(self) -> None:
        """Let workers with new duties start beside those there are, which are still needed if that does not work."""
        if self.renew is None or self._before:
            return  # new workers are starting already; whoever changed the settings since then asks again
        try:
            duties = self.renew()
        except problems.Problem as problem:
            _LOG.error("nothing was changed: %s", problem)
            return
        self._before, self._slots = self._slots, [_Slot(duty) for duty in duties]

    def _take_over(self) -> None:
        """Let the workers of before retire, once the new ones have all lived for long enough."""
        now = time.monotonic()
        for slot in (*self._slots, *self._before):
            slot.note_age(now)
        if self._before and all(slot.has_worked for slot in self._slots):
            self._part_with(self._before, signal.SIGHUP)
            self._before = []
            _LOG.warning("settings and policy were read again")

    def _part_with(self, slots: Sequence[_Slot], number: signal.Signals) -> None:
        for slot in slots:
            if slot.pid is not None:
                os.kill(slot.pid, number)
                self._retired.add(slot.pid)

    def _bury(self) -> str | None:
        """See who has died, and who is to be replaced when; return a reason to end if there is one."""
        for slot, pid, status in self._ended():
            now = time.monotonic()
            slot.note_age(now)
            slot.pid = None
            code = os.waitstatus_to_exitcode(status)
            if self._before and slot in self._slots:
                self._part_with(self._slots, signal.SIGTERM)
                self._slots, self._before = self._before, []
                _LOG.error("nothing was changed: a worker with the new settings ended with status %d", code)
                return None
            if code == _FAILED_AT_START and not slot.has_worked and slot.short_lives == 0:
                return "a worker could not start; the reason stands above"
            slot.short_lives = slot.short_lives + 1 if now - slot.since < _SHORT_LIFE_SECONDS else 0
            if all(each.short_lives >= _SHORT_LIVES and not each.has_worked for each in self._slots):
                return f"workers die as soon as they start, the last one with status {code}"
            pause = slot.pause_seconds()
            slot.not_before = now + pause
            _LOG.warning("worker %d ended with status %d and is replaced%s", pid, code, f" in {pause:g} s" if pause else "")
        return None

    def _ended(self) -> Iterator[tuple[_Slot, int, int]]:
        """Find each worker that has ended: its number may be another process's from now on."""
        for pid in tuple(self._retired):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._retired.discard(pid)
        for slot in (*self._slots, *self._before):
            if slot.pid is not None:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    yield slot, pid, status

    def _hire_due(self) -> None:
        now = time.monotonic()
        for slot in (*self._slots, *self._before):
            if slot.pid is None and now >= slot.not_before:
                slot.since = now
                slot.pid = _fork(slot.duty)

    def _stop(self) -> None:
        self._signal_all(self._asked)
        end = time.monotonic() + self.grace_seconds + _TIDYING_SECONDS
        notice = time.monotonic() + 1.0
        while self._pids() and time.monotonic() < end:
            caught = signal.sigtimedwait(_WATCHED, _TICK_SECONDS)
            for slot, _pid, _status in self._ended():
                slot.pid = None
            if caught is not None and caught.si_signo in _STOPS:
                return
            if self._pids() and time.monotonic() > notice:
                notice = end
                print(f"Waiting up to {self.grace_seconds:g} s for running transfers; Ctrl-C again ends them", flush=True)

    def _pids(self) -> list[int]:
        slots = (*self._slots, *self._before)
        return [*self._retired, *(slot.pid for slot in slots if slot.pid is not None)]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            os.kill(pid, number)
            if number == signal.SIGKILL:
                os.waitpid(pid, 0)
        if number == signal.SIGKILL:
            self._retired.clear()
            for slot in (*self._slots, *self._before):
                slot.pid = None


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
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


def _fork(duty: Duty) -> int:
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become_worker(parent, duty)
    return pid


def _become_worker(parent: int, work: Duty) -> NoReturn:
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
