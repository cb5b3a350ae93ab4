"""Image data that is sent from a plain file: with sendfile(2), and in every way in which that is not possible."""

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from partage.http.server import direct, sending
from partage.http.server.sending import Source
from partage.stores.cache import copies
from partage.stores.cache.copies import WINDOW_BYTES, FilePart
from partage.stores.cache.fills import Fills
from tests.unit.http import test_http_sending as through_the_loop
from tests.unit.http.test_http_direct import Peer, Reader, all_of, sent
from tests.unit.http.test_http_sending import GONE, Client, Data
from tests.unit.stores.copying import Content, copy_of, file_of, make_fills, read_through


class FileData(Data):
    """A content in a cache, read as a download reads it: parts of the file, zeros from memory, and the rest from the store."""

    def __init__(self, folder: Path, windows: float = 9.4) -> None:
        super().__init__(0)
        data = bytearray(os.urandom(int(windows * WINDOW_BYTES)))
        data[3 * WINDOW_BYTES : 4 * WINDOW_BYTES] = bytes(WINDOW_BYTES)
        self.content = Content(bytes(data))
        self.fills: Fills = make_fills(folder / "cache")
        read_through(self.fills, self.content)
        self.content.read_bytes = 0
        self.largest = WINDOW_BYTES * 64

    def read(self, at: int = 0) -> Iterator[Any]:
        """See `Data.read`."""
        self.opened.append(at)
        self.open += 1
        try:
            copy = self.fills.directory.open(self.content.id, len(self.content.data))
            while copy is not None and at < len(self.content.data):
                part = copy.take_part(at, min(len(self.content.data), at + self.largest))
                assert part is not None
                self.given += 1
                yield part
                at += len(part)
            yield from self.content.read(at, len(self.content.data))
        finally:
            self.open -= 1

    def source(self, *, is_short: Callable[[], bool] = lambda: False, reopens: bool = True) -> Source:
        return Source(self.read(), reopen=self.read if reopens else None, is_short=is_short)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[FileData]:
    made = FileData(tmp_path)
    yield made
    made.fills.close()


def forbid_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_part: FilePart, _most_bytes: int) -> bytes:
        raise AssertionError("the file was read into memory")

    monkeypatch.setattr(FilePart, "read", read)


def test_file_is_sent_without_being_read(data: FileData, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_reads(monkeypatch)
    got = bytearray()
    told = sent(data, Peer(), all_of(got))
    assert told.whole
    assert got == data.content.data
    assert told.counted == [len(got)]
    assert (data.open, data.content.read_bytes) == (0, 0)


def test_file_is_sent_in_order_to_a_reader_that_pauses(data: FileData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_TURN_BYTES", 1_500_000)
    monkeypatch.setattr(sending, "MOMENT_SECONDS", 0.02)
    got = bytearray()
    assert sent(data, Peer(), all_of(got, pause=0.01, at_a_time=1_000_001), is_short=True).whole
    assert got == data.content.data


@pytest.mark.parametrize(
    ("number", "source"),
    [(errno.EINVAL, "copy"), (errno.ENOSYS, "copy"), (errno.EIO, "store"), (errno.EBADMSG, "store")],
    ids=["EINVAL", "ENOSYS", "EIO", "EBADMSG"],
)
def test_file_that_cannot_be_sent_is_sent_from_memory(
    data: FileData, monkeypatch: pytest.MonkeyPatch, number: int, source: str
) -> None:
    def refuse(*_given: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(copies.os, "sendfile", refuse)
    got = bytearray()
    assert sent(data, Peer(), all_of(got, pause=0.001, at_a_time=300_000)).whole
    assert got == data.content.data
    assert bool(data.content.read_bytes) == (source == "store")


@pytest.mark.parametrize("left", [0, WINDOW_BYTES + 17])
def test_truncated_file_is_continued_from_the_store(data: FileData, left: int) -> None:
    got = bytearray()

    def read(wire: socket.socket) -> None:
        while len(got) < 100_000:
            got.extend(wire.recv(50_000))
        os.truncate(file_of(data.fills, data.content), left)
        all_of(got)(wire)

    assert sent(data, Peer(), read).whole
    assert got == data.content.data
    assert data.content.read_bytes > 0


@pytest.mark.parametrize(
    ("peer", "reader"), [(Peer(), lambda wire: wire.close()), (Peer(GONE), lambda _wire: time.sleep(0.3))], ids=["closed", "gone"]
)
def test_reader_that_goes_away_leaves_no_descriptor(tmp_path: Path, peer: Peer, reader: Reader) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    data = FileData(tmp_path, windows=70)
    assert not sent(data, peer, reader).whole
    assert data.open == 0
    data.fills.close()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_file_is_sent_in_slices_through_the_loop(data: FileData) -> None:
    """TLS, and servers that hand off no socket."""

    async def run() -> None:
        async with through_the_loop.pool() as threads:
            client, source = Client(), data.source()
            first = await threads.call_download(source.next_bytes, 0)
            assert sum(map(len, first)) <= 2 * WINDOW_BYTES
            channel = sending.Channel(client.receive, client.send, 20.0)
            assert await sending.send_pieces(source, first, call=threads.call_download, channel=channel)
            assert client.got == data.content.data

    asyncio.run(run())
    assert data.content.read_bytes == 0


def test_truncated_file_is_continued_from_the_store_through_the_loop(data: FileData) -> None:
    async def run() -> None:
        async with through_the_loop.pool() as threads:
            client, source = Client(), data.source()
            first = await threads.call_download(source.next_bytes, 0)
            os.truncate(file_of(data.fills, data.content), 2 * WINDOW_BYTES)
            channel = sending.Channel(client.receive, client.send, 20.0)
            assert await sending.send_pieces(source, first, call=threads.call_download, channel=channel)
            assert client.got == data.content.data

    asyncio.run(run())
    assert data.content.read_bytes > 0


def test_part_of_a_file_ends_where_it_should(data: FileData) -> None:
    part = copy_of(data.fills, data.content).take_part(WINDOW_BYTES - 10, 2 * WINDOW_BYTES - 20)
    assert isinstance(part, FilePart)
    assert len(part) == WINDOW_BYTES - 10
    assert part.skip(10).read(7) == data.content.data[WINDOW_BYTES : WINDOW_BYTES + 7]
