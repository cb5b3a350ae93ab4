"""Bodies between the event loop and a worker thread: order, back-pressure, and every way in which a peer can go away."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from partage import problems
from partage.http import lending
from partage.http.body import BLOCK_BYTES, RequestBody, Wire
from partage.http.threads import Threads

GONE = {"type": "http.disconnect"}
CHUNKED = {b"transfer-encoding": b"chunked"}
PIECE = 64 << 10


def part(content: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": content, "more_body": more}


class Peer:
    """A client whose messages are given beforehand; after the last one it says nothing more."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.received = 0
        self.sent: list[bytes] = []
        self.takes = True

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if not self.messages:
            await asyncio.Event().wait()
        self.received += 1
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        if not self.takes:
            await asyncio.Event().wait()
        self.sent.append(message["body"])
        await asyncio.sleep(0)

    def body(self, headers: dict[bytes, bytes] = CHUNKED, *, stall_seconds: float = 5.0) -> RequestBody:
        return RequestBody(self.receive, headers, stall_seconds=stall_seconds)

    def wire(self, *, stall_seconds: float = 5.0) -> Wire:
        return Wire(self.receive, self.send, stall_seconds)


@asynccontextmanager
async def pools() -> AsyncIterator[Threads]:
    threads = Threads(reading=1, metadata=1, upload=1, download=1, remote=1)
    yield threads
    await asyncio.sleep(0.05)  # lets the closing of iterators through
    threads.close()


def in_thread(peer_body: RequestBody, consume: Callable[[Iterator[bytes]], Any]) -> Any:
    async def run() -> Any:
        async with pools() as threads:
            return await threads.call_upload(consume, peer_body.blocks(asyncio.get_running_loop()))

    return asyncio.run(run())


def test_a_body_arrives_whole_and_as_it_was_received() -> None:
    pieces = [bytes([number]) * PIECE for number in range(40)]
    peer = Peer(*(part(piece) for piece in pieces[:-1]), part(pieces[-1], more=False))
    assert in_thread(peer.body(), list) == pieces


def test_nothing_is_received_before_somebody_reads() -> None:
    peer = Peer(part(b"x", more=False))
    in_thread(peer.body(), lambda _blocks: None)
    assert peer.received == 0


def test_no_more_than_one_block_is_received_ahead() -> None:
    peer = Peer(*(part(b"x" * PIECE) for _ in range(1000)))
    seen: list[int] = []

    def consume(blocks: Iterator[bytes]) -> None:
        for number, _block in enumerate(blocks):
            seen.append((peer.received - number) * PIECE)
            if number == 5 * BLOCK_BYTES // PIECE:
                return

    in_thread(peer.body(), consume)
    assert max(seen) <= 2 * BLOCK_BYTES


def test_a_body_that_was_not_announced_is_empty_and_nothing_is_waited_for() -> None:
    peer = Peer()
    assert in_thread(peer.body({}), list) == []
    assert in_thread(peer.body({b"content-length": b"0"}), list) == []


@pytest.mark.parametrize("before", [0, 3, 40])
def test_a_client_that_goes_away_never_looks_like_the_end_of_the_body(before: int) -> None:
    peer = Peer(*(part(b"x" * PIECE) for _ in range(before)), GONE)
    with pytest.raises(problems.ClientGone):
        in_thread(peer.body(), list)


def test_a_client_that_falls_silent_is_given_up() -> None:
    peer = Peer(part(b"x"))
    with pytest.raises(problems.ClientGone, match=r"within 0\.05 seconds"):
        in_thread(peer.body(stall_seconds=0.05), list)


def test_giving_up_wakes_the_thread_that_waits() -> None:
    async def run() -> None:
        peer_body = Peer(part(b"x")).body()
        async with pools() as threads:
            waiting = threads.call_upload(list, peer_body.blocks(asyncio.get_running_loop()))
            await asyncio.sleep(0.05)
            await peer_body.give_up()
            with pytest.raises(problems.ClientGone):
                await waiting

    asyncio.run(run())


def test_what_is_left_unread_can_be_drained_while_a_block_is_on_its_way() -> None:
    async def run() -> int:
        peer = Peer(*(part(b"x" * PIECE) for _ in range(100)), part(b"", more=False))
        peer_body = peer.body()

        def take_one(blocks: Iterator[bytes]) -> bytes:
            return next(blocks)

        async with pools() as threads:
            await threads.call_upload(take_one, peer_body.blocks(asyncio.get_running_loop()))
            await peer_body.drain()
        return len(peer.messages)

    assert asyncio.run(run()) == 0


