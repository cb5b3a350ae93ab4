"""Image data from a client into an operation by turns: order, back-pressure, every way to go away, and what waiting holds."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from partage import problems
from partage.content.chunking import PIECE_BYTES
from partage.http import intake
from partage.http.admission import Admission
from partage.http.messages import Edge
from partage.http.options import EdgeOptions
from partage.http.server import socket_handoff
from partage.http.server.body import BLOCK_BYTES, RequestBody
from partage.http.server.receive_rate import ReceiveLimits, ReceiveRate
from partage.http.server.threads import Threads
from partage.operations.ingest import Arrival
from partage.operations.service import Process, Service
from partage.stores.engine.buffers import Buffers, Piece

GONE = {"type": "http.disconnect"}
CHUNKED = {b"transfer-encoding": b"chunked"}
PIECE = 64 << 10
LENGTH = 3 * BLOCK_BYTES


def part(content: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


class Peer:
    """A client whose messages are given beforehand; after the last one it says nothing more."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.received = 0

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if not self.messages:
            await asyncio.Event().wait()
        self.received += 1
        return self.messages.pop(0)


class Lends:
    """A connection's socket, lent to receive from, and how it came back."""

    def __init__(self, early: bytes = b"") -> None:
        self.theirs, self._ours = socket.socketpair()
        self._early = early
        self.told: list[str] = []

    async def acquire_send_socket(self, stall_seconds: float) -> None:
        del stall_seconds

    def acquire_receive_socket(self) -> socket_handoff.ReceiveSocket:
        return socket_handoff.ReceiveSocket(
            self._ours, self._early, lambda: self.told.append("go on"), lambda: self.told.append("give up")
        )

    @property
    def is_closed(self) -> bool:
        return self._ours.fileno() == -1


