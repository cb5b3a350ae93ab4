"""The connections of one process: how many there may be, how long each may wait, and whether the process is stopping.

Belongs to the event loop's thread.
"""

from typing import Protocol

from uvicorn.server import ServerState

HEAD_SECONDS = 60.0
IDLE_SECONDS = 65.0
PER_WORKER = 2000

_MOST_LINGERING = 64


class Waiting(Protocol):
    """A connection on which no request is under way."""

    def make_room(self) -> None:
        """Close the connection for another one."""


class Connections(ServerState):
    """What the protocols of one server share.

    At most `most` connections are kept. Above that, the connection that has waited longest for a request is closed; while every
    connection has a request under way, the new one is refused.
    """

    def __init__(self, *, most: int = PER_WORKER, head_seconds: float = HEAD_SECONDS, idle_seconds: float = IDLE_SECONDS) -> None:
        """Start with none.

        `head_seconds`: how long a new connection may wait, and how long a head may take from its first byte to its last.
        `idle_seconds`: how long a connection may wait between two requests.
        """
        super().__init__()
        self.head_seconds = head_seconds
        self.idle_seconds = idle_seconds
        self.is_draining = False
        self.is_closing = False
        self.lingering = 0
        self._most = most
        self._waiting: dict[Waiting, None] = {}

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
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.note_busy(longest)
        longest.make_room()
        return True

    def may_linger(self) -> bool:
        """Say whether one more refused connection may be kept until its client has read why."""
        return self.lingering < _MOST_LINGERING
