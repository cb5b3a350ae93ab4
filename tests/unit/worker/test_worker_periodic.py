"""Periodic jobs: after any exception a job is retried, others are not delayed, and the log says so once; stopping waits."""

import errno
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from partage import problems
from partage.worker.periodic import JobRunner, PeriodicJob


class Stop(threading.Event):
    """An event whose waiting moves a clock of its own; it is set when `until` is reached."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.now = 0.0
        self._until = until

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if self.now >= self._until:
            self.set()
        return self.is_set()


@dataclass
class Attempts:
    """What a job does: note when, and raise as long as `error` gives something to raise."""

    stop: Stop
    error: Callable[[float], BaseException | None] = lambda _now: None
    times: list[float] = field(default_factory=list)

    def __call__(self) -> bool:
        self.times.append(self.stop.now)
        raised = self.error(self.stop.now)
        if raised is not None:
            raise raised
        return False


KINDS = [
    OSError(errno.EMFILE, "Too many open files"),
    problems.DatabaseUnavailable("away"),
    ValueError("nobody foresaw this"),
    MemoryError(),
    RuntimeError("can't start new thread"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_job_goes_on_after_any_exception(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stop = Stop(until=100)
    act = Attempts(stop, lambda now: error if now < 50 else None)
    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=act, interval_seconds=1, max_backoff_seconds=8)])
    pauses = [after - before for before, after in zip(act.times, act.times[1:], strict=False)]
    assert pauses[:6] == [1, 2, 4, 8, 8, 8]
    assert pauses[-5:] == [1] * 5
    told = [each.getMessage() for each in caplog.records]
    assert [words for words in told if "Looking failed" in words and type(error).__name__ in words] == told[:1]
    assert told[1:] == ["Looking works again after 9 failures in a row"]


def test_each_kind_of_failure_is_logged_once_in_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop(until=1250)
    act = Attempts(stop, lambda now: OSError(errno.EMFILE if int(now) % 2 else errno.EIO, "broken"))
    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=act, interval_seconds=1, max_backoff_seconds=1)])
    assert len(act.times) > 1000
    assert len(caplog.records) == 6  # two kinds, at the start, after ten minutes and after twenty


def test_a_job_that_fails_now_and_then_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop(until=500)
    act = Attempts(stop, lambda now: OSError("broken") if int(now) % 2 else None)
    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=act, interval_seconds=1)])
    assert len(act.times) > 400
    assert len(caplog.records) == 2


def test_failing_job_does_not_delay_others() -> None:
    stop = Stop(until=100)
    broken, sound = Attempts(stop, lambda _now: OSError(errno.EMFILE, "Too many open files")), Attempts(stop)
    JobRunner(stop, monotonic=stop.monotonic).run(
        [PeriodicJob(name="broken", run=broken, interval_seconds=5), PeriodicJob(name="sound", run=sound, interval_seconds=5)],
    )
    assert sound.times == [5.0 * number for number in range(20)]
    assert broken.times == [0, 5, 15, 35, 75]


def test_job_with_more_to_do_does_not_pause() -> None:
    stop = Stop(until=10)
    left = [True, True, True, False]
    times: list[float] = []

    def act() -> bool:
        times.append(stop.now)
        return left.pop(0) if left else False

    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=act, interval_seconds=5)])
    assert times == [0, 0, 0, 0, 5]


def test_begin_and_end_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stop = Stop(until=1)
    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=lambda: False, interval_seconds=1)])
    assert [each.getMessage() for each in caplog.records] == ["started: Looking", "stopped: Looking"]


def test_failure_says_when_the_next_attempt_is(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop(until=1)
    act = Attempts(stop, lambda _now: problems.DatabaseUnavailable("away"))
    JobRunner(stop, monotonic=stop.monotonic).run([PeriodicJob(name="Looking", run=act, interval_seconds=1)])
    assert caplog.messages[0].startswith("Looking failed, next attempt in 1 s: ")


def test_end_of_the_block_waits_for_the_job_that_is_running() -> None:
    is_running, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> bool:
        is_running.set()
        may_end.wait(60)
        ended.set()
        return False

    with JobRunner() as runner:
        runner.start("looking", [PeriodicJob(name="Looking", run=work, interval_seconds=1)])
        assert is_running.wait(60)
        threading.Timer(0.1, may_end.set).start()
    assert ended.is_set()
    assert "looking" not in {each.name for each in threading.enumerate()}


def test_job_that_hangs_is_reported_and_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    is_running, may_end = threading.Event(), threading.Event()

    def hang() -> bool:
        is_running.set()
        return may_end.wait(60)

    runner = JobRunner()
    runner.start("looking", [PeriodicJob(name="Looking", run=hang, interval_seconds=1)])
    assert is_running.wait(60)
    runner.stop(timeout_seconds=0.1)
    assert caplog.messages == [
        "looking is still running 0.1 s after the stop; the process ends without it, and its work is repeated later"
    ]
    may_end.set()
    runner.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_stop_signal_ends_the_jobs(number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    runner = JobRunner()

    def work() -> bool:
        os.kill(os.getpid(), number)
        return False

    try:
        runner.stop_on_signals()
        runner.run([PeriodicJob(name="Looking", run=work, interval_seconds=60)])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert runner.stopping.is_set()
