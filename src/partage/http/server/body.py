"""A request's body, received on the event loop. A reply's is `sending.py`.

A hop between threads for each message of the server (64 KiB) would cost more than the bytes do. So messages are gathered to blocks,
without joining them. How image data goes from here to where it is stored is told in `intake.py`.
"""

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from partage import problems
from partage.http.server.receive_rate import ReceiveLimits, ReceiveRate
from partage.http.server.socket_handoff import ReceiveSocket, SocketHandoff

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
BLOCK_BYTES = 1 << 20
_DRAINED_BYTES = 64 << 20
_DRAIN_SECONDS = 5.0
GONE = "The connection ended before the request was complete"
"""What is said of a client that went away."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The two ends of one request's connection, and how long a peer may keep them waiting."""

    receive: Receive
    send: Send
    stall_seconds: float


class RequestBody:
    """The body of one request. Nothing is received, and no client told to go on sending, before somebody reads.

    Belongs to the event loop's thread, but for `note`, which whoever has the borrowed socket calls.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        *,
        stall_seconds: float,
        handoff: SocketHandoff | None = None,
        slowest_bytes_per_second: int = 0,
        window_seconds: float = math.inf,
    ) -> None:
        """Take over what is left to receive of a request.

        Over each `window_seconds` of waiting, a document brings at least `slowest_bytes_per_second`.
        """
        self._receive = receive
        self._handoff = handoff
        self._receive_socket: ReceiveSocket | None = None
        self._limits = ReceiveLimits(
            stall_seconds=stall_seconds,
            slowest_bytes_per_second=slowest_bytes_per_second,
            window_seconds=window_seconds,
        )
        self.length_bytes = _length_bytes(headers.get(b"content-length", b""))
        self.is_chunked = b"transfer-encoding" in headers
        self.is_finished = not self.is_expected
        self._received_bytes = 0

    @property
    def is_expected(self) -> bool:
        """Say whether the request announced a body of at least one byte, or of unknown length."""
        return self.is_chunked or bool(self.length_bytes)

    async def read(self, limit_bytes: int) -> bytes:
        """Receive the whole body.

        Raises:
            TooLarge: it has more than `limit_bytes`.
            ClientGone: it did not arrive whole, or too slowly.
        """
        if (self.length_bytes or 0) > limit_bytes:
            raise _too_large(limit_bytes)
        pieces: list[bytes] = []
        size = 0
        rate = ReceiveRate(self._limits)
        while not self.is_finished:
            block = await self.gather(limit_bytes + 1 - size, rate)
            size += sum(len(piece) for piece in block)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            pieces += block
        return b"".join(pieces)

    @property
    def received_bytes(self) -> int:
        """How much has been received."""
        return self._received_bytes

    @property
    def can_hand_off(self) -> bool:
        """Say whether the connection's socket may be borrowed for it: it is long, of known length, and the server lends."""
        return self._handoff is not None and (self.length_bytes or 0) > BLOCK_BYTES

    def take_socket(self) -> ReceiveSocket | None:
        """Borrow the connection's socket for what is left, of which the borrower says with `note` what it received.

        None when nothing is left, or where it cannot be had. `settle` gives it back.
        """
        self._receive_socket = None if self.is_finished or self._handoff is None else self._handoff.acquire_receive_socket()
        if self._receive_socket is not None:
            self.note_received(len(self._receive_socket.early))
        return self._receive_socket

    def note_received(self, size_bytes: int) -> None:
        """Say how many bytes were received from the borrowed socket."""
        self._received_bytes += size_bytes
        self.is_finished = self._received_bytes == self.length_bytes

    async def gather(self, enough_bytes: int, rate: ReceiveRate, *, seconds: float = math.inf) -> list[bytes]:
        """Receive at least `enough_bytes`, or what there is until the end of the body, or `seconds` after the first byte.

        Raises:
            ClientGone: the client went away, or is slower than `rate` allows. A body that ends early never ends quietly.
        """
        loop = asyncio.get_running_loop()
        pieces: list[bytes] = []
        size, until = 0, math.inf
        while size < enough_bytes and not self.is_finished and loop.time() < until:
            began = loop.time()
            try:
                async with asyncio.timeout(min(rate.tick_seconds, max(0.0, until - began))):
                    message = await self._receive()
            except TimeoutError:
                rate.note(loop.time() - began, 0)
                continue
            if message["type"] != "http.request":
                raise problems.ClientGone(GONE)
            piece = message.get("body", b"")
            size += len(piece)
            if piece:
                pieces.append(piece)
                until = min(until, began + seconds)
            self._received_bytes += len(piece)
            self.is_finished = self._is_whole(message)
            rate.note(loop.time() - began, len(piece))
        return pieces

    def return_socket(self) -> None:
        """Give back the connection's socket, if it was borrowed: no thread receives from it any more."""
        connection, self._receive_socket = self._receive_socket, None
        if connection is not None:
            set_low_watermark(connection.socket, 1)
            connection.socket.close()
            (connection.go_on if self.is_finished else connection.give_up)()

    async def drain(self) -> None:
        """Receive and forget what the client still sends, within bounds, so that it gets to read the reply."""
        size = 0
        deadline = time.monotonic() + _DRAIN_SECONDS
        while not self.is_finished and size < _DRAINED_BYTES:
            try:
                message = await asyncio.wait_for(self._receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return
            if message["type"] != "http.request":
                return
            size += len(message.get("body", b""))
            self._received_bytes += len(message.get("body", b""))
            # The server does not know what was received past it, and takes what follows the body for more of it.
            had_all = self.length_bytes is not None and self._received_bytes >= self.length_bytes
            self.is_finished = had_all or not message.get("more_body", False)

    def _is_whole(self, message: Message) -> bool:
        """Say whether this message ends the body. A body that is not of its announced length has not ended, whatever a server says.

        Raises:
            ClientGone: the server says that the body has ended, and its length is another.
        """
        if message.get("more_body", False):
            return False
        if self.length_bytes is not None and self._received_bytes != self.length_bytes:
            raise problems.ClientGone(GONE)
        return True


def set_low_watermark(connection: socket.socket, size_bytes: int) -> None:
    """Let the kernel call the socket ready when it has so many bytes, or has ended. Source: SO_RCVLOWAT in socket(7)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)


def _length_bytes(text: bytes) -> int | None:
    """Read a Content-Length. Zeros in front count for nothing, and Python converts no number of 4301 digits."""
    return int(text.lstrip(b"0") or b"0") if text.isdigit() else None


def _too_large(limit_bytes: int) -> problems.TooLarge:
    return problems.TooLarge(f"The body of your request was too large for this server: at most {limit_bytes} bytes are taken here")
