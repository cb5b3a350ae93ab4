"""Image data sent from a thread on a handed-off socket: order, slow readers, and every way in which a reader can go away."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from partage import problems
from partage.http.server import direct, sending, socket_handoff
from partage.http.server.body import Channel
from partage.http.server.threads import Threads
from tests.unit.http.test_http_sending import GONE, Data, whole

Reader = Callable[[socket.socket], None]


class Told:
    """How a sending ended."""

    def __init__(self) -> None:
        self.whole = False
        self.counted: list[int] = []
        self.outlet: socket.socket | None = None


class Peer:
    """What the server says of the client: nothing, or that it has gone."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        raise AssertionError(message)


def local_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    return ours, theirs


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Connect by TCP, with a small buffer at the reader's end and the usual large one at ours."""
    with socket.socket() as listener, socket.socket() as theirs:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        theirs.connect(listener.getsockname())
        return listener.accept()[0], theirs.dup()


def sent(
    data: Data,
    peer: Peer,
    reader: Reader,
    *,
    stall_seconds: float = 20.0,
    is_short: bool = False,
    pair: Callable[[], tuple[socket.socket, socket.socket]] = local_pair,
) -> Told:
    """Send all of an image's data to a reader on a thread of its own."""
    ours, theirs = pair()
    ours.setblocking(False)
    told = Told()
    told.outlet = ours

    async def run() -> None:
        threads = Threads(reading=1, metadata=1, upload=1, download=2, remote=1)
        source = data.source(is_short=lambda: is_short)
        first = await threads.call_download(source.next_pieces, 0)
        outbox = direct.Outbox(source, first, socket_handoff.SendSocket(ours, told.counted.append))
        wire = Channel(peer.receive, peer.send, stall_seconds)
        try:
            told.whole = await direct.send_pieces(outbox, call=threads.call_download, channel=wire)
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


def test_data_is_sent_whole_and_in_order_to_a_reader_that_pauses() -> None:
    data, got = Data(37), bytearray()
    told = sent(data, Peer(), all_of(got, pause=0.03))
    assert told.whole
    assert got == whole(37)
    assert told.counted == [len(got)]
    assert data.open == 0


def test_turns_end_and_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_TURN_BYTES", 100_000)
    data, got = Data(21), bytearray()
    assert sent(data, Peer(), all_of(got)).whole
    assert got == whole(21)


def test_turn_of_a_reader_that_always_leaves_a_little_space_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_TURN_SECONDS", 0.05)
    here, there = socket.socketpair()
    here.setblocking(False)
    outbox = direct.Outbox(Data(1000).source(), [], socket_handoff.SendSocket(here, lambda _bytes: None))
    deadline = time.monotonic() + 5

    class Room:
        def poll(self, _milliseconds: int) -> list[int]:
            assert time.monotonic() < deadline
            there.recv(1000)
            return [1]

    monkeypatch.setattr(outbox, "_room", Room())
    assert outbox.send_some() is direct.Stop.TURN_OVER
    assert 0 < outbox.bytes < direct._TURN_BYTES  # noqa: SLF001
    for each in (here, there):
        each.close()


def test_a_reader_whose_connection_is_lost_ends_the_reading() -> None:
    data = Data(100_000)
    told = sent(data, Peer(), lambda wire: wire.close())
    assert not told.whole
    assert data.given <= 12
    assert data.open == 0


def test_a_reader_that_the_server_calls_gone_ends_the_reading() -> None:
    data, stop = Data(100_000), threading.Event()
    told = sent(data, Peer(GONE), lambda _wire: stop.wait(0.3) and None)
    assert not told.whole
    assert data.given <= 12
    assert data.open == 0
    assert told.outlet is not None
    assert told.outlet.fileno() == -1


def test_a_reader_that_takes_nothing_is_given_up_in_time() -> None:
    data, done = Data(100_000), threading.Event()
    begun = time.monotonic()
    told = sent(data, Peer(), lambda _wire: done.wait(2.0) and None, stall_seconds=0.2)
    assert not told.whole
    assert time.monotonic() - begun < 20
    assert data.given <= 12
    assert data.open == 0


def test_reader_that_takes_a_little_in_time_keeps_its_connection() -> None:
    """However long the kernel does not say that there is room, because it wants more room than that."""
    data, got = Data(64), bytearray()
    little = pausing(got, [0.1] * 40, every=10_000)
    assert sent(data, Peer(), little, stall_seconds=2, pair=tcp_pair).whole
    assert got == whole(64)


def test_reader_that_takes_nothing_is_reset() -> None:
    data, told = Data(64), []

    def read(wire: socket.socket) -> None:
        wire.settimeout(20)
        time.sleep(2)
        try:
            while wire.recv(1 << 20):
                pass
        except ConnectionResetError:
            told.append("reset")

    assert not sent(data, Peer(), read, stall_seconds=0.5, pair=tcp_pair).whole
    assert told == ["reset"]
    assert data.open == 0


def test_a_problem_in_mid_stream_passes_through_after_what_was_good() -> None:
    data, got = Data(100, failing_at=21), bytearray()
    with pytest.raises(problems.ContentCorrupt):
        sent(data, Peer(), all_of(got))
    assert got == whole(20)
    assert data.open == 0


def pausing(got: bytearray, pauses: list[float], *, every: int) -> Reader:
    """Read `every` bytes, pause, and so on."""

    def read(wire: socket.socket) -> None:
        for pause in pauses:
            time.sleep(pause)
            end = len(got) + every
            while len(got) < end and (piece := wire.recv(min(1 << 20, end - len(got)))):
                got.extend(piece)
        while piece := wire.recv(1 << 20):
            got.extend(piece)

    return read


def test_data_is_given_up_for_a_reader_that_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again from the byte at which the socket had no room any more."""
    monkeypatch.setattr(sending, "MOMENT_SECONDS", 0.05)
    data, got = Data(37), bytearray()
    assert sent(data, Peer(), pausing(got, [0.3, 0.3, 0.3], every=1_000_001)).whole
    assert got == whole(37)
    assert len(data.opened) >= 3
    assert data.open == 0


def test_reader_that_pauses_briefly_costs_no_second_reading() -> None:
    data, got = Data(37), bytearray()
    assert sent(data, Peer(), pausing(got, [0.1, 0.1], every=1_000_001)).whole
    assert got == whole(37)
    assert data.opened == [0]


def test_data_is_given_up_at_once_when_memory_is_short() -> None:
    data, got = Data(37), bytearray()
    assert sent(data, Peer(), pausing(got, [0.2, 0.2], every=1_000_001), is_short=True).whole
    assert got == whole(37)
    assert len(data.opened) >= 2
