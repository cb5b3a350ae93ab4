"""Connections that are lent to transactions: those used last are lent first, and those that nobody used for a while are closed."""

import time
from typing import cast

from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.util.queue import Queue

_RETURNED = "partage: when the connection came back, on the monotonic clock"


class IdleClosingPool(QueuePool):
    """A `QueuePool` that gives back to the server what its process does not use.

    Every connection that comes back lets the pool close those that have been idle for longer than `idle_seconds`. Each process of
    the service asks the database for something every few seconds, so that this happens without a thread of its own. Made with
    `use_lifo`: the connection that has been idle for longest is then the first in the queue.
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
        lent_before = time.monotonic() - self.idle_seconds
        waiting = cast("Queue[ConnectionPoolEntry]", self._pool)
        with waiting.mutex:
            if waiting.queue and waiting.queue[0].info.get(_RETURNED, lent_before) < lent_before:
                return waiting.queue.popleft()
        return None


def make_pool_class(idle_seconds: float) -> type[IdleClosingPool]:
    """Make a pool that closes what was idle for so long. SQLAlchemy takes a class, which it makes anew whenever all is closed."""
    return type("IdleClosingPool", (IdleClosingPool,), {"idle_seconds": idle_seconds})
