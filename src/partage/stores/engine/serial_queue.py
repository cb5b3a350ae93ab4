"""A serial queue: processes items in order, one at a time, on any free thread of a shared pool.

The writer's hashing, packing and putting are serial queues, so that a stream uses several cores and does not wait for the disk. An
idle stream holds no thread.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Generic, TypeVar

T = TypeVar("T")

Done = Callable[[], None]

_ITEMS_IN_TURN = 8
"""After this many items a queue lets other queues use the thread."""


def _do_nothing() -> None:
    pass


class SerialQueue(Generic[T]):
    """Call `work` for every item, in order, one at a time, on threads of `pool`. Thread-safe.

    Holds at most `depth` items, including the one being processed; `put` waits for room. When `work` raises, later items are
    dropped, and the next `put` or `finish` raises the same exception. An item's `done` is called exactly once, after the item was
    processed or dropped. What `work` measures belongs to the trace in which the queue was made.
    """

    def __init__(self, pool: Executor, work: Callable[[T], None], *, depth: int) -> None:
        """Start no work yet."""
        self._pool = pool
        self._work = work
        self._depth = depth
        self._context = copy_context()
        self._changed = threading.Condition()
        self._items: deque[tuple[T, Done]] = deque()
        self._pending = 0
        self._is_scheduled = False
        self._is_closed = False
        self._failure: BaseException | None = None

    def put(self, item: T, done: Done = _do_nothing) -> None:
        """Add an item; wait for room.

        Raises: what `work` raised for an earlier item.
        """
        with self._changed:
            while self._pending >= self._depth and self._takes:
                self._changed.wait()
        if not self.put_now(item, done) and self._failure is not None:
            raise self._failure

    def put_now(self, item: T, done: Done = _do_nothing) -> bool:
        """Add an item without waiting, even beyond `depth`; return False if it was dropped at once."""
        with self._changed:
            takes = self._takes
            if takes:
                self._items.append((item, done))
                self._pending += 1
                self._schedule()
        if not takes:
            done()
        return takes

    def finish(self) -> None:
        """Wait until all items are processed.

        Raises: what `work` raised.
        """
        self._wait_until_idle()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Drop waiting items, wait for the current one, and accept no more."""
        with self._changed:
            self._is_closed = True
            dropped = self._drop_waiting()
        for done in dropped:
            done()
        self._wait_until_idle()

    @property
    def _takes(self) -> bool:
        return not self._is_closed and self._failure is None

    def _wait_until_idle(self) -> None:
        with self._changed:
            while self._pending:
                self._changed.wait()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._pool.submit(self._context.copy().run, self._run)  # first: it raises when the process ends
            self._is_scheduled = True

    def _run(self) -> None:
        """Process some items, then let other queues use the thread."""
        for _ in range(_ITEMS_IN_TURN):
            with self._changed:
                if not self._items:
                    self._is_scheduled = False
                    return
                item, done = self._items.popleft()
            self._do(item)
            del item
            done()
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()
        with self._changed:
            self._is_scheduled = False
            if self._items:
                self._schedule()

    def _do(self, item: T) -> None:
        try:
            self._work(item)
        except BaseException as error:  # noqa: BLE001 - the next `put` or `finish` raises it
            with self._changed:
                self._failure = error
                dropped = self._drop_waiting()
            for done in dropped:
                done()

    def _drop_waiting(self) -> list[Done]:
        dropped = [done for _item, done in self._items]
        self._items.clear()
        self._pending -= len(dropped)
        self._changed.notify_all()
        return dropped
