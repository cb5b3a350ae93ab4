"""Image data through the event loop: order, what is held for clients that do not read, and every way in which they go away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from partage import problems
from partage.http.server import sending
from partage.http.server.body import BLOCK_BYTES, Channel
from partage.http.server.sending import Source
from partage.http.server.threads import Threads

GONE = {"type": "http.disconnect"}
QUARTER = BLOCK_BYTES // 4


class Client:
    """A client that takes messages while `takes` is set, no more than `limit` bytes, and goes away when `goes` is set."""

    def __init__(self) -> None:
        self.takes = asyncio.Event()
        self.takes.set()
        self.goes = asyncio.Event()
        self.got = bytearray()
        self.limit = 1 << 40
        self.largest = 0

    async def receive(self) -> dict[str, Any]:
        await self.goes.wait()
        return GONE

    async def send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        await self.takes.wait()
        self.largest = max(self.largest, len(message["body"]))
        self.got += message["body"]
        if len(self.got) >= self.limit:
            self.takes.clear()


class Data:
    """Numbered quarters of a mebibyte, as many as `quarters`, which know where they were read and that they were closed."""

    def __init__(self, quarters: int, *, failing_at: int | None = None) -> None:
        self.quarters = quarters
        self.failing_at = failing_at
        self.given = 0
        self.opened: list[int] = []
        self.open = 0

    def read(self, at: int = 0) -> Iterator[bytes]:
        """Read from byte `at`, as a source is reopened."""
        self.opened.append(at)
        self.open += 1
        try:
            for number in range(at // QUARTER, self.quarters):
                if number == self.failing_at:
                    raise problems.ContentCorrupt("a chunk no longer has its digest")
                self.given += 1
                yield quarter(number)[at - number * QUARTER if number == at // QUARTER else 0 :]
        finally:
            self.open -= 1

    def source(self, *, is_short: Callable[[], bool] = lambda: False, reopens: bool = True) -> Source:
        return Source(self.read(), reopen=self.read if reopens else None, is_short=is_short)


def quarter(number: int) -> bytes:
    return b"%08d" % number + bytes(QUARTER - 8)


def whole(quarters: int) -> bytes:
    return b"".join(quarter(number) for number in range(quarters))


@asynccontextmanager
async def pool() -> AsyncIterator[Threads]:
    threads = Threads(reading=1, metadata=1, upload=1, download=2, remote=1)
    yield threads
    await asyncio.sleep(0.05)  # lets the closing of iterators through
    threads.close()


async def until(holds: Callable[[], bool]) -> None:
    """Poll, for as long as a loaded machine may take."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0.01)


async def sent(client: Client, source: Source, *, stall_seconds: float = 60.0) -> bool:
    """Send all of a source to a client, over a server that waits for ever."""
    async with pool() as threads:
        first = await threads.call_download(source.next_pieces, 0)
        wire = Channel(client.receive, sending.TimeoutSend(client.send, stall_seconds), stall_seconds)
        return await sending.send_pieces(source, first, call=threads.call_download, channel=wire)


def test_image_data_is_sent_whole_and_in_order() -> None:
    async def run() -> None:
        data, client = Data(37), Client()
        assert await sent(client, data.source())
        assert client.got == whole(37)
        assert data.opened == [0]
        assert data.open == 0

    asyncio.run(run())


def test_client_that_goes_away_ends_the_reading() -> None:
    async def run() -> None:
        data, client = Data(100_000), Client()
        client.goes.set()
        assert not await sent(client, data.source())
        assert data.given <= 12
        await until(lambda: data.open == 0)

    asyncio.run(run())


@pytest.mark.parametrize("reopens", [True, False], ids=["from a store", "from the web"])
def test_client_that_takes_nothing_ends_the_reading(reopens: bool) -> None:
    async def run() -> None:
        data, client = Data(100_000), Client()
        client.takes.clear()
        assert not await sent(client, data.source(reopens=reopens), stall_seconds=0.05)
        assert data.given <= 8
        await until(lambda: data.open == 0)

    asyncio.run(run())


def test_data_is_given_up_for_a_client_that_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """And read again from the very byte when it goes on, as often as that happens."""
    monkeypatch.setattr(sending, "MOMENT_SECONDS", 0.02)

    async def run() -> None:
        data, client = Data(37), Client()
        client.takes.clear()
        sending_all = asyncio.ensure_future(sent(client, data.source()))
        for _ in range(5):
            await until(lambda: bool(data.opened) and data.open == 0)
            client.limit = len(client.got) + BLOCK_BYTES + 1
            client.takes.set()
            await until(lambda: not client.takes.is_set())
        client.limit = 1 << 40
        client.takes.set()
        assert await sending_all
        assert client.got == whole(37)
        assert len(data.opened) > 1
        assert client.largest <= BLOCK_BYTES // 8
        assert data.open == 0

    asyncio.run(run())


def test_data_that_cannot_be_read_again_is_kept_for_a_client_that_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """But no more of it than one buffer and the slice that is being sent."""
    monkeypatch.setattr(sending, "MOMENT_SECONDS", 0.02)

    async def run() -> None:
        data, client = Data(37), Client()
        client.takes.clear()
        sending_all = asyncio.ensure_future(sent(client, data.source(reopens=False)))
        await asyncio.sleep(0.3)
        assert data.given == 4
        client.takes.set()
        assert await sending_all
        assert client.got == whole(37)
        assert data.opened == [0]

    asyncio.run(run())


def test_problem_in_mid_stream_passes_through_after_what_was_good() -> None:
    async def run() -> None:
        data, client = Data(100, failing_at=21), Client()
        with pytest.raises(problems.ContentCorrupt):
            await sent(client, data.source())
        assert client.got == whole(20)
        assert data.open == 0

    asyncio.run(run())