def test_a_document_is_read_whole() -> None:
    peer = Peer(part(b"ab"), part(b""), part(b"c", more=False))
    assert asyncio.run(peer.body().read(10)) == b"abc"


@pytest.mark.parametrize("headers", [CHUNKED, {b"content-length": b"11"}])
def test_a_document_that_is_too_large_is_refused_before_it_is_whole(headers: dict[bytes, bytes]) -> None:
    peer = Peer(*(part(b"x" * 6) for _ in range(100)))
    with pytest.raises(problems.TooLarge):
        asyncio.run(peer.body(headers).read(10))
    assert peer.received <= 2


class Lends:
    """A connection's socket, lent to receive from, and how it came back."""

    def __init__(self, early: bytes = b"") -> None:
        self.theirs, self._ours = socket.socketpair()
        self._early = early
        self.told: list[str] = []

    async def outlet(self, stall_seconds: float) -> None:
        del stall_seconds

    def inlet(self) -> lending.Inlet:
        return lending.Inlet(self._ours, self._early, lambda: self.told.append("go on"), lambda: self.told.append("give up"))

    @property
    def is_closed(self) -> bool:
        return self._ours.fileno() == -1


LENGTH = 3 * BLOCK_BYTES


def lent(peer: Peer, lends: Lends, consume: Callable[[Iterator[bytes]], Any], *, stall_seconds: float = 5.0) -> Any:
    headers = {b"content-length": b"%d" % LENGTH}
    peer_body = RequestBody(peer.receive, headers, stall_seconds=stall_seconds, lender=lends)

    async def run() -> Any:
        async with pools() as threads:
            try:
                return await threads.call_upload(consume, peer_body.blocks(asyncio.get_running_loop()))
            finally:
                peer_body.settle()

    return asyncio.run(run())


def test_a_long_body_is_received_from_the_socket_after_what_the_server_has() -> None:
    rest = b"c" * (LENGTH - 7)
    lends = Lends(b"early")
    sending = threading.Thread(target=lends.theirs.sendall, args=(rest + b"GET / HTTP/1.1",))
    sending.start()
    assert lent(Peer(part(b"ab")), lends, b"".join) == b"abearly" + rest
    assert (lends.told, lends.is_closed) == (["go on"], True)
    lends.theirs.close()
    sending.join()


@pytest.mark.parametrize("ending", ["closed", "silent"])
def test_a_long_body_that_ends_early_is_no_body(ending: str) -> None:
    lends = Lends()
    lends.theirs.sendall(b"x" * 1000)
    if ending == "closed":
        lends.theirs.close()
    with pytest.raises(problems.ClientGone):
        lent(Peer(part(b"ab")), lends, list, stall_seconds=0.1)
    assert (lends.told, lends.is_closed) == (["give up"], True)
    lends.theirs.close()


def test_a_socket_is_given_back_by_a_reader_that_has_enough() -> None:
    lends = Lends()
    lends.theirs.sendall(b"x" * 1000)

    def take_two(blocks: Iterator[bytes]) -> int:
        return len(next(blocks) + next(blocks))

    assert lent(Peer(part(b"ab")), lends, take_two, stall_seconds=0.2) == 1002
    assert (lends.told, lends.is_closed) == (["give up"], True)
    lends.theirs.close()


def test_giving_up_wakes_the_thread_that_waits_at_the_socket() -> None:
    async def run() -> None:
        lends = Lends()
        peer_body = RequestBody(Peer(part(b"x")).receive, {b"content-length": b"%d" % LENGTH}, stall_seconds=60, lender=lends)
        async with pools() as threads:
            waiting = threads.call_upload(list, peer_body.blocks(asyncio.get_running_loop()))
            await asyncio.sleep(0.1)
            await peer_body.give_up()
            with pytest.raises(problems.ClientGone):
                await waiting
        assert (lends.told, lends.is_closed) == (["give up"], True)
        lends.theirs.close()

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"abc", b"abcdef"])
def test_body_of_another_length_than_announced_is_not_whole(sent: bytes) -> None:
    """Whatever the server says: it once called a body ended at its head."""

    async def read() -> None:
        peer = Peer(part(sent, more=False))
        with pytest.raises(problems.ClientGone):
            await peer.body({b"content-length": b"5"}).read(100)

    asyncio.run(read())
