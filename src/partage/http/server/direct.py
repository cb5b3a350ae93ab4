"""Image data sent from a thread, straight to the connection's socket.

Through the event loop every buffer costs a hop between threads, a copy, and a wait for each part that the socket takes: a quarter
of the processor time of a download. So the server lends a connection's socket (`lending.py`) once all sent before has left.
A thread then sends until the client takes no more for a moment, or its turn is over; only then does the event loop wait, for the
socket to have room or for the next turn. A client that takes nothing for a second holds nothing but its socket: what was read ahead
for it is given up, and read again when the socket has room. Servers that do not lend, and data that comes from the web, are served
by `sending.send_pieces`.
"""

import asyncio
import contextlib
import select
import socket
from collections import deque
from enum import Enum
from itertools import islice

from partage.http.server import send_timeout, sending
from partage.http.server.body import Channel
from partage.http.server.sending import Call, Source
from partage.http.server.socket_handoff import SendSocket

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
    """What is to be sent on a socket: `first`, then the rest of `source`. One thread at a time sends.

    `bytes` counts what the kernel has taken.
    """

    def __init__(self, source: Source, first: list[bytes], handed_off: SendSocket) -> None:
        """Take over the source, the socket and `first`, which is emptied: the caller keeps its list for the whole download."""
        self.source = source
        self.socket = handed_off.socket
        self.note_sent = handed_off.note_sent
        self.bytes = 0
        self._waiting: deque[memoryview] = deque(memoryview(piece) for piece in first)
        first.clear()
        self._is_finished = False
        self._room = select.poll()
        self._room.register(self.socket, select.POLLOUT)

    def send_some(self) -> Stop:
        """Send until the end, until the socket has no room for a moment, or until others should have their turn. Blocking.

        Raises: what the source raises.
        """
        stop = self._send_some()
        if stop in (Stop.NO_ROOM, Stop.TURN_OVER) and self.source.should_be_given_up:
            self.give_up()
        return stop

    def give_up(self) -> None:
        """Release everything that is held; the next turn reads it again. Blocking."""
        if self.source.can_be_reopened:
            self._waiting.clear()
            self.source.give_up()

    async def has_room(self, gone: "asyncio.Future[None]", seconds: float) -> bool:
        """Wait until the socket takes more; say whether it does so in time, and before the client has gone."""
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

    def hang_up(self) -> None:
        """Let a thread that sends at this moment end, unless all has been sent."""
        if not self._is_finished:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def _send_some(self) -> Stop:
        turn_end = self.bytes + _TURN_BYTES
        while self.bytes < turn_end:
            if not self._waiting and not self._refill():
                self._is_finished = True
                return Stop.FINISHED
            try:
                self._forget(self.socket.sendmsg(list(islice(self._waiting, _MOST_PIECES))))
            except BlockingIOError:
                if not self._room.poll(_MOMENT_MILLISECONDS):
                    return Stop.NO_ROOM
            except OSError:
                return Stop.GONE
        return Stop.TURN_OVER

    def _refill(self) -> bool:
        self._waiting.extend(memoryview(piece) for piece in self.source.next_pieces(self.bytes))
        return bool(self._waiting)

    def _forget(self, sent: int) -> None:
        self.bytes += sent
        while self._waiting and len(self._waiting[0]) <= sent:
            sent -= len(self._waiting.popleft())
        if sent:
            self._waiting[0] = self._waiting[0][sent:]


async def send_pieces(outbox: Outbox, *, call: Call, channel: Channel) -> bool:
    """Send all of an outbox; say whether all of it went out. Problems of its source pass through.

    A client that goes away, or takes nothing for too long, ends the sending at once. Socket and source are closed in every case,
    as soon as no thread uses them.
    """
    gone = asyncio.ensure_future(sending.until_disconnect(channel.receive))
    moment = min(sending.MOMENT_SECONDS, channel.stall_seconds / 2)
    turn = call(outbox.send_some)
    try:
        while True:
            await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                outbox.hang_up()
                await asyncio.wait((turn,), timeout=_LAST_SECONDS)  # what it sends at this moment counts, too
                return False
            stop = turn.result()
            if stop is Stop.FINISHED:
                return True
            if stop is Stop.GONE or gone.done():
                return False
            if stop is Stop.NO_ROOM:
                taken = send_timeout.count_acknowledged(outbox.socket)
                if not await outbox.has_room(gone, moment):
                    turn = call(outbox.give_up)
                    await turn
                    if not await _has_room_in_time(outbox, gone, channel.stall_seconds - moment, taken):
                        return False
            turn = call(outbox.send_some)
    finally:
        gone.cancel()
        outbox.hang_up()
        outbox.note_sent(outbox.bytes)
        turn.add_done_callback(lambda done: _close(done, outbox, call))


async def _has_room_in_time(outbox: Outbox, gone: "asyncio.Future[None]", seconds: float, taken: int) -> bool:
    """Wait for room, for `seconds` again whenever the client has taken something; reset the connection of one that does not.

    `taken` is the socket's progress when it had no room. A socket has room when a third of its buffer is free: a slow client may
    take less in time, but not nothing.
    """
    while not await outbox.has_room(gone, seconds):
        before, taken = taken, send_timeout.count_acknowledged(outbox.socket)
        if gone.done():
            return False
        if taken == before:
            send_timeout.reset_on_close(outbox.socket)
            return False
    return True


def _close(done: "asyncio.Future[object]", outbox: Outbox, call: Call) -> None:
    if not done.cancelled():
        done.exception()  # whatever it was, nobody waits for it any more
    outbox.socket.close()
    call(outbox.source.close)
