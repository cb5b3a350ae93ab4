"""A strand: one thing is done to items in the order in which they come, by whichever thread of a shared pool is free.

The writer's hashing, packing and putting are strands, so that a stream uses several cores and does not wait for the disk; a stream
that has nothing to do holds no thread.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")

Then = Callable[[], None]

_ITEMS_IN_TURN = 8
"""After so many items a strand goes behind the others that wait for a thread."""


def _nothing() -> None:
    pass


class Strand(Generic[T]):
    """Do `work` to every item given, in order, one at a time, on threads of `pool`. Thread-safe.

    `give` waits while `depth` items are in its hands, the one that is worked on among them. When `work` raises, what comes after is
    dropped, and whoever gives or finishes next gets the problem. What is given with an item as `then` is called when the item was
    worked on or dropped, exactly once in every case.
    """

    def __init__(self, pool: Executor, work: Callable[[T], None], *, depth: int) -> None:
        """Start nothing yet."""
        self._pool = pool
        self._work = work
        self._depth = depth
        self._changed = threading.Condition()
        self._items: deque[tuple[T, Then]] = deque()
        self._in_hands = 0
        self._is_scheduled = False
        self._is_closed = False
        self._failure: BaseException | None = None

    def give(self, item: T, then: Then = _nothing) -> None:
        """Hand over an item; wait for room.

        Raises: what `work` raised for an earlier one.
        """
        with self._changed:
            while self._in_hands >= self._depth and self._takes:
                self._changed.wait()
        if not self.offer(item, then) and self._failure is not None:
            raise self._failure

    def offer(self, item: T, then: Then = _nothing) -> bool:
        """Hand over an item without waiting, whatever the depth; say whether it was taken and not dropped at once."""
        with self._changed:
            takes = self._takes
            if takes:
                self._items.append((item, then))
                self._in_hands += 1
                self._schedule()
        if not takes:
            then()
        return takes

    def finish(self) -> None:
        """Wait until everything given is done.

        Raises: what `work` raised.
        """
        self._wait_until_idle()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Drop what waits, wait for what is worked on, and take nothing more."""
        with self._changed:
            self._is_closed = True
            dropped = self._drop_waiting()
        for then in dropped:
            then()
        self._wait_until_idle()

    @property
    def _takes(self) -> bool:
        return not self._is_closed and self._failure is None

    def _wait_until_idle(self) -> None:
        with self._changed:
            while self._in_hands:
                self._changed.wait()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._pool.submit(self._run)  # first: it raises when the process ends
            self._is_scheduled = True

    def _run(self) -> None:
        """Work on some items, then let other strands have the thread."""
        for _ in range(_ITEMS_IN_TURN):
            with self._changed:
                if not self._items:
                    self._is_scheduled = False
                    return
                item, then = self._items.popleft()
            self._do(item)
            del item
            then()
            with self._changed:
                self._in_hands -= 1
                self._changed.notify_all()
        with self._changed:
            self._is_scheduled = False
            if self._items:
                self._schedule()

    def _do(self, item: T) -> None:
        try:
            self._work(item)
        except BaseException as error:  # noqa: BLE001 - carried to whoever gives next, who raises it
            with self._changed:
                self._failure = error
                dropped = self._drop_waiting()
            for then in dropped:
                then()

    def _drop_waiting(self) -> list[Then]:
        dropped = [then for _item, then in self._items]
        self._items.clear()
        self._in_hands -= len(dropped)
        self._changed.notify_all()
        return dropped
