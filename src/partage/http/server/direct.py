"""Image data that a thread sends directly to the connection's socket.

Through the event loop every buffer costs a thread switch, a copy, and a wait for each part that the socket accepts: a quarter of
the processor time of a download. So the server hands off the connection's socket (`socket_handoff.py`) after the data sent before.
A thread sends until the socket is full for 20 ms, or its turn is over; then the event loop waits for space or for the next turn.
A client that reads nothing for a second holds only its socket: its read-ahead is released, and read again when there is space.
Servers without the hand-off, and data from the web, use `sending.send_pieces`.
"""

import asyncio
import contextlib
import select
import socket
import time
from collections import deque
from enum import Enum
from itertools import islice, takewhile
from typing import cast

from partage.http.server import send_timeout, sending
from partage.http.server.body import BLOCK_BYTES, Channel
from partage.http.server.sending import Call, Piece, Source
from partage.http.server.socket_handoff import SendSocket
from partage.stores.cache.copies import CopyLostError, FilePart, SendfileImpossibleError

_TURN_BYTES = 64 << 20
_TURN_SECONDS = 1.0
"""A reader that always leaves a little space, just in time, would hold a thread as long as 64 MiB take it."""

_MOMENT_MILLISECONDS = 20
_MOST_PIECES = 64
_LAST_SECONDS = 1.0


class Stop(Enum):
    """Why a turn of sending ended."""

    FINISHED = 1
    SOCKET_FULL = 2
    TURN_OVER = 3
    CLIENT_GONE = 4


