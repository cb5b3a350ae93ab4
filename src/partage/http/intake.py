"""Passes image data from a client to an operation in turns: a thread is held only while there are bytes to process.

    event loop: wait for bytes ── wait for a buffer of the pool ──┐        ┌── wait for bytes …
    a thread of the upload pool:                                  └─ turn ─┘   fill pieces, `Arrival.take` each, pause

A body of known length is received on the handed-off socket (`socket_handoff.py`, docs/decisions/0047). The kernel buffers data
until it has a piece, or the end, or nothing more arrives for a moment. Other bodies are received through the server, half a
mebibyte at a time. An upload that waits for its client holds a socket, but no thread and no buffer of the pool.
"""

import array
import asyncio
import contextlib
import fcntl
import select
import socket
import termios
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from partage import problems
from partage.content.chunking import PIECE_BYTES
from partage.http.messages import Edge
from partage.http.server.body import GONE, RequestBody, set_low_watermark
from partage.http.server.receive_rate import ReceiveLimits, ReceiveRate
from partage.measures import TRANSFERS
from partage.operations.ingest import Receiver
from partage.stores.engine.buffers import Buffers, Piece

_TURN_BYTES = 32 << 20
_MOMENT_MILLISECONDS = 20
_GATHER_SECONDS = 0.5


class Failing(Protocol):
    """Work that can be aborted."""

    def fail(self, error: BaseException) -> None:
        """Abort."""


class InTurns(Failing, Protocol):
    """Work on image data that is here already."""

    def advance(self) -> bool:
        """Process some; return whether there is more."""


_Work = TypeVar("_Work", bound=Failing)


async def store(body: RequestBody, edge: Edge, begin: Callable[[], Receiver]) -> None:
    """Begin, pass the whole body to the arrival, and finish. Nothing is received before `begin` has returned.

    Errors of `begin` and of the arrival pass through, after the arrival has failed.

    Raises:
        UploadsFull: this process runs as many uploads as it may.
        ClientGone: the client disconnected, or is too slow.
    """
    with edge.uploads.admit():
        arrival = await _begin(edge, begin)
        intake = _Intake(body, edge, arrival)
        edge.service.process.meter.change(TRANSFERS, "upload", by=1)
        try:
            await intake.run()
        except asyncio.CancelledError:  # the server stops
            intake.abandon()
            raise
        except BaseException as error:
            body.return_socket()  # so that the server notices a disconnect while the image is reset
            await edge.threads.call_upload(arrival.fail, error)
            raise
        finally:
            edge.service.process.meter.change(TRANSFERS, "upload", by=-1)


async def run(edge: Edge, begin: Callable[[], InTurns]) -> None:
    """Begin, and let the work advance in turns until it has ended. It counts as an upload, and errors pass through as in `store`.

    Raises:
        UploadsFull: this process runs as many uploads as it may.
    """
    with edge.uploads.admit():
        work = await _begin(edge, begin)
        turn: asyncio.Future[bool] | None = None
        try:
            while True:
                turn = asyncio.ensure_future(edge.threads.call_upload(work.advance))
                if not await asyncio.shield(turn):
                    return
        except asyncio.CancelledError:  # the server stops
            if turn is not None:
                turn.add_done_callback(lambda done: None if _has_ended(done) else _fail(edge, work))
            raise
        except BaseException as error:
            await edge.threads.call_upload(work.fail, error)
            raise


def _has_ended(turn: "asyncio.Future[bool]") -> bool:
    return not turn.cancelled() and turn.exception() is None and not turn.result()


async def _begin(edge: Edge, begin: Callable[[], _Work]) -> _Work:
    beginning = asyncio.ensure_future(edge.threads.call_upload(begin))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(lambda done: None if done.exception() else _fail(edge, done.result()))
        raise


def _fail(edge: Edge, arrival: Failing) -> None:
    with contextlib.suppress(RuntimeError):  # the pools are closed: recovery resets the image later
        edge.threads.call_upload(arrival.fail, problems.ClientGone(GONE))


