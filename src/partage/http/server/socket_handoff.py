"""What a server may lend: the socket of the connection on which a request is being answered, for image data alone.

An extension of ASGI, under `EXTENSION` in a request's scope (docs/decisions/0042). A server that does not lend is only slower.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

EXTENSION = "partage.socket"


@dataclass(frozen=True, slots=True)
class SendSocket:
    """The socket, to send a part of the answer's body; the borrower closes it, then says how many bytes it has sent."""

    socket: socket.socket
    note_sent: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ReceiveSocket:
    """The socket, to receive the rest of the request's body.

    `early` are bytes of it that the server had received already. The borrower closes the socket and then calls `go_on` when it has
    received all of the body, or else `give_up`, after which the server receives the rest.
    """

    socket: socket.socket
    early: bytes
    go_on: Callable[[], None]
    give_up: Callable[[], None]


class SocketHandoff(Protocol):
    """The connection of one request. What it lends is a descriptor of its own, that never blocks. For the event loop's thread."""

    async def acquire_send_socket(self, stall_seconds: float) -> SendSocket | None:
        """Lend the socket once all that was sent before has left.

        None where the connection is no plain socket, is being closed, or takes nothing for so long: then the body is to be sent as
        usual.
        """

    def acquire_receive_socket(self) -> ReceiveSocket | None:
        """Lend the socket to whoever has begun to receive a body of known length. Nobody else receives meanwhile.

        None where the connection is no plain socket, is being closed, or has nothing more of the body to give: then the body is to
        be received as usual.
        """
