"""Many calls at once: in order, bounded, stopped by Ctrl-C between calls."""

import io
import threading

import pytest

from partageclient import errors, parallel


def test_results_are_in_the_order_of_the_values() -> None:
    gates = [threading.Event() for _ in range(4)]

    def call(number: int) -> int:
        if number + 1 < len(gates):
            gates[number + 1].wait(10)  # each waits for the next one
        gates[number].set()
        return number * 10

    assert parallel.run(call, range(4)) == [0, 10, 20, 30]


def test_no_more_calls_run_at_a_time_than_allowed() -> None:
    lock, running, most = threading.Lock(), 0, 0
    all_in = threading.Barrier(3)

    def call(_number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_in.wait(10)
        with lock:
            running -= 1

    parallel.run(call, range(12), concurrency=3)
    assert most == 3


def test_interrupt_reports_what_is_done_and_what_was_not_begun() -> None:
    begun = []

    def press(done: int, _total: int) -> None:
        if done >= 3:
            raise KeyboardInterrupt

    def call(number: int) -> int:
        begun.append(number)
        return number

    with pytest.raises(errors.Interrupted) as caught:
        parallel.run(call, range(100), progress=press, concurrency=2)
    assert sorted(caught.value.results) == sorted(begun)
    assert len(begun) < 10
    assert caught.value.left == 100 - len(begun)


def test_interrupt_of_what_only_reads_has_no_results() -> None:
    def press(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(errors.Interrupted) as caught:
        parallel.read(str, range(30), progress=press)
    assert (caught.value.results, caught.value.left) == ([], 30)


def test_first_exception_ends_the_run() -> None:
    begun = []

    def call(number: int) -> None:
        begun.append(number)
        raise errors.NotFound("Find it", "it is not there")

    with pytest.raises(errors.NotFound):
        parallel.run(call, range(100), concurrency=2)
    assert len(begun) <= 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_terminals_only_and_removed_at_the_end() -> None:
    for stream, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        line = parallel.ProgressLine("Images", stream, after_seconds=0)
        line(3, 10)
        line.close()
        assert ("Images: 3 of 10" in stream.getvalue()) is is_shown
        assert stream.getvalue().endswith("\r\x1b[K") is is_shown