class Taken:
    """What an operation took, and how it ended."""

    def __init__(self, *, failing_after: int | None = None) -> None:
        self.data = b""
        self.takes = 0
        self.pauses = 0
        self.ended: list[Any] = []
        self._failing_after = failing_after

    def take(self, piece: Piece) -> None:
        self.data += bytes(piece.view)
        self.takes += 1
        piece.release()
        if self._failing_after is not None and len(self.data) > self._failing_after:
            raise problems.StoreFull("no room")

    def pause(self) -> None:
        self.pauses += 1

    def finish(self) -> None:
        self.ended.append("finished")

    def fail(self, error: BaseException) -> None:
        self.ended.append(error)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that other threads bring about."""
    while not holds():  # noqa: ASYNC110 - a thread cannot set an event of the loop's by itself
        await asyncio.sleep(0.01)


class World:
    """An edge with one pool of two upload threads and a few buffers."""

    def __init__(self, *, buffers: int = 4, at_once: int = 10, **options: Any) -> None:
        self.pieces = Buffers(buffers)
        self.threads = Threads(reading=1, metadata=1, upload=2, download=1, remote=1)
        process = Process(worker="this", worker_lives=lambda _worker: True)
        stores = SimpleNamespace(writer_resources=SimpleNamespace(pieces=self.pieces))
        service = SimpleNamespace(process=process, stores=stores)
        self.edge = Edge(
            service=cast(Service, service),
            threads=self.threads,
            options=EdgeOptions(www_authenticate_uri="", **({"stall_seconds": 5.0} | options)),
            uploads=Admission(at_once),
        )

    async def store(self, body: RequestBody, taken: Taken) -> None:
        try:
            await intake.store(body, self.edge, lambda: cast(Arrival, taken))
        finally:
            body.return_socket()

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return asyncio.run(work())
        finally:
            self.threads.close()


def stored(peer: Peer, taken: Taken, headers: dict[bytes, bytes] = CHUNKED, **options: Any) -> World:
    world = World(**options)

    async def run() -> None:
        await world.store(RequestBody(peer.receive, headers, stall_seconds=5), taken)

    try:
        world.run(run)
    finally:
        assert world.pieces.in_use == 0
        assert world.edge.uploads.count == 0
    return world


def lent(peer: Peer, lends: Lends, taken: Taken, **options: Any) -> None:
    world = World(**options)
    headers = {b"content-length": b"%d" % LENGTH}

    async def run() -> None:
        await world.store(RequestBody(peer.receive, headers, stall_seconds=5, handoff=lends), taken)

    try:
        world.run(run)
    finally:
        assert world.pieces.in_use == 0
        assert lends.is_closed


def test_body_arrives_whole_and_in_order() -> None:
    pieces = [bytes([number]) * PIECE for number in range(40)]
    taken = Taken()
    stored(Peer(*(part(piece) for piece in pieces[:-1]), part(pieces[-1], more=False)), taken)
    assert taken.data == b"".join(pieces)
    assert taken.ended == ["finished"]
    assert taken.pauses > 0


def test_nothing_is_received_before_the_operation_has_begun() -> None:
    peer = Peer(part(b"x", more=False))

    def refuse() -> Arrival:
        assert peer.received == 0
        raise problems.StatusConflict("not queued")

    world = World()
    body = RequestBody(peer.receive, CHUNKED, stall_seconds=5)
    with pytest.raises(problems.StatusConflict):
        world.run(lambda: intake.store(body, world.edge, refuse))
    assert peer.received == 0
    assert world.edge.uploads.count == 0


def test_no_more_than_a_mebibyte_is_received_ahead() -> None:
    peer = Peer(*(part(b"x" * PIECE) for _ in range(400)), part(b"", more=False))
    seen: list[int] = []

    class Slow(Taken):
        def take(self, piece: Piece) -> None:
            super().take(piece)
            seen.append(peer.received * PIECE - len(self.data))

    stored(peer, Slow())
    assert max(seen) <= BLOCK_BYTES + PIECE_BYTES


@pytest.mark.parametrize("headers", [{}, {b"content-length": b"0"}])
def test_body_that_was_not_announced_is_empty(headers: dict[bytes, bytes]) -> None:
    taken = Taken()
    stored(Peer(), taken, headers)
    assert (taken.data, taken.ended) == (b"", ["finished"])


@pytest.mark.parametrize("before", [0, 3, 40])
def test_client_that_goes_away_never_looks_like_the_end(before: int) -> None:
    taken = Taken()
    with pytest.raises(problems.ClientGone):
        stored(Peer(*(part(b"x" * PIECE) for _ in range(before)), GONE), taken)
    assert [type(each) for each in taken.ended] == [problems.ClientGone]


def test_silent_client_is_disconnected() -> None:
    taken = Taken()
    with pytest.raises(problems.ClientGone, match=r"within 0\.05 seconds"):
        stored(Peer(part(b"x")), taken, stall_seconds=0.05)
    assert [type(each) for each in taken.ended] == [problems.ClientGone]


def test_failure_of_the_operation_ends_the_receiving() -> None:
    peer, taken = Peer(*(part(b"x" * PIECE) for _ in range(1000))), Taken(failing_after=2 * BLOCK_BYTES)
    with pytest.raises(problems.StoreFull):
        stored(peer, taken)
    assert [type(each) for each in taken.ended] == [problems.StoreFull]
    assert peer.received < 100


def test_long_body_is_received_from_the_socket_after_what_the_server_has() -> None:
    rest = b"c" * (LENGTH - 7)
    lends, taken = Lends(b"early"), Taken()
    sending = threading.Thread(target=lends.theirs.sendall, args=(rest + b"GET / HTTP/1.1",))
    sending.start()
    lent(Peer(part(b"ab")), lends, taken)
    assert taken.data == b"abearly" + rest
    assert lends.told == ["go on"]
    lends.theirs.close()
    sending.join()


@pytest.mark.parametrize("ending", ["closed", "silent"])
def test_long_body_that_ends_early_is_no_body(ending: str) -> None:
    lends, taken = Lends(), Taken()
    lends.theirs.sendall(b"x" * 1000)
    if ending == "closed":
        lends.theirs.close()
    with pytest.raises(problems.ClientGone):
        lent(Peer(part(b"ab")), lends, taken, stall_seconds=0.1)
    assert lends.told == ["give up"]
    assert [type(each) for each in taken.ended] == [problems.ClientGone]
    lends.theirs.close()


def test_socket_is_given_back_when_the_operation_fails() -> None:
    lends, taken = Lends(), Taken(failing_after=900)
    lends.theirs.sendall(b"x" * 1000)
    with pytest.raises(problems.StoreFull):
        lent(Peer(part(b"ab")), lends, taken)
    assert lends.told == ["give up"]
    lends.theirs.close()


@pytest.mark.parametrize("is_lent", [True, False])
def test_upload_that_is_cancelled_fails_and_gives_everything_back(is_lent: bool) -> None:
    taken, world = Taken(), World()
    lends = Lends() if is_lent else None
    headers = {b"content-length": b"%d" % LENGTH}
    peer = Peer(part(b"x"))

    async def run() -> None:
        body = RequestBody(peer.receive, headers, stall_seconds=5, handoff=lends)
        running = asyncio.ensure_future(intake.store(body, world.edge, lambda: cast(Arrival, taken)))
        await until(lambda: bool(taken.takes))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: bool(taken.ended))

    world.run(run)
    assert [type(each) for each in taken.ended] == [problems.ClientGone]
    assert world.pieces.in_use == 0
    if lends is not None:
        assert lends.told == ["give up"]
        lends.theirs.close()


def test_upload_that_is_cancelled_while_it_begins_fails() -> None:
    taken, world, begun = Taken(), World(), threading.Event()

    def begin() -> Arrival:
        begun.wait(10)
        return cast(Arrival, taken)

    async def run() -> None:
        running = asyncio.ensure_future(intake.store(RequestBody(Peer().receive, CHUNKED, stall_seconds=5), world.edge, begin))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        begun.set()
        await until(lambda: bool(taken.ended))

    world.run(run)
    assert [type(each) for each in taken.ended] == [problems.ClientGone]


@pytest.mark.parametrize("is_lent", [True, False])
def test_idle_uploads_hold_no_thread_and_no_buffer(is_lent: bool) -> None:
    """Ten uploads stand still after a few bytes; there are two threads and four buffers, and the eleventh goes through."""
    world, idle = World(at_once=11), [(Lends() if is_lent else None, Taken()) for _ in range(10)]
    headers = {b"content-length": b"%d" % LENGTH}
    quick = Taken()

    async def run() -> None:
        running = [
            asyncio.ensure_future(
                world.store(RequestBody(Peer(part(b"x" * 100)).receive, headers, stall_seconds=60, handoff=lends), taken)
            )
            for lends, taken in idle
        ]
        await until(lambda: bool(all(taken.takes for _lends, taken in idle)))
        await until(lambda: not world.pieces.in_use)
        peer = Peer(*(part(b"y" * PIECE) for _ in range(47)), part(b"y" * PIECE, more=False))
        await world.store(RequestBody(peer.receive, headers, stall_seconds=60), quick)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await until(lambda: bool(all(taken.ended for _lends, taken in idle)))

    world.run(run)
    assert quick.data == b"y" * LENGTH
    assert quick.ended == ["finished"]
    for lends, _taken in idle:
        if lends is not None:
            lends.theirs.close()


def test_one_upload_too_many_is_refused_before_it_begins() -> None:
    world = World(at_once=1)

    def never() -> Arrival:
        raise AssertionError("begun")

    async def run() -> None:
        with world.edge.uploads.admit():
            await intake.store(RequestBody(Peer().receive, CHUNKED, stall_seconds=5), world.edge, never)

    with pytest.raises(problems.UploadsFull):
        world.run(run)
    assert world.edge.uploads.count == 0


def test_buffers_are_granted_in_the_order_of_asking() -> None:
    buffers = Buffers(1)
    order: list[int] = []

    async def one(number: int) -> None:
        buffer = await intake._wait_for_buffer(buffers)  # noqa: SLF001 -- how an upload waits
        order.append(number)
        await asyncio.sleep(0)
        buffers.release(buffer)

    async def run() -> None:
        first = await intake._wait_for_buffer(buffers)  # noqa: SLF001
        waiting = [asyncio.ensure_future(one(number)) for number in range(20)]
        await asyncio.sleep(0)
        waiting[7].cancel()
        assert buffers.try_acquire() is None
        buffers.release(first)
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())
    assert order == [number for number in range(20) if number != 7]
    assert buffers.in_use == 0


def pace(**changed: Any) -> ReceiveRate:
    return ReceiveRate(ReceiveLimits(**({"stall_seconds": 1000, "slowest_bytes_per_second": 100, "window_seconds": 60} | changed)))


def test_client_above_the_least_rate_is_never_cut_off() -> None:
    slow = pace()
    for _ in range(1000):
        slow.record(10, 1000)


def test_client_that_pauses_within_a_window_is_not_cut_off() -> None:
    pausing = pace()
    for _ in range(100):
        pausing.record(50, 0)
        pausing.record(10, 6000)


def test_client_below_the_least_rate_is_cut_off_with_a_sentence() -> None:
    dribbling = pace()
    with pytest.raises(problems.ClientGone, match="too slowly: 6 bytes arrived in the last 60 seconds, and at least 100 a second"):
        for _ in range(6):
            dribbling.record(10, 1)


def test_silence_counts_only_while_nothing_comes() -> None:
    quiet = pace(stall_seconds=15, slowest_bytes_per_second=0)
    for _ in range(20):
        quiet.record(10, 0)
        quiet.record(1, 1)
    quiet.record(10, 0)
    with pytest.raises(problems.ClientGone, match="within 15 seconds"):
        quiet.record(10, 0)
