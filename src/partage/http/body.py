"""A request's body, pulled from inside a worker thread. A reply's is `sending.py`.

A hop between threads for each message of the server (64 KiB) would cost more than the bytes do. So messages are gathered to blocks
of about a mebibyte, without joining them, and one block is gathered ahead while the worker works on the one before: never more than
that is in memory.
"""

import asyncio
import concurrent.futures
import contextlib
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from partage import problems
from partage.content.chunking import PIECE_BYTES
from partage.http.lending import Inlet, Lender

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
BLOCK_BYTES = 1 << 20
_DRAINED_BYTES = 64 << 20
_DRAIN_SECONDS = 5.0
_RENEW_SECONDS = 1.0
_GONE = "The connection ended before the request was complete"


@dataclass(frozen=True, slots=True)
class Wire:
    """The two ends of one request's connection, and how long a peer may keep them waiting."""

    receive: Receive
    send: Send
    stall_seconds: float


class RequestBody:
    """The body of one request. Nothing is received, and no client told to go on sending, before somebody reads.

    Belongs to the event loop's thread, but for `blocks`, which a worker thread iterates.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        *,
        stall_seconds: float,
        lender: Lender | None = None,
    ) -> None:
        """Take over what is left to receive of a request."""
        self._receive = receive
        self._lender = lender
        self._inlet: Inlet | None = None
        self._stall_seconds = stall_seconds
        length = headers.get(b"content-length", b"")
        self.length_bytes = int(length) if length.isdigit() else None
        self.is_chunked = b"transfer-encoding" in headers
        self.is_finished = not self.is_expected
        self._received_bytes = 0
        self._lock = asyncio.Lock()
        self._given_up = False
        self._task: asyncio.Task[list[bytes]] | None = None

    @property
    def is_expected(self) -> bool:
        """Say whether the request announced a body of at least one byte, or of unknown length."""
        return self.is_chunked or bool(self.length_bytes)

    async def read(self, limit_bytes: int) -> bytes:
        """Receive the whole body.

        Raises:
            TooLarge: it has more than `limit_bytes`.
            ClientGone: it did not arrive whole.
        """
        if (self.length_bytes or 0) > limit_bytes:
            raise _too_large(limit_bytes)
        pieces: list[bytes] = []
        size = 0
        while not self.is_finished:
            block = await self._gather(limit_bytes + 1 - size)
            size += sum(len(piece) for piece in block)
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            pieces += block
        return b"".join(pieces)

    def blocks(self, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """Yield the body in the pieces that the server received; to be iterated in a worker thread, while `loop` runs in its own.

        Raises:
            ClientGone: the client went away, or sent nothing for too long. A body that ends early never ends quietly.
        """
        following = self._ask(loop, first=True)
        while True:
            block = _wait_for(following)
            finished, inlet = self.is_finished, self._inlet
            if not finished and inlet is None:
                following = self._ask(loop)
            yield from block
            if inlet is not None:
                yield from self._from_socket(inlet.socket, loop)
                return
            if finished:
                return

    def settle(self) -> None:
        """Give back the connection's socket, if it was borrowed: no thread reads this body any more."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            _wake_at(inlet.socket, 1)
            inlet.socket.close()
            (inlet.go_on if self.is_finished else inlet.give_up)()

    async def give_up(self) -> None:
        """Wake a thread that waits for the next block, with ClientGone, and let nobody receive any more."""
        self._given_up = True
        if self._inlet is not None:
            with contextlib.suppress(OSError):
                self._inlet.socket.shutdown(socket.SHUT_RD)
        if self._task is not None:
            self._task.cancel()
        async with self._lock:
            pass

    async def drain(self) -> None:
        """Receive and forget what the client still sends, within bounds, so that it gets to read the reply."""
        await self.give_up()
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

    def _ask(self, loop: asyncio.AbstractEventLoop, *, first: bool = False) -> "concurrent.futures.Future[list[bytes]]":
        return asyncio.run_coroutine_threadsafe(self._gather_alone(first=first), loop)

    async def _gather_alone(self, *, first: bool) -> list[bytes]:
        async with self._lock:
            if self._given_up:
                raise problems.ClientGone(_GONE)
            self._task = asyncio.current_task()
            if not first or self._lender is None or (self.length_bytes or 0) <= BLOCK_BYTES:
                return await self._gather(BLOCK_BYTES)
            block = await self._gather(1)  # which tells a client that waits for it to go on
            self._inlet = None if self.is_finished else self._lender.inlet()
            if self._inlet is not None and self._inlet.early:
                block.append(self._inlet.early)
                self._note(len(self._inlet.early))
            return block

    def _from_socket(self, inlet: socket.socket, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """Receive what is left of a body of known length in this thread, past the event loop: that saves a fifth of an upload."""
        ready = select.poll()
        ready.register(inlet, select.POLLIN)
        try:
            while not self.is_finished:
                piece = self._received(inlet, ready)
                self._note(len(piece))
                yield piece
        finally:
            with contextlib.suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self.settle)

    def _received(self, inlet: socket.socket, ready: select.poll) -> bytes:
        """Wait for the next whole piece, so that nobody has to join parts of one; take less when it does not come in time."""
        left = (self.length_bytes or 0) - self._received_bytes
        wanted = min(PIECE_BYTES - self._received_bytes % PIECE_BYTES, left)
        try:
            _wake_at(inlet, wanted)
            ready.poll(self._stall_seconds * 1000)
            piece = inlet.recv(wanted, socket.MSG_DONTWAIT)
        except BlockingIOError as error:
            raise self._silence() from error
        except OSError as error:
            raise problems.ClientGone(_GONE) from error
        if not piece:
            raise problems.ClientGone(_GONE)
        return piece

    def _is_whole(self, message: Message) -> bool:
        """Say whether this message ends the body. A body that is not of its announced length has not ended, whatever a server says.

        Raises:
            ClientGone: the server says that the body has ended, and its length is another.
        """
        if message.get("more_body", False):
            return False
        if self.length_bytes is not None and self._received_bytes != self.length_bytes:
            raise problems.ClientGone(_GONE)
        return True

    def _note(self, size_bytes: int) -> None:
        self._received_bytes += size_bytes
        self.is_finished = self._received_bytes == self.length_bytes

    def _silence(self) -> problems.ClientGone:
        return problems.ClientGone(f"Nothing more of the request arrived within {self._stall_seconds:g} seconds")

    async def _gather(self, enough_bytes: int) -> list[bytes]:
        """Receive at least `enough_bytes`, or what there is until the end of the body."""
        loop = asyncio.get_running_loop()
        pieces: list[bytes] = []
        size = 0
        renewed = loop.time()
        try:
            async with asyncio.timeout(self._stall_seconds) as patience:
                while size < enough_bytes and not self.is_finished:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise problems.ClientGone(_GONE)
                    piece = message.get("body", b"")
                    size += len(piece)
                    if piece:
                        pieces.append(piece)
                    self._received_bytes += len(piece)
                    self.is_finished = self._is_whole(message)
                    if loop.time() - renewed > _RENEW_SECONDS:
                        renewed = loop.time()
                        patience.reschedule(renewed + self._stall_seconds)
        except TimeoutError as error:
            raise self._silence() from error
        return pieces


def _wake_at(inlet: socket.socket, size_bytes: int) -> None:
    """Let the kernel call the socket ready when it has so many bytes, or has ended. Source: SO_RCVLOWAT in socket(7)."""
    inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)


def _wait_for(block: "concurrent.futures.Future[list[bytes]]") -> list[bytes]:
    try:
        return block.result()
    except concurrent.futures.CancelledError as error:
        raise problems.ClientGone(_GONE) from error


def _too_large(limit_bytes: int) -> problems.TooLarge:
    return problems.TooLarge(f"The body of your request was too large for this server: at most {limit_bytes} bytes are taken here")
