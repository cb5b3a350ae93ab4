"""The connections of one process: how many there may be, how long each may wait, and whether the process is stopping.

Belongs to the event loop's thread.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from uvicorn.server import ServerState

HEAD_SECONDS = 60.0
IDLE_SECONDS = 65.0
PER_WORKER = 2000
UNSENT_BYTES = 128 << 20

_MOST_LINGERING = 64
_MOMENT_SECONDS = 1.0


_LOG = logging.getLogger(__name__)


class Waiting(Protocol):
    """A connection on which no request is under way."""

    @property
    def unsent_bytes(self) -> int:
        """How much of its answers the client has left with the server: closing the connection waits for that."""

    @property
    def taken_bytes(self) -> int:
        """A number that grows whenever the client takes something."""

    def make_room(self) -> None:
        """Close the connection for another one."""

    def give_up(self) -> None:
        """Close the connection at once, whatever is unsent."""


class _Taking:
    """How fast a client takes what is left of its answer."""

    def __init__(self, connection: Waiting, now: float) -> None:
        self._since = now
        self._taken_before = connection.taken_bytes

    def bytes_per_second(self, connection: Waiting, now: float) -> float:
        """Return the rate since the answer was ready; of an answer that is young, the highest."""
        seconds = now - self._since
        return (connection.taken_bytes - self._taken_before) / seconds if seconds >= _MOMENT_SECONDS else math.inf


class Connections(ServerState):
    """What the protocols of one server share.

    At most `most` connections are kept. Above that, the connection that has waited longest for a request is closed; while every
    connection has a request under way, or an answer that its client has not taken yet, the new one is refused.
    """

    def __init__(
        self,
        *,
        most: int = PER_WORKER,
        head_seconds: float = HEAD_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        unsent_bytes: int = UNSENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with none.

        `head_seconds`: how long a new connection may wait, and how long a head may take from its first byte to its last.
        `idle_seconds`: how long a connection may wait between two requests.
        `unsent_bytes`: how much of whole answers may wait for clients to take it.
        """
        super().__init__()
        self.head_seconds = head_seconds
        self.idle_seconds = idle_seconds
        self.is_draining = False
        self.is_closing = False
        self.lingering = 0
        self._most = most
        self._unsent_bytes = unsent_bytes
        self._clock = clock
        self._waiting: dict[Waiting, None] = {}
        self._unsent: dict[Waiting, _Taking] = {}

    def note_waiting(self, connection: Waiting) -> None:
        """Put a connection behind all others that wait for a request."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def note_busy(self, connection: Waiting) -> None:
        """Take a connection that has a request, or has ended, from those that wait."""
        self._waiting.pop(connection, None)

    def admit(self) -> bool:
        """Say whether one more connection, counted already, can stay; close another one for it if need be."""
        if len(self.connections) <= self._most:
            return True
        # Closing one whose answer is unsent would wait for its client, and its descriptor and memory be held beyond the bound.
        longest = next((each for each in self._waiting if not each.unsent_bytes), None)
        if longest is None:
            return False
        self.note_busy(longest)
        longest.make_room()
        return True

    def note_unsent(self, connection: Waiting) -> None:
        """Note that an answer is ready which its client has not taken; if all such answers are too much, end the slowest client.

        An answer is written whole, so that the threads that make answers wait for no client. Without a bound, clients that read
        nothing would fill the memory with lists.
        """
        if not connection.unsent_bytes:
            return
        now = self._clock()
        self._unsent.setdefault(connection, _Taking(connection, now))
        sizes = {each: each.unsent_bytes for each in self._unsent}
        self._unsent = {each: taking for each, taking in self._unsent.items() if sizes[each]}
        total = sum(sizes.values())
        while total > self._unsent_bytes and self._unsent:
            slowest = min(self._unsent, key=lambda each: self._unsent[each].bytes_per_second(each, now))
            total -= sizes[slowest]
            del self._unsent[slowest]
            _LOG.info("a client has not taken an answer of which %d bytes remain, and is disconnected", sizes[slowest])
            slowest.give_up()

    def forget(self, connection: Waiting) -> None:
        """Forget a connection that has ended."""
        self.note_busy(connection)
        self._unsent.pop(connection, None)

    def may_linger(self) -> bool:
        """Say whether one more refused connection may be kept until its client has read why."""
        return self.lingering < _MOST_LINGERING
