"""A request's body as a document: whole, or not at all."""

import asyncio
from typing import Any

import pytest

from partage import problems
from partage.http.body import RequestBody

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