class _Intake:
    """One body. Belongs to the event loop's thread, except `_take_turn`, during which the loop only gathers ahead."""

    def __init__(self, body: RequestBody, edge: Edge, arrival: Receiver) -> None:
        options = edge.options
        limits = ReceiveLimits(
            stall_seconds=options.stall_seconds,
            slowest_bytes_per_second=options.slowest_bytes_per_second,
            window_seconds=options.window_seconds,
        )
        self._body = body
        self._edge = edge
        self._pieces: Buffers = edge.service.stores.writer_resources.pieces
        self._arrival = arrival
        self._rate = ReceiveRate(limits)
        self._queued: deque[memoryview] = deque()
        self._receive_socket: socket.socket | None = None
        self._ready = select.poll()
        self._counted_bytes = 0
        self._ahead: asyncio.Task[list[bytes]] | None = None
        self._turn: asyncio.Future[None] | None = None
        self._is_abandoned = False

    async def run(self) -> None:
        """Pass all of the body to the arrival, and finish."""
        try:
            await self._begin_receiving()
            while not self._is_done():
                if not self._queued:
                    await self._wait_for_bytes()
                if self._is_done():
                    break
                piece = Piece(self._pieces, await _wait_for_buffer(self._pieces))
                self._turn = asyncio.ensure_future(self._edge.threads.call_upload(self._take_turn, piece))
                self._gather_ahead()
                await asyncio.shield(self._turn)
            self._turn = asyncio.ensure_future(self._edge.threads.call_upload(self._arrival.finish))
            await asyncio.shield(self._turn)
        finally:
            if self._ahead is not None:
                self._ahead.cancel()

    def abandon(self) -> None:
        """End the running turn, if any; then return the socket and fail the arrival."""
        self._is_abandoned = True
        if self._turn is None:
            self._end()
        else:
            self._turn.add_done_callback(self._end)

    def _end(self, turn: "asyncio.Future[None] | None" = None) -> None:
        if turn is not None and not turn.cancelled():
            turn.exception()  # retrieved, so that asyncio does not log it
        self._body.return_socket()
        _fail(self._edge, self._arrival)

    def _is_done(self) -> bool:
        return self._body.is_finished and not self._queued and self._ahead is None

    async def _begin_receiving(self) -> None:
        if self._body.is_finished or not self._body.can_hand_off:
            return
        self._queue(await self._body.gather(1, self._rate))  # this sends 100 Continue if the client expects it
        connection = self._body.take_socket()
        if connection is not None:
            self._queue([connection.early])
            self._receive_socket = connection.socket
            self._ready.register(connection.socket, select.POLLIN)

    async def _wait_for_bytes(self) -> None:
        if self._receive_socket is not None:
            await self._wait_at_socket(self._receive_socket)
            return
        ahead, self._ahead = self._ahead or self._gather(), None
        self._queue(await ahead)

    def _gather_ahead(self) -> None:
        if self._receive_socket is None and not self._body.is_finished and self._ahead is None:
            self._ahead = self._gather()

    def _gather(self) -> "asyncio.Task[list[bytes]]":
        return asyncio.ensure_future(self._body.gather(PIECE_BYTES, self._rate, seconds=_GATHER_SECONDS))

    def _queue(self, parts: list[bytes]) -> None:
        self._queued.extend(memoryview(part) for part in parts if part)

    async def _wait_at_socket(self, connection: socket.socket) -> None:
        """Wait until the kernel has a piece, or the end, or has bytes and receives no more."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            is_ready = await _wait_until_readable(connection, self._count_missing(PIECE_BYTES), self._rate.tick_seconds)
            present = _count_readable_bytes(connection)
            total = self._body.received_bytes + present
            arrived, self._counted_bytes = total - self._counted_bytes, total
            self._rate.record(loop.time() - began, arrived)
            if is_ready or (present and not arrived):
                return

    def _take_turn(self, piece: Piece) -> None:
        """Process bytes in this thread until no more have arrived or the turn is over."""
        filling: Piece | None = piece
        taken_bytes, moment = 0, _MOMENT_MILLISECONDS if self._queued else 0
        try:
            while filling is not None and not self._is_abandoned:
                self._fill(filling, moment)
                if not filling.size_bytes:
                    break
                was_full, taken_bytes = filling.is_full, taken_bytes + filling.size_bytes
                passed, filling = filling, None
                self._arrival.take(passed)
                has_more = self._queued or (self._receive_socket is not None and not self._body.is_finished)
                if was_full and has_more and taken_bytes < _TURN_BYTES:
                    buffer = self._pieces.try_acquire()
                    filling = None if buffer is None else Piece(self._pieces, buffer)
                    moment = _MOMENT_MILLISECONDS
        finally:
            if filling is not None:
                filling.release()
        if not self._is_abandoned:
            self._arrival.pause()

    def _fill(self, piece: Piece, moment: int) -> None:
        while self._queued and not piece.is_full:
            part = self._queued.popleft()
            rest = part[piece.append(part) :]
            if rest:
                self._queued.appendleft(rest)
        if self._receive_socket is not None and not piece.is_full and not self._body.is_finished:
            self._receive(self._receive_socket, piece, moment)

    def _receive(self, connection: socket.socket, piece: Piece, moment: int) -> None:
        """Receive directly into a piece, which saves a fifth of an upload's processor time; nothing if no bytes arrive soon."""
        wanted = self._count_missing(len(piece.buffer) - piece.size_bytes)
        try:
            if moment:
                set_low_watermark(connection, wanted)
                if not self._ready.poll(moment):
                    return
            room = piece.buffer[piece.size_bytes : piece.size_bytes + wanted]
            size_bytes = connection.recv_into(room, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise problems.ClientGone(GONE) from error
        if not size_bytes:
            raise problems.ClientGone(GONE)
        piece.size_bytes += size_bytes
        self._body.note_received(size_bytes)

    def _count_missing(self, room_bytes: int) -> int:
        return min(room_bytes, (self._body.length_bytes or 0) - self._body.received_bytes)


async def _wait_for_buffer(buffers: Buffers) -> memoryview:
    """Wait for a buffer of the pool, in first-come order, without a thread."""
    buffer = buffers.try_acquire()
    if buffer is not None:
        return buffer
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[memoryview] = loop.create_future()

    def deliver(buffer: memoryview) -> None:
        if waiting.done():
            buffers.release(buffer)
        else:
            waiting.set_result(buffer)

    def pass_buffer(buffer: memoryview) -> None:
        loop.call_soon_threadsafe(deliver, buffer)

    buffers.request(pass_buffer)
    try:
        return await waiting
    except asyncio.CancelledError:
        buffers.cancel(pass_buffer)
        if waiting.done() and not waiting.cancelled():
            buffers.release(waiting.result())
        raise


async def _wait_until_readable(connection: socket.socket, wanted_bytes: int, seconds: float) -> bool:
    """Wait until the socket is readable; say whether that was in time."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    set_low_watermark(connection, wanted_bytes)
    loop.add_reader(connection.fileno(), ready.set)
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(connection.fileno())
    return True


def _count_readable_bytes(connection: socket.socket) -> int:
    """Return the size of the kernel's receive queue. Source: FIONREAD in tcp(7)."""
    found = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.FIONREAD, found, True)  # noqa: FBT003 - the library's signature
    return found[0]