class Outbox:
    """Sends `first`, then the rest of `source`, on a socket. One thread at a time sends.

    `bytes` counts what the kernel has accepted.
    """

    def __init__(self, source: Source, first: list[Piece], handed_off: SendSocket) -> None:
        """Take over the source, the socket and `first`, which is emptied: the caller keeps its list for the whole download."""
        self.source = source
        self.socket = handed_off.socket
        self.note_sent = handed_off.note_sent
        self.bytes = 0
        self._waiting: deque[memoryview | FilePart] = deque()
        self._append(first)
        first.clear()
        self._is_finished = False
        self._has_sendfile = True
        self._room = select.poll()
        self._room.register(self.socket, select.POLLOUT)

    def send_some(self) -> Stop:
        """Send until the end, until the socket stays full, or until the turn is over. Blocking.

        Raises: what the source raises.
        """
        stop = self._send_some()
        if stop in (Stop.SOCKET_FULL, Stop.TURN_OVER) and self.source.should_release:
            self.release()
        return stop

    def release(self) -> None:
        """Release the buffers; the next turn reads the data again. Blocking."""
        if self.source.can_reopen:
            self._waiting.clear()
            self.source.release()

    async def wait_for_space(self, gone: "asyncio.Future[None]", seconds: float) -> bool:
        """Wait until the socket has space; say whether that was in time and before the client disconnected."""
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self.socket.fileno(), room.set)
        waiting = asyncio.ensure_future(room.wait())
        try:
            await asyncio.wait((waiting, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_writer(self.socket.fileno())
            waiting.cancel()
        return room.is_set() and not gone.done()

    def shut_down(self) -> None:
        """Shut the socket down, so that a thread that is sending ends; not after everything was sent."""
        if not self._is_finished:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def _send_some(self) -> Stop:
        turn_end, until = self.bytes + _TURN_BYTES, time.monotonic() + _TURN_SECONDS
        while self.bytes < turn_end:
            if not self._waiting and not self._refill():
                self._is_finished = True
                return Stop.FINISHED
            try:
                self._drop_sent(self._send_first())
            except CopyLostError as error:
                self._lose(error)
            except BlockingIOError:
                if not self._room.poll(_MOMENT_MILLISECONDS):
                    return Stop.SOCKET_FULL
                if time.monotonic() >= until:
                    return Stop.TURN_OVER
            except OSError:
                return Stop.CLIENT_GONE
        return Stop.TURN_OVER

    def _send_first(self) -> int:
        """Send a part of a file, or the pieces in memory before the next one; return how many bytes the socket took."""
        first = self._waiting[0]
        if isinstance(first, FilePart) and self._has_sendfile:
            try:
                return first.send(self.socket.fileno())
            except SendfileImpossibleError:
                self._has_sendfile = False
        if isinstance(first, FilePart):
            self._read_first(first)
        views = takewhile(lambda piece: isinstance(piece, memoryview), islice(self._waiting, _MOST_PIECES))
        return self.socket.sendmsg(cast("list[memoryview]", list(views)))

    def _read_first(self, part: FilePart) -> None:
        """Replace the first bytes of a part by a copy in memory."""
        data = part.read(BLOCK_BYTES)
        self._waiting.popleft()
        if len(part) > len(data):
            self._waiting.appendleft(part.skip(len(data)))
        self._waiting.appendleft(memoryview(data))

    def _lose(self, error: CopyLostError) -> None:
        """Read on from elsewhere, after the file of the first part has failed."""
        first = self._waiting[0]
        self._waiting.clear()
        if isinstance(first, FilePart):
            self.source.lose(first, error)

    def _refill(self) -> bool:
        self._append(self.source.next_pieces(self.bytes))
        return bool(self._waiting)

    def _append(self, pieces: list[Piece]) -> None:
        self._waiting.extend(piece if isinstance(piece, FilePart) else memoryview(piece) for piece in pieces)

    def _drop_sent(self, sent: int) -> None:
        self.bytes += sent
        while self._waiting and len(self._waiting[0]) <= sent:
            sent -= len(self._waiting.popleft())
        if sent:
            first = self._waiting[0]
            self._waiting[0] = first.skip(sent) if isinstance(first, FilePart) else first[sent:]


async def send_pieces(outbox: Outbox, *, call: Call, channel: Channel) -> bool:
    """Send all data; say whether all of it was sent. Problems of the source pass through.

    Sending ends at once when the client disconnects or exceeds the stall timeout. Socket and source are closed in every case, as
    soon as no thread uses them.
    """
    gone = asyncio.ensure_future(sending.wait_for_disconnect(channel.receive))
    moment = min(sending.MOMENT_SECONDS, channel.stall_seconds / 2)
    turn = call(outbox.send_some)
    try:
        while True:
            await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                outbox.shut_down()
                await asyncio.wait((turn,), timeout=_LAST_SECONDS)  # bytes that it is sending are counted, too
                return False
            stop = turn.result()
            if stop is Stop.FINISHED:
                return True
            if stop is Stop.CLIENT_GONE or gone.done():
                return False
            if stop is Stop.SOCKET_FULL:
                acknowledged = send_timeout.count_acknowledged(outbox.socket)
                if not await outbox.wait_for_space(gone, moment):
                    turn = call(outbox.release)
                    await turn
                    if not await _wait_for_space_in_time(outbox, gone, channel.stall_seconds - moment, acknowledged):
                        return False
            turn = call(outbox.send_some)
    finally:
        gone.cancel()
        outbox.shut_down()
        outbox.note_sent(outbox.bytes)
        turn.add_done_callback(lambda done: _close(done, outbox, call))


async def _wait_for_space_in_time(outbox: Outbox, gone: "asyncio.Future[None]", seconds: float, acknowledged: int) -> bool:
    """Wait for space; restart the timeout whenever the client has read something, else reset the connection.

    `acknowledged` is what the client had acknowledged when the socket was full. A socket has space when a third of its buffer is
    free: a slow client may not read that much in time, but it must read something.
    """
    while not await outbox.wait_for_space(gone, seconds):
        before, acknowledged = acknowledged, send_timeout.count_acknowledged(outbox.socket)
        if gone.done():
            return False
        if acknowledged == before:
            send_timeout.reset_on_close(outbox.socket)
            return False
    return True


def _close(done: "asyncio.Future[object]", outbox: Outbox, call: Call) -> None:
    if not done.cancelled():
        done.exception()  # retrieved, so that asyncio does not log it
    outbox.socket.close()
    call(outbox.source.close)
