"""What streams share while they are stored: queues on a pool, and buffers of which there are only so many."""

import ctypes
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from partage.content import inspection
from partage.content.chunking import PIECE_BYTES
from partage.stores.engine import reader, writer
from partage.stores.engine.buffers import Buffers, Extents, Piece
from partage.stores.engine.resources import LEAST_BUFFER_BYTES, WriterResources
from partage.stores.engine.serial_queue import SerialQueue
from tests.memory_store import MemoryStore
from tests.unit.stores import doubles

MIB = 1 << 20


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def test_queue_does_items_in_order_one_at_a_time(pool: ThreadPoolExecutor) -> None:
    done: list[int] = []
    busy = threading.Lock()

    def work(item: int) -> None:
        assert busy.acquire(blocking=False)
        done.append(item)
        busy.release()

    queue = SerialQueue(pool, work, depth=3)
    for number in range(500):
        queue.put(number)
    queue.finish()
    assert done == list(range(500))


def test_hundred_queues_need_no_more_threads_than_the_pool_has(pool: ThreadPoolExecutor) -> None:
    found: list[list[int]] = [[] for _ in range(100)]
    queues = [SerialQueue(pool, each.append, depth=2) for each in found]
    for number in range(30):
        for queue in queues:
            queue.put(number)
    for queue in queues:
        queue.finish()
    assert found == [list(range(30))] * 100


def test_failure_of_a_queue_drops_the_rest_and_calls_every_then(pool: ThreadPoolExecutor) -> None:
    thens: list[int] = []
    may_go_on = threading.Event()

    def fail(_item: int) -> None:
        may_go_on.wait(10)
        raise ValueError("broken")

    queue = SerialQueue(pool, fail, depth=5)
    for number in range(5):
        queue.put(number, partial(thens.append, number))
    may_go_on.set()
    with pytest.raises(ValueError, match="broken"):
        queue.finish()
    with pytest.raises(ValueError, match="broken"):
        queue.put(5, partial(thens.append, 5))
    queue.close()
    assert sorted(thens) == list(range(6))


def test_closing_a_queue_waits_for_what_is_worked_on_and_drops_the_rest(pool: ThreadPoolExecutor) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    done: list[int] = []
    thens: list[int] = []

    def work(item: int) -> None:
        begun.set()
        may_go_on.wait(10)
        done.append(item)

    queue = SerialQueue(pool, work, depth=3)
    for number in range(3):
        queue.put(number, partial(thens.append, number))
    begun.wait(10)
    closing = threading.Thread(target=queue.close)
    closing.start()
    may_go_on.set()
    closing.join(10)
    assert done == [0]
    assert sorted(thens) == [0, 1, 2]


def test_piece_goes_back_when_its_last_holder_lets_go() -> None:
    buffers = Buffers(1)
    piece = Piece(buffers, buffers.acquire())
    assert piece.append(b"abc") == 3
    piece.retain()
    piece.release()
    assert buffers.try_acquire() is None
    assert bytes(piece.view) == b"abc"
    piece.release()
    assert buffers.in_use == 0


def test_buffers_are_granted_in_request_order() -> None:
    buffers = Buffers(2)
    held = [buffers.acquire(), buffers.acquire()]
    order: list[tuple[int, memoryview]] = []
    for number in range(5):
        buffers.request(lambda buffer, number=number: order.append((number, buffer)))  # type: ignore[misc]
    for _ in range(5):
        assert buffers.try_acquire() is None
        buffers.release(held.pop(0))
        held.append(order[-1][1])
    assert [number for number, _buffer in order] == list(range(5))


def begun(store: Any, index: Any, resources: WriterResources) -> writer.Writer:
    return writer.Writer(
        store,
        index,
        resources,
        inspector=inspection.Unwatched(),
        options=doubles.options(),
        new_pack_id=doubles.new_pack_id,
    )


def feed(into: writer.Writer, data: bytes) -> None:
    for start in range(0, len(data), PIECE_BYTES):
        piece = into.new_piece()
        piece.append(data[start : start + PIECE_BYTES])
        into.admit(piece.size_bytes)
        into.feed(piece)
    into.pause()


