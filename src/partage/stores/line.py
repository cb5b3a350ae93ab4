"""A line: one thread that does one thing to items handed over in order, a few at a time.

The writer's hashing, compressing and putting are lines, so that a stream uses several cores and does not wait for the disk.
"""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Do `work` to every item given, in order, on one thread. A context manager: leaving it ends the thread, always.

    At most `depth` items are in its hands, the one it works on among them. When `work` raises, what comes after is dropped, and
    whoever gives or finishes next gets the problem. One thread at a time gives.
    """

    def __init__(self, name: str, work: Callable[[T], None], *, depth: int) -> None:
        self._work = work
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(depth)
        self._failure: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name=f"partage-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the thread. What it works on is done to its end; what waits is dropped unless `finish` came first."""
        self._dropping = True
        self._stop()

    def give(self, item: T) -> None:
        """Hand over an item; wait for room.

        Raises: what `work` raised for an earlier one.
        """
        self._check()
        self._room.acquire()
        self._items.put(item)

    def finish(self) -> None:
        """Wait until everything given is done.

        Raises: what `work` raised.
        """
        self._stop()
        self._check()

    def _stop(self) -> None:
        self._items.put(None)
        self._thread.join()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        # Items are taken to the end even after a failure: a giver that waits for room must not wait for ever.
        while (item := self._items.get()) is not None:
            if not self._dropping:
                self._do(item)
            # Otherwise the item, perhaps megabytes, would live on until the next one comes.
            item = None
            self._room.release()

    def _do(self, item: T) -> None:
        try:
            self._work(item)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that gives, which raises it
            self._failure = error
            self._dropping = True
