"""Image data sent from a thread, straight to the connection's socket.

Through the event loop every buffer costs a hop between threads, a copy, and a wait for each part that the socket takes: a quarter
of the processor time of a download. So the server lends a connection's socket (`lending.py`) once all sent before has left.
A thread then sends until the reader takes no more for a moment, or its turn is over; only then does the event loop wait, for the
socket to have room or for the next turn. So a slow reader holds no thread, and a fast one is not held up. Servers that do not lend,
and data that comes from the web, are served by `body.send_pieces`.
"""

import asyncio
import contextlib
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import Any

from partage.http import body
from partage.http.body import Wire
from partage.http.lending import Outlet

Turn = Callable[..., "asyncio.Future[Any]"]
"""Call a function in a thread that may read image data."""

_TURN_BYTES = 64 << 20
_MOMENT_MILLISECONDS = 20
_MOST_PIECES = 64
_LAST_SECONDS = 1.0


class Stop(Enum):
    """Why a turn of sending ended."""

    FINISHED = 1
    NO_ROOM = 2
    TURN_OVER = 3
    GONE = 4


class Outbox:
    """What is to be sent on a socket: `first`, then the rest of `pieces`. One thread at a time sends.

    `bytes` counts what the kernel has taken.
    """

    def __init__(self, pieces: Iterator[bytes], first: list[bytes], outlet: Outlet) -> None:
        """Take over the iterator and the socket."""
        self.pieces = pieces
        self.outlet = outlet
        self.bytes = 0
        self._waiting: deque[memoryview] = deque(memoryview(piece) for piece in first)
        self._room = select.poll()
        self._room.register(outlet.socket, select.POLLOUT)

    def send_some(self) -> Stop:
        """Send until the end, until the socket has no room for a moment, or until others should have their turn. Blocking.

        Raises: what the iterator raises.
        """
        turn_end = self.bytes + _TURN_BYTES
        while self.bytes < turn_end:
            if not self._waiting and not self._refill():
                return Stop.FINISHED
            try:
                self._forget(self.outlet.socket.sendmsg(list(islice(self._waiting, _MOST_PIECES))))
            except BlockingIOError:
                if not self._room.poll(_MOMENT_MILLISECONDS):
                    return Stop.NO_ROOM
            except OSError:
                return Stop.GONE
        return Stop.TURN_OVER

    async def has_room(self, gone: "asyncio.Future[None]", seconds: float) -> bool:
        """Wait until the socket takes more; say whether it does so in time, and before the reader has gone."""
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self.outlet.socket.fileno(), room.set)
        waiting = asyncio.ensure_future(room.wait())
        try:
            await asyncio.wait((waiting, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_writer(self.outlet.socket.fileno())
            waiting.cancel()
        return room.is_set()

    def hang_up(self) -> None:
        """Let a thread that sends at this moment end, unless all has been sent."""
        if self._waiting:
            with contextlib.suppress(OSError):
                self.outlet.socket.shutdown(socket.SHUT_RDWR)

    def _refill(self) -> bool:
        self._waiting.extend(memoryview(piece) for piece in body.next_pieces(self.pieces))
        return bool(self._waiting)

    def _forget(self, sent: int) -> None:
        self.bytes += sent
        while self._waiting and len(self._waiting[0]) <= sent:
            sent -= len(self._waiting.popleft())
        if sent:
            self._waiting[0] = self._waiting[0][sent:]


async def send_pieces(outbox: Outbox, *, turn: Turn, wire: Wire) -> bool:
    """Send all of an outbox; say whether all of it went out. Problems of its iterator pass through.

    A reader that goes away, or takes nothing for too long, ends the sending at once. Socket and iterator are closed in every case,
    as soon as no thread uses them.
    """
    gone = asyncio.ensure_future(body.until_disconnect(wire.receive))
    sending = turn(outbox.send_some)
    late_at: int | None = None
    try:
        while True:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                outbox.hang_up()
                await asyncio.wait((sending,), timeout=_LAST_SECONDS)  # what it sends at this moment counts, too
                return False
            stop = sending.result()
            if stop is Stop.FINISHED:
                return True
            if stop is Stop.GONE or gone.done():
                return False
            if stop is Stop.NO_ROOM:
                if outbox.bytes == late_at:
                    return False
                # A socket has room when a third of its buffer is free: a slow reader may have taken less in time, but not nothing.
                late_at = None if await outbox.has_room(gone, wire.stall_seconds) else outbox.bytes
            sending = turn(outbox.send_some)
    finally:
        gone.cancel()
        outbox.hang_up()
        outbox.outlet.note_sent(outbox.bytes)
        sending.add_done_callback(lambda done: _close(done, outbox, turn))


def _close(done: "asyncio.Future[Any]", outbox: Outbox, turn: Turn) -> None:
    if not done.cancelled():
        done.exception()  # whatever it was, nobody waits for it any more
    outbox.outlet.socket.close()
    turn(body.close_pieces, outbox.pieces)