def test_stalled_streams_do_not_block_other_uploads() -> None:
    """Twelve idle streams hold more half-filled packs than there are buffers: the next ones have them put, and go through."""
    resources = WriterResources(buffer_bytes=LEAST_BUFFER_BYTES)
    store, index = MemoryStore(), doubles.MemoryIndex()
    parts = [random.Random(number).randbytes(4 * MIB) for number in range(12)]
    streams = [begun(store, index, resources) for _ in parts]
    for stream, part in zip(streams, parts, strict=True):
        feed(stream, part)
    for number, stream in enumerate(streams):
        rest = random.Random(100 + number).randbytes(3 * MIB)
        feed(stream, rest)
        written = stream.finish()
        stream.close()
        assert b"".join(reader_of(store, index, written)) == parts[number] + rest
    assert (resources.pieces.in_use, resources.extents.in_use) == (0, 0)
    resources.close()


def reader_of(store: Any, index: Any, written: writer.Written) -> Iterator[bytes]:
    return reader.read(store, index, iter(written.segments), 0, written.content.size_bytes)


def test_stream_that_is_closed_on_the_way_gives_everything_back() -> None:
    resources = WriterResources(buffer_bytes=LEAST_BUFFER_BYTES)
    stream = begun(MemoryStore(), doubles.MemoryIndex(), resources)
    feed(stream, random.Random(1).randbytes(5 * MIB))
    stream.close()
    assert (resources.pieces.in_use, resources.extents.in_use) == (0, 0)
    resources.close()


def test_buffers_do_not_overlap() -> None:
    buffers = Buffers(3)
    held = [buffers.acquire() for _ in range(3)]
    for number, buffer in enumerate(held):
        buffer[:] = bytes([number]) * PIECE_BYTES
    assert [set(buffer) for buffer in held] == [{0}, {1}, {2}]
    assert buffers.try_acquire() is None


def test_extents_have_no_gaps_and_are_aligned() -> None:
    buffers = Buffers(4)
    extents = Extents(buffers)
    assert (extents.room_bytes, extents.list_parts()) == (0, [])
    data = random.Random(3).randbytes(3 * PIECE_BYTES - 5)
    for _ in range(3):
        extents.extend(buffers.acquire())
    for start in range(0, len(data), 300_001):
        extents.append(data[start : start + 300_001])
    assert (extents.size_bytes, extents.room_bytes) == (len(data), 5)
    parts = extents.list_parts()
    assert b"".join(parts) == data
    assert [len(part) for part in parts] == [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES - 5]
    assert [ctypes.addressof(ctypes.c_char.from_buffer(part)) % 4096 for part in parts] == [0, 0, 0]
    del parts
    extents.release()
    assert buffers.in_use == 0


def test_packs_are_put_as_aligned_parts_and_a_tail() -> None:
    """So that a store can write them directly, whatever the lengths of their chunks."""
    resources, index = WriterResources(buffer_bytes=LEAST_BUFFER_BYTES), doubles.MemoryIndex()
    lengths: list[list[int]] = []

    class Noting(MemoryStore):
        def put(self, key: str, parts: Any) -> None:
            lengths.append([len(part) for part in parts])
            super().put(key, parts)

    stream = begun(Noting(), index, resources)
    feed(stream, random.Random(8).randbytes(20 * MIB) + b"text " * MIB)
    stream.finish()
    stream.close()
    resources.close()
    assert len(lengths) > 1
    for *whole, last, _tail in lengths:
        assert set(whole) <= {PIECE_BYTES}
        assert 0 < last <= PIECE_BYTES


def test_pack_without_a_chunk_is_not_put_when_buffers_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack that waits for its first buffer is empty: relief must not put it."""
    resources = WriterResources(buffer_bytes=LEAST_BUFFER_BYTES)
    store, index = MemoryStore(), doubles.MemoryIndex()
    held = [resources.extents.acquire() for _ in range(resources.extents.count)]
    relieve, relieved = resources.relieve, threading.Semaphore(0)

    def relieve_and_tell() -> None:
        relieve()
        relieved.release()

    monkeypatch.setattr(resources, "relieve", relieve_and_tell)
    stream = begun(store, index, resources)
    feeding = threading.Thread(target=feed, args=(stream, random.Random(5).randbytes(MIB)))
    feeding.start()
    for _ in range(2):
        assert relieved.acquire(timeout=60)
    assert list(store.enumerate("")) == []
    for buffer in held:
        resources.extents.release(buffer)
    feeding.join()
    written = stream.finish()
    stream.close()
    assert b"".join(reader_of(store, index, written)) == random.Random(5).randbytes(MIB)
    resources.close()
