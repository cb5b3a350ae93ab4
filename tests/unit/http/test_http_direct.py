"""Image data sent from a thread on a lent socket: order, slow readers, and every way in which a reader can go away."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from partage import problems
from partage.http import body, direct, lending
from partage.http.threads import Threads
from tests.unit.http.test_http_body import GONE, Peer, Source, part

Reader = Callable[[socket.socket], None]


class Told:
    """How a sending ended."""

    def __init__(self) -> None:
        self.whole = False
        self.counted: list[int] = []
        self.outlet: socket.socket | None = None


def sent(source: Source, peer: Peer, reader: Reader, *, stall_seconds: float = 5.0) -> Told:
    """Send all of a source to a reader on a thread of its own."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    told = Told()
    told.outlet = ours

    async def run() -> None:
        threads = Threads(reading=1, metadata=1, upload=1, download=2, remote=1)
        pieces = source.read()
        first = await threads.call_download(body.next_pieces, pieces)
        outbox = direct.Outbox(pieces, first, lending.Outlet(ours, told.counted.append))
        try:
            told.whole = await direct.send_pieces(outbox, turn=threads.call_download, wire=peer.wire(stall_seconds=stall_seconds))
        finally:
            await asyncio.sleep(0.1)  # lets the closing through
            threads.close()

    reading = threading.Thread(target=reader, args=(theirs,))
    reading.start()
    try:
        asyncio.run(run())
    finally:
        ours.close()  # or a reader would wait for ever for what a failure kept back
        reading.join()
        theirs.close()
    return told


def all_of(got: bytearray, *, pause: float = 0.0, at_a_time: int = 1 << 20) -> Reader:
    def read(wire: socket.socket) -> None:
        while piece := wire.recv(at_a_time):
            got.extend(piece)
            time.sleep(pause)

    return read


def numbers(got: bytes) -> Iterator[int]:
    size = body.BLOCK_BYTES // 4
    return (int(got[at : at + 8]) for at in range(0, len(got), size))


def test_data_is_sent_whole_and_in_order_to_a_reader_that_pauses() -> None:
    source, got = Source(37), bytearray()
    told = sent(source, Peer(), all_of(got, pause=0.03))
    assert told.whole
    assert list(numbers(got)) == list(range(37))
    assert told.counted == [len(got)]
    assert source.closed


def test_turns_end_and_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_TURN_BYTES", 100_000)
    source, got = Source(21), bytearray()
    assert sent(source, Peer(), all_of(got)).whole
    assert list(numbers(got)) == list(range(21))


def test_a_reader_whose_connection_is_lost_ends_the_reading() -> None:
    source = Source(100_000)
    told = sent(source, Peer(), lambda wire: wire.close())
    assert not told.whole
    assert source.given <= 12
    assert source.closed


def test_a_reader_that_the_server_calls_gone_ends_the_reading() -> None:
    source, stop = Source(100_000), threading.Event()
    told = sent(source, Peer(part(b"", more=False), GONE), lambda _wire: stop.wait(0.3) and None)
    assert not told.whole
    assert source.given <= 12
    assert source.closed
    assert told.outlet is not None
    assert told.outlet.fileno() == -1


def test_a_reader_that_takes_nothing_is_given_up_in_time() -> None:
    source, done = Source(100_000), threading.Event()
    begun = time.monotonic()
    told = sent(source, Peer(), lambda _wire: done.wait(2.0) and None, stall_seconds=0.2)
    assert not told.whole
    assert time.monotonic() - begun < 20
    assert source.given <= 12
    assert source.closed


def test_a_reader_that_takes_a_little_in_time_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the kernel does not say that there is room, because it wants more room than that."""

    async def has_room(*_given: object) -> bool:
        await asyncio.sleep(0.3)
        return False

    monkeypatch.setattr(direct.Outbox, "has_room", has_room)
    source, got = Source(4), bytearray()
    assert sent(source, Peer(), all_of(got, pause=0.02, at_a_time=1 << 16)).whole
    assert list(numbers(got)) == list(range(4))


def test_a_problem_in_mid_stream_passes_through_after_what_was_good() -> None:
    source, got = Source(100, failing_at=21), bytearray()
    with pytest.raises(problems.ContentCorrupt):
        sent(source, Peer(), all_of(got))
    assert list(numbers(got)) == list(range(20))
    assert source.closed
