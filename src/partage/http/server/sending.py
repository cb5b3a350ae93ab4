"""Sends image data, which a blocking iterator reads, through the event loop, with a timeout for clients that do not read.

If a client reads nothing for a second, the sender releases its buffers except one slice, provided that the data can be read again
from the same byte. After a longer timeout the connection is closed: by `send_timeout.py` in our server, by `TimeoutSend` in others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from partage import problems
from partage.content.digest import Buffer
from partage.http.server.body import BLOCK_BYTES, Channel, Message, Receive, Send
from partage.stores.cache.copies import CopyLostError, FilePart

Piece = Buffer | FilePart
"""A part of image data: in memory, or in a file from which it can be sent without reading it."""

Call = Callable[..., "asyncio.Future[Any]"]
"""Call a function in a thread that may read image data."""

MOMENT_SECONDS = 1.0
"""How long a client may read nothing before its buffers are released."""

_SLICE_BYTES = 128 << 10


class TimeoutSend:
    """A `Send` with a timeout, for servers that have none."""

    def __init__(self, send: Send, stall_seconds: float) -> None:
        self._send = send
        self._stall_seconds = stall_seconds

    async def __call__(self, message: Message) -> None:
        """Send a message.

        Raises:
            ClientGone: the client did not read the message within `stall_seconds`.
        """
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._send(message)
        except TimeoutError as error:
            raise problems.ClientGone(f"The client read nothing of the response within {self._stall_seconds:g} seconds") from error


class CountingSend:
    """A `Send` that counts the bytes of bodies. Belongs to the event loop's thread."""

    def __init__(self, send: Send) -> None:
        """Count from now on."""
        self._send = send
        self.bytes = 0

    async def __call__(self, message: Message) -> None:
        """Send a message, then count it."""
        await self._send(message)
        self.bytes += len(message.get("body", b""))


