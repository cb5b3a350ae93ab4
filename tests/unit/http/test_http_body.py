"""A request's body as a document: whole, or not at all."""

import asyncio
from typing import Any

import pytest

from partage import problems
from partage.http.server.body import RequestBody

CHUNKED = {b"transfer-encoding": b"chunked"}


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

    def body(self, headers: dict[bytes, bytes] = CHUNKED, *, stall_seconds: float = 5.0) -> RequestBody:
        return RequestBody(self.receive, headers, stall_seconds=stall_seconds)


def test_a_document_is_read_whole() -> None:
    peer = Peer(part(b"ab"), part(b""), part(b"c", more=False))
    assert asyncio.run(peer.body().read(10)) == b"abc"


@pytest.mark.parametrize("headers", [CHUNKED, {b"content-length": b"11"}])
def test_a_document_that_is_too_large_is_refused_before_it_is_whole(headers: dict[bytes, bytes]) -> None:
    peer = Peer(*(part(b"x" * 6) for _ in range(100)))
    with pytest.raises(problems.TooLarge):
        asyncio.run(peer.body(headers).read(10))
    assert peer.received <= 2


@pytest.mark.parametrize("sent", [b"", b"abc", b"abcdef"])
def test_body_of_another_length_than_announced_is_not_whole(sent: bytes) -> None:
    """Whatever the server says: it once called a body ended at its head."""

    async def read() -> None:
        peer = Peer(part(sent, more=False))
        with pytest.raises(problems.ClientGone):
            await peer.body({b"content-length": b"5"}).read(100)

    asyncio.run(read())


@pytest.mark.parametrize(("text", "length_bytes"), [(b"0" * 60_000 + b"2", 2), (b"0" * 5000, 0), (b"+2", None), (b"", None)])
def test_announced_length_is_read_with_zeros_in_front(text: bytes, length_bytes: int | None) -> None:
    assert Peer().body({b"content-length": text}).length_bytes == length_bytes


def test_document_below_the_least_rate_is_given_up() -> None:
    """One byte within each `stall_seconds` would keep a connection for ever, and documents have no bound in number."""

    async def dribble() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return part(b"x")

    async def read() -> None:
        headers = {b"content-length": b"100000"}
        body = RequestBody(dribble, headers, stall_seconds=60, slowest_bytes_per_second=1000, window_seconds=0.5)
        with pytest.raises(problems.ClientGone, match="too slowly"):
            await asyncio.wait_for(body.read(200_000), 60)

    asyncio.run(read())
