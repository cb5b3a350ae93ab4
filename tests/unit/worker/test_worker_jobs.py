"""Jobs that are repeated: whatever one raises, it goes on, the others are not delayed, and the log says so once."""

import errno
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from partage import problems
from partage.worker import jobs
from partage.worker.jobs import Job


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
    jobs.repeat([Job(name="Looking", act=act, interval_seconds=1, longest_pause_seconds=8)], stop, monotonic=stop.monotonic)
    pauses = [after - before for before, after in zip(act.times, act.times[1:], strict=False)]
    assert pauses[:6] == [1, 2, 4, 8, 8, 8]
    assert pauses[-5:] == [1] * 5
    told = [each.getMessage() for each in caplog.records]
    assert [words for words in told if "Looking failed" in words and type(error).__name__ in words] == told[:1]
    assert told[1:] == ["Looking works again, after 9 failures in a row"]


def test_each_kind_of_failure_is_logged_once_in_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop(until=1250)
    act = Attempts(stop, lambda now: OSError(errno.EMFILE if int(now) % 2 else errno.EIO, "broken"))
    jobs.repeat([Job(name="Looking", act=act, interval_seconds=1, longest_pause_seconds=1)], stop, monotonic=stop.monotonic)
    assert len(act.times) > 1000
    assert len(caplog.records) == 6  # two kinds, at the start, after ten minutes and after twenty


def test_a_job_that_fails_now_and_then_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stop = Stop(until=500)
    act = Attempts(stop, lambda now: OSError("broken") if int(now) % 2 else None)
    jobs.repeat([Job(name="Looking", act=act, interval_seconds=1)], stop, monotonic=stop.monotonic)
    assert len(act.times) > 400
    assert len(caplog.records) == 2


def test_failing_job_does_not_delay_others() -> None:
    stop = Stop(until=100)
    broken, sound = Attempts(stop, lambda _now: OSError(errno.EMFILE, "Too many open files")), Attempts(stop)
    jobs.repeat(
        [Job(name="broken", act=broken, interval_seconds=5), Job(name="sound", act=sound, interval_seconds=5)],
        stop,
        monotonic=stop.monotonic,
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

    jobs.repeat([Job(name="Looking", act=act, interval_seconds=5)], stop, monotonic=stop.monotonic)
    assert times == [0, 0, 0, 0, 5]
