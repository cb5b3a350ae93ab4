"""Make several requests at a time, and return their results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")


def run_ahead(calls: Iterable[Callable[[], _Result]], *, at_once: int) -> Generator[_Result, None, None]:
    """Yield the results of calls in their order; at most `at_once` of them run, or wait to be yielded.

    Lazy: a call begins when the consumer is less than `at_once` results behind. A failure is raised in its place. When the consumer
    closes the generator, calls that have begun end by themselves, and nobody waits for them.
    """
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="ahead")
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) == at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
