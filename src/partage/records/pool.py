"""A connection pool (last in, first out) that closes idle connections."""

import time
from typing import cast

from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util.queue import Queue

_RETURNED = "partage: when the connection came back, on the monotonic clock"


class IdleClosingPool(QueuePool):
    """A `QueuePool` that closes connections that have been idle for longer than `idle_seconds`.

    It does so whenever a connection is returned. Each process uses the database every few seconds, so no thread is needed. It needs
    `use_lifo`: the connection with the longest idle time is then the first in the queue.
    """

    idle_seconds: float

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        record.info[_RETURNED] = time.monotonic()
        super()._do_return_conn(record)
        while (idle := self._take_idle()) is not None:
            try:
                idle.close()
            finally:
                self._dec_overflow()

    def _take_idle(self) -> ConnectionPoolEntry | None:
        returned_before = time.monotonic() - self.idle_seconds
        waiting = cast("Queue[ConnectionPoolEntry]", self._pool)
        with waiting.mutex:
            if waiting.queue and waiting.queue[0].info.get(_RETURNED, returned_before) < returned_before:
                return waiting.queue.popleft()
        return None


def make_pool_class(idle_seconds: float) -> type[IdleClosingPool]:
    """Return a pool class with this idle time. SQLAlchemy needs a class: it creates a new pool whenever the engine is disposed."""
    return type("IdleClosingPool", (IdleClosingPool,), {"idle_seconds": idle_seconds})
