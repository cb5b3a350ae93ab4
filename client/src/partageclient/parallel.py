"""Carry out one function for many values at once: a bounded number at a time, with progress, and Ctrl-C between them."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TextIO, TypeVar

from partageclient import errors

CONCURRENCY = 8
"""Requests at a time. A pool of connections of `requests` has ten."""

Progress = Callable[[int, int], None]
"""Is called with the number of values that are done, and the number of all."""

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")


def run(
    function: Callable[[_Value], _Result],
    values: Iterable[_Value],
    *,
    progress: Progress | None = None,
    concurrency: int = CONCURRENCY,
) -> list[_Result]:
    """Call the function for each value, and return the results in the order of the values.

    No more than `concurrency` calls run at a time. The first exception ends the run: calls that have begun are waited for, others
    are not begun. So a function whose failure should not stop the others returns it.

    Raises:
        Interrupted: Ctrl-C was pressed. Calls that had begun were waited for.
    """
    given: Sequence[_Value] = list(values)
    results: dict[int, _Result] = {}
    waiting = deque(enumerate(given))
    with ThreadPoolExecutor(max_workers=max(1, min(concurrency, len(given)))) as threads:
        begun: dict[Future[_Result], int] = {}
        try:
            while waiting or begun:
                while waiting and len(begun) < concurrency:
                    index, value = waiting.popleft()
                    begun[threads.submit(function, value)] = index
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    results[begun.pop(future)] = future.result()
                if progress is not None:
                    progress(len(results), len(given))
        except KeyboardInterrupt as interrupt:
            for future, index in begun.items():
                if future.exception() is None:
                    results[index] = future.result()
            done: list[object] = [results[index] for index in sorted(results)]
            raise errors.Interrupted(done, len(given) - len(done)) from interrupt
    return [results[index] for index in range(len(given))]


def read(function: Callable[[_Value], _Result], values: Iterable[_Value], *, progress: Progress | None = None) -> list[_Result]:
    """Call a function that changes nothing for each value, as `run` does. After Ctrl-C there are no results.

    Raises:
        Interrupted: Ctrl-C was pressed; it has no results, because what was read is no outcome of a change.
    """
    given = list(values)
    try:
        return run(function, given, progress=progress)
    except errors.Interrupted as interrupt:
        raise errors.Interrupted([], len(given)) from interrupt


class ProgressLine:
    """Shows progress as one line on a terminal, from the second second on; nothing where the stream is no terminal."""

    def __init__(self, words: str, stream: TextIO | None = None, *, after_seconds: float = 1.0) -> None:
        self._words, self._stream = words, stream or sys.stderr
        self._from = time.monotonic() + after_seconds
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show how many are done."""
        if self._stream.isatty() and (self._shown or time.monotonic() >= self._from):
            self._stream.write(f"\r{self._words}: {done} of {total}\x1b[K")
            self._stream.flush()
            self._shown = True

    def close(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False