class Source:
    """Image data that is read while it is sent. Its methods block; one thread at a time calls them.

    `reopen` reads again from an offset; None: that is not possible, and nothing is released. `is_short` says whether the read-ahead
    of all clients is so large that clients that do not read should hold none.
    """

    def __init__(
        self,
        pieces: Iterator[Piece],
        *,
        reopen: Callable[[int], Iterator[Piece]] | None = None,
        is_short: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take over the iterator."""
        self._pieces: Iterator[Piece] | None = pieces
        self._rest: FilePart | None = None
        self._reopen = reopen
        self._is_short = is_short

    @property
    def can_reopen(self) -> bool:
        """Return whether the data can be released and read again."""
        return self._reopen is not None

    @property
    def should_release(self) -> bool:
        """Return whether the data should be released as soon as the client does not read."""
        return self._reopen is not None and self._is_short()

    def next_pieces(self, at: int) -> list[Piece]:
        """Read about a mebibyte, in the pieces of the iterator; an empty list at the end.

        `at` is the offset of the next byte. Raises what the iterator raises.
        """
        if self._pieces is None:
            if self._reopen is None:
                return []
            self._pieces = self._reopen(at)
        found: list[Piece] = []
        size = 0
        for piece in self._pieces:
            found.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                break
        return found

    def next_bytes(self, at: int) -> list[bytes]:
        """Read about a mebibyte as `next_pieces` does, into memory."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return self.read_parts([rest], at)
        return self.read_parts(self.next_pieces(at), at)

    def read_parts(self, pieces: list[Piece], at: int) -> list[bytes]:
        """Read the next pieces into memory, about a mebibyte of them, and keep the rest; `at` is the offset of the first byte."""
        found: list[bytes] = []
        for piece in pieces:
            if not isinstance(piece, FilePart):
                found.append(bytes(piece))
                continue
            try:
                found.append(piece.read(BLOCK_BYTES))
            except CopyLostError as error:
                self.lose(piece, error)
                return found or self.next_bytes(at)
            if len(piece) > BLOCK_BYTES:  # only the last piece can be so long
                self._rest = piece.skip(BLOCK_BYTES)
        return found

    def lose(self, part: FilePart, error: CopyLostError) -> None:
        """Give up a file that cannot be read; the next pieces are read from elsewhere.

        Raises:
            CopyLostError: that is not possible.
        """
        if self._reopen is None:
            raise error
        part.copy.lose(str(error))
        self.release()

    def release(self) -> None:
        """Close the iterator; the next pieces are read by a new one."""
        if self._reopen is not None:
            pieces, self._pieces, self._rest = self._pieces, None, None
            _close(pieces)

    def close(self) -> None:
        """Close the iterator for good."""
        pieces, self._pieces, self._reopen, self._rest = self._pieces, None, None, None
        _close(pieces)


async def send_pieces(source: Source, first: list[bytes], *, call: Call, channel: Channel) -> bool:
    """Send `first` and then the rest of a source through the event loop; say whether all of it was sent.

    `first` is emptied, since the caller keeps its list for the whole download.
    The next buffer is read ahead while the last slice of the one before is sent. Reading ends at once when the client disconnects.
    Problems of the source pass through. The caller has sent the headers, and ends the body if this returns True. The source is
    closed in every case.
    """
    sender = _Sender(source, first, call, channel)
    try:
        return await sender.send_all()
    except problems.ClientGone:
        return False
    finally:
        sender.close()


class _Sender:
    """Sends one source. Lives in the event loop's thread."""

    def __init__(self, source: Source, first: list[bytes], call: Call, channel: Channel) -> None:
        self._source = source
        self._call = call
        self._channel = channel
        self._block = deque(memoryview(piece) for piece in first)
        first.clear()
        self._sent_bytes = 0
        self._following: asyncio.Future[Any] | None = None
        self._gone = asyncio.ensure_future(wait_for_disconnect(channel.receive))

    async def send_all(self) -> bool:
        while not self._gone.done():
            if not self._block and not await self._refill():
                return not self._gone.done()
            piece = self._next_slice()
            if not self._block:
                self._following = self._call(self._source.next_bytes, self._sent_bytes + len(piece))
            sending = asyncio.ensure_future(self._channel.send({"type": "http.response.body", "body": piece, "more_body": True}))
            try:
                await asyncio.wait((sending,), timeout=MOMENT_SECONDS)
                if not sending.done():
                    await self._release()
                    await asyncio.wait((sending, self._gone), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    return False
                sending.result()
            finally:
                sending.cancel()
            self._sent_bytes += len(piece)
        return False

    def close(self) -> None:
        """Close the source when no thread reads it: a running generator cannot be closed."""
        self._gone.cancel()
        following = self._following
        if following is None:
            self._call(self._source.close)
            return

        def close(done: "asyncio.Future[Any]") -> None:
            if not done.cancelled():
                done.exception()  # retrieved, so that asyncio does not log it
            self._call(self._source.close)

        following.add_done_callback(close)

    async def _refill(self) -> bool:
        """Wait for the next buffer; False at the end of the data or when the client has disconnected."""
        if self._following is None:
            self._following = self._call(self._source.next_bytes, self._sent_bytes)
        await asyncio.wait((self._following, self._gone), return_when=asyncio.FIRST_COMPLETED)
        if not self._following.done():
            return False
        following, self._following = self._following, None
        self._block.extend(memoryview(piece) for piece in following.result())
        return bool(self._block)

    def _next_slice(self) -> bytes:
        piece = self._block.popleft()
        if len(piece) > _SLICE_BYTES:
            self._block.appendleft(piece[_SLICE_BYTES:])
        return bytes(piece[:_SLICE_BYTES])

    async def _release(self) -> None:
        """Release all buffers except the slice that is being sent, if the data can be read again."""
        if not self._source.can_reopen:
            return
        self._block.clear()
        if self._following is not None:
            await asyncio.wait((self._following,))
            if self._following.exception() is not None:
                return  # raised later, after the client has read what comes before
            self._following = None
        await self._call(self._source.release)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _close(pieces: Iterator[Piece] | None) -> None:
    if isinstance(pieces, Generator):
        pieces.close()
