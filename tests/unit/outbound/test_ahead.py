"""Several requests at a time: results in order, a bounded number under way, failures in their place."""

import threading
from collections.abc import Callable

import pytest

from partage.outbound.ahead import run_ahead


def test_results_come_in_the_order_of_the_calls() -> None:
    first_may_end = threading.Event()

    def first() -> int:
        assert first_may_end.wait(30)
        return 1

    def second() -> int:
        first_may_end.set()
        return 2

    assert list(run_ahead([first, second, lambda: 3], at_once=2)) == [1, 2, 3]


def test_no_more_calls_are_made_than_are_allowed_at_once() -> None:
    begun: list[int] = []

    def call(number: int) -> Callable[[], int]:
        begun.append(number)
        return lambda: number

    results = run_ahead((call(number) for number in range(10)), at_once=3)
    assert next(results) == 0
    assert begun == [0, 1, 2]
    assert next(results) == 1
    assert begun == [0, 1, 2, 3]
    results.close()


def test_failure_is_raised_after_the_results_before_it() -> None:
    def fail() -> int:
        raise ValueError("broken")

    results = run_ahead([lambda: 1, fail, lambda: 3], at_once=3)
    assert next(results) == 1
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert list(results) == []
