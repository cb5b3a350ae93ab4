"""Socket hand-off: the server gives the current request its connection's socket, to transfer image data in a thread.

An extension of ASGI, under `EXTENSION` in a request's scope (docs/decisions/0042). Without it transfers are only slower.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

EXTENSION = "partage.socket"


@dataclass(frozen=True, slots=True)
class SendSocket:
    """The socket, to send a part of the response's body. The holder closes it, then calls `note_sent` with the bytes sent."""

    socket: socket.socket
    note_sent: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReceiveSocket:
    """The socket, to receive the rest of the request's body.

    `early` are bytes of the body that the server had already received. The holder closes the socket, then calls `finish` if it has
    received the whole body, or else `hand_back`, after which the server receives the rest.
    """

    socket: socket.socket
    early: bytes
    finish: Callable[[], None]
    hand_back: Callable[[], None]


class SocketHandoff(Protocol):
    """The connection of one request. It hands off a duplicated, non-blocking descriptor. Belongs to the event loop's thread."""

    @property
    def is_disconnected(self) -> bool:
        """Return whether the connection ended before the response was complete."""

    @property
    def is_aborted(self) -> bool:
        """Return whether the server, which stops, aborted the connection."""

    def send_interim(self, status_line: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send an interim response (1xx), unless the response has begun or the client speaks HTTP/1.0."""

    async def acquire_send_socket(self, stall_seconds: float) -> SendSocket | None:
        """Hand off the socket once the kernel has all data that was sent before.

        None if the connection is no plain socket, is being closed, or does not take that data within `stall_seconds`: then the body
        must be sent through the server.
        """

    def acquire_receive_socket(self) -> ReceiveSocket | None:
        """Hand off the socket to a reader of a body of known length. The server receives nothing meanwhile.

        None if the connection is no plain socket, is being closed, or the body is complete: then the body must be received through
        the server.
        """
