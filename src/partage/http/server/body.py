"""A request's body, received on the event loop. `sending.py` sends a response's.

A thread switch for each message of the server (64 KiB) would cost more than its bytes. So messages are gathered into blocks,
without copying. `intake.py` passes image data from here to the store.
"""

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
"""The reason that is logged for a client that disconnected."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Both directions of one request's connection, and its stall timeout."""

    receive: Receive
    send: Send
    stall_seconds: float


class RequestBody:
    """The body of one request. Nothing is received, and no `100 Continue` is sent, before the first read.

    Belongs to the event loop's thread, except `note_received`, which the holder of the handed-off socket calls.
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
        """Receive the rest of a request.

        In each `window_seconds` of waiting the client must send at least `slowest_bytes_per_second`.
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
        """Return whether the request announced a body of at least one byte, or of unknown length."""
        return self.is_chunked or bool(self.length_bytes)

    async def read(self, limit_bytes: int) -> bytes:
        """Receive the whole body.

        Raises:
            TooLarge: the body has more than `limit_bytes`.
            ClientGone: the client disconnected, or is too slow.
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
        """How many bytes have been received."""
        return self._received_bytes

    @property
    def can_hand_off(self) -> bool:
        """Return whether the socket can be handed off: the body is long, its length known, and the server has the extension."""
        return self._handoff is not None and (self.length_bytes or 0) > BLOCK_BYTES

    def send_interim(self, status_line: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send an interim response (1xx) of this request, if the server can and no response has begun."""
        if self._handoff is not None:
            self._handoff.send_interim(status_line, headers)

    def take_socket(self) -> ReceiveSocket | None:
        """Take the connection's socket for the rest of the body; the holder calls `note_received` with what it received.

        None if nothing is left, or the server does not hand off the socket. `return_socket` returns it.
        """
        self._receive_socket = None if self.is_finished or self._handoff is None else self._handoff.acquire_receive_socket()
        if self._receive_socket is not None:
            self.note_received(len(self._receive_socket.early))
        return self._receive_socket

    def note_received(self, size_bytes: int) -> None:
        """Count bytes that were received from the handed-off socket."""
        self._received_bytes += size_bytes
        self.is_finished = self._received_bytes == self.length_bytes

    async def gather(self, enough_bytes: int, rate: ReceiveRate, *, seconds: float = math.inf) -> list[bytes]:
        """Receive until `enough_bytes`, the end of the body, or `seconds` after the first byte.

        Raises:
            ClientGone: the client disconnected, is slower than `rate` allows, or ended the body too early.
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
                rate.record(loop.time() - began, 0)
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
            rate.record(loop.time() - began, len(piece))
        return pieces

    def return_socket(self) -> None:
        """Return the connection's socket to the server, if it was taken. No thread may receive from it any more."""
        connection, self._receive_socket = self._receive_socket, None
        if connection is not None:
            set_low_watermark(connection.socket, 1)
            connection.socket.close()
            (connection.finish if self.is_finished else connection.hand_back)()

    async def drain(self) -> None:
        """Drain the body: receive and discard the rest, within limits, so that the client can read the response."""
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
            # The server does not know what was received on the socket, and treats what follows the body as a part of it.
            had_all = self.length_bytes is not None and self._received_bytes >= self.length_bytes
            self.is_finished = had_all or not message.get("more_body", False)

    def _is_whole(self, message: Message) -> bool:
        """Return whether this message ends the body.

        Raises:
            ClientGone: the server reports the end of the body before its announced length.
        """
        if message.get("more_body", False):
            return False
        if self.length_bytes is not None and self._received_bytes != self.length_bytes:
            raise problems.ClientGone(GONE)
        return True


def set_low_watermark(connection: socket.socket, size_bytes: int) -> None:
    """Make the socket readable only when it has so many bytes, or has ended. Source: SO_RCVLOWAT in socket(7)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)


def _length_bytes(text: bytes) -> int | None:
    """Read a Content-Length. Zeros in front count for nothing, and Python converts no number of 4301 digits."""
    return int(text.lstrip(b"0") or b"0") if text.isdigit() else None


def _too_large(limit_bytes: int) -> problems.TooLarge:
    return problems.TooLarge(f"The body of your request was too large for this server: at most {limit_bytes} bytes are taken here")
