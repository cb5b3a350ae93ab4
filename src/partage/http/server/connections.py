"""The connections of one process: their limit, their timeouts, and whether the process is stopping.

Belongs to the event loop's thread.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from uvicorn.server import ServerState

from partage.measures import Meter, Unmetered

HEAD_SECONDS = 60.0
IDLE_SECONDS = 65.0
PER_WORKER = 2000
UNSENT_BYTES = 128 << 20

_MOST_LINGERING = 64
_MOMENT_SECONDS = 1.0


_LOG = logging.getLogger(__name__)


class ClientConnection(Protocol):
    """One connection, as `Connections` sees it."""

    @property
    def unsent_bytes(self) -> int:
        """How many bytes of responses are still in the server's buffer; closing the connection waits for them."""

    @property
    def acknowledged_bytes(self) -> int:
        """A number that grows when the client acknowledges data."""

    def close_idle(self) -> None:
        """Close the connection, on which no request is running, to admit another one."""

    def reset(self) -> None:
        """Reset the connection and discard unsent data."""


class _SendRate:
    """How fast a client reads the rest of its response."""

    def __init__(self, connection: ClientConnection, now: float) -> None:
        self._since = now
        self._acknowledged_before = connection.acknowledged_bytes

    def bytes_per_second(self, connection: ClientConnection, now: float) -> float:
        """Return the rate since the response was ready; infinity during the first second."""
        seconds = now - self._since
        return (connection.acknowledged_bytes - self._acknowledged_before) / seconds if seconds >= _MOMENT_SECONDS else math.inf


class Connections(ServerState):
    """State that all connections of one server share.

    At most `most` connections are kept. Above that, the connection that has been idle longest is closed. If every connection has a
    running request or an unsent response, the new connection is refused.
    """

    def __init__(
        self,
        *,
        most: int = PER_WORKER,
        head_seconds: float = HEAD_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        unsent_bytes: int = UNSENT_BYTES,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without connections.

        `head_seconds`: timeout of a new connection, and of a head from its first byte to its last.
        `idle_seconds`: keep-alive timeout between two requests.
        `unsent_bytes`: limit of all unsent responses together.
        """
        super().__init__()
        self.meter: Meter = Unmetered() if meter is None else meter
        self.head_seconds = head_seconds
        self.idle_seconds = idle_seconds
        self.is_draining = False
        self.is_closing = False
        self.lingering = 0
        self._most = most
        self._unsent_bytes = unsent_bytes
        self._clock = clock
        self._idle: dict[ClientConnection, None] = {}
        self._unsent: dict[ClientConnection, _SendRate] = {}

    def mark_idle(self, connection: ClientConnection) -> None:
        """Add a connection at the end of the queue of idle connections."""
        self._idle.pop(connection, None)
        self._idle[connection] = None

    def mark_busy(self, connection: ClientConnection) -> None:
        """Remove a connection from the queue of idle connections."""
        self._idle.pop(connection, None)

    def admit(self) -> bool:
        """Return whether a new connection, which is already counted, can stay; close an idle one for it if necessary."""
        if len(self.connections) <= self._most:
            return True
        # Closing a connection with an unsent response would wait for its client, and hold descriptor and memory above the limit.
        longest = next((each for each in self._idle if not each.unsent_bytes), None)
        if longest is None:
            return False
        self.mark_busy(longest)
        longest.close_idle()
        return True

    def limit_unsent(self, connection: ClientConnection) -> None:
        """Count the unsent response of a connection; above the limit of all, reset the connection of the slowest client.

        A response is written to the buffer in one piece, so that no thread waits for a client. Without a limit, clients that do not
        read would fill the memory with lists.
        """
        if not connection.unsent_bytes:
            return
        now = self._clock()
        self._unsent.setdefault(connection, _SendRate(connection, now))
        sizes = {each: each.unsent_bytes for each in self._unsent}
        self._unsent = {each: taking for each, taking in self._unsent.items() if sizes[each]}
        total = sum(sizes.values())
        while total > self._unsent_bytes and self._unsent:
            slowest = min(self._unsent, key=lambda each: self._unsent[each].bytes_per_second(each, now))
            total -= sizes[slowest]
            del self._unsent[slowest]
            _LOG.info(
                "disconnected the slowest client: its response has %d unsent bytes, and unsent responses exceed max_unsent_bytes",
                sizes[slowest],
            )
            slowest.reset()

    def forget(self, connection: ClientConnection) -> None:
        """Remove a connection that has ended."""
        self.mark_busy(connection)
        self._unsent.pop(connection, None)

    def may_linger(self) -> bool:
        """Return whether one more refused connection may stay open until its client has read the reason."""
        return self.lingering < _MOST_LINGERING
