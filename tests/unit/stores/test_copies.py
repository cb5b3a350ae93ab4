"""Copies of images in the cache: what is read through them, who fills them, and what is left when that fails."""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.content.digest import Buffer
from partage.stores.cache import copies, fills
from partage.stores.cache.copies import WINDOW_BYTES, Copy, CopyLostError, FilePart, State
from partage.stores.cache.fills import Fills
from partage.stores.cache.yielding_store import YieldingStore
from tests.memory_store import MemoryStore
from tests.unit.stores.copying import (
    Content,
    copy_of,
    file_of,
    make_fills,
    make_mixed_data,
    read_through,
)

NEXT_LIFE = b"the next life..."


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    made = make_fills(tmp_path / "cache")
    yield made
    made.close()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("size", [1, 4096, WINDOW_BYTES, WINDOW_BYTES + 1, 5 * WINDOW_BYTES - 7])
def test_second_read_of_a_content_comes_from_the_copy(cache: Fills, size: int) -> None:
    content = Content(os.urandom(size))
    assert read_through(cache, content) == content.data
    content.read_bytes = 0
    assert read_through(cache, content) == content.data
    assert content.read_bytes == 0
    assert file_of(cache, content).read_bytes()[:size] == content.data, "a plain file"


def test_windows_of_zeros_take_no_space_and_are_not_read_from_the_file(cache: Fills) -> None:
    content = Content(make_mixed_data(16))
    read_through(cache, content)
    assert file_of(cache, content).stat().st_blocks * 512 < 10 * WINDOW_BYTES
    part = copy_of(cache, content).take_part(6 * WINDOW_BYTES, len(content.data))
    assert part == bytes(WINDOW_BYTES)


def test_range_fills_only_the_windows_that_it_touches(cache: Fills) -> None:
    content = Content(os.urandom(12 * WINDOW_BYTES))
    start, stop = 3 * WINDOW_BYTES + 5, 5 * WINDOW_BYTES + 5
    assert read_through(cache, content, start, stop) == content.data[start:stop]
    assert [number for number, state in enumerate(copy_of(cache, content).states(0, 12)) if state] == [3, 4, 5]
    assert not cache.directory.holds(content.id)
    content.read_bytes = 0
    assert read_through(cache, content, start, stop) == content.data[start:stop]
    assert content.read_bytes == 0


def test_readers_at_the_same_time_share_a_fill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two caches on one directory are as two processes: locks of open file descriptions tell them apart."""
    monkeypatch.setattr(fills, "FOLLOW_SECONDS", 120.0)  # a busy machine may not run the other one for seconds
    content = Content(make_mixed_data(40))
    caches = [make_fills(tmp_path / "cache") for _ in range(2)]
    found: list[bool] = []
    readers = [
        threading.Thread(target=lambda cache=caches[number % 2]: found.append(read_through(cache, content) == content.data))
        for number in range(16)
    ]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert found == [True] * 16
    assert content.read_bytes <= len(content.data) * 1.25
    for each in caches:
        each.close()


def test_copy_of_an_earlier_life_is_verified_and_not_fetched(tmp_path: Path) -> None:
    content = Content(make_mixed_data(9.5))
    earlier = make_fills(tmp_path / "cache")
    read_through(earlier, content)
    earlier.close()
    content.read_bytes = 0
    later = make_fills(tmp_path / "cache", life=NEXT_LIFE)
    copy = copy_of(later, content)
    assert {*copy.states(0, copy.windows)} == {State.UNVERIFIED}
    assert copy.take_part(0, 10) is None
    assert later.directory.holds(content.id), "it is listed as cached"
    assert read_through(later, content) == content.data
    assert content.read_bytes == 0
    later.close()


@pytest.mark.parametrize("damage", [b"changed", bytes(3 * WINDOW_BYTES)], ids=["bytes", "a lost page"])
def test_damage_between_two_lives_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    content = Content(make_mixed_data(12))
    earlier = make_fills(tmp_path / "cache")
    read_through(earlier, content)
    earlier.close()
    with file_of(earlier, content).open("r+b") as file:
        file.seek(WINDOW_BYTES // 2)
        file.write(damage)
    content.read_bytes = 0
    later = make_fills(tmp_path / "cache", life=NEXT_LIFE)
    assert read_through(later, content) == content.data
    assert 0 < content.read_bytes < 5 * WINDOW_BYTES + (16 << 20)
    assert file_of(later, content).read_bytes()[: len(content.data)] == content.data
    later.close()


def test_stale_bytes_where_a_chunk_of_zeros_belongs_are_found(tmp_path: Path) -> None:
    data = bytearray(os.urandom(3 * WINDOW_BYTES))
    data[WINDOW_BYTES // 2 : WINDOW_BYTES * 3 // 2] = bytes(WINDOW_BYTES)
    content = Content(bytes(data), chunk_bytes=8192)
    earlier = make_fills(tmp_path / "cache")
    read_through(earlier, content)
    with file_of(earlier, content).open("r+b") as file:
        file.seek(WINDOW_BYTES - 100)
        file.write(b"left over")
    later = make_fills(tmp_path / "cache", life=NEXT_LIFE)
    assert read_through(later, content) == content.data
    for each in (earlier, later):
        each.close()


@pytest.mark.parametrize("damage", ["foot", "size", "another content"])
def test_file_that_is_no_copy_of_the_content_is_replaced(tmp_path: Path, damage: str) -> None:
    cache = make_fills(tmp_path / "cache")
    content, other = Content(os.urandom(2 * WINDOW_BYTES)), Content(os.urandom(2 * WINDOW_BYTES))
    for each in (content, other):
        read_through(cache, each)
    path = file_of(cache, content)
    if damage == "foot":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "size":
        os.truncate(path, 0)
        path.write_bytes(b"short")
    else:
        path.write_bytes(file_of(cache, other).read_bytes())
    assert not cache.directory.holds(content.id)
    for _ in range(2):
        assert read_through(cache, content) == content.data
    assert cache.directory.holds(content.id)
    cache.close()


def test_full_disk_during_a_fill_ends_the_copy_and_not_the_read(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    content, write, written = Content(os.urandom(30 * WINDOW_BYTES)), os.pwritev, []

    def fill_up(descriptor: int, pieces: list[memoryview], at: int) -> int:
        if len(written) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(at)
        return write(descriptor, pieces, at)

    monkeypatch.setattr(copies.os, "pwritev", fill_up)
    assert read_through(cache, content) == content.data
    other = Content(os.urandom(10))
    assert read_through(cache, other) == other.data
    assert cache.directory.list_contents() == {content.id}, "nothing is cached for a while"
    wait_until(lambda: cache.count() == 0)
    assert content.open == 0


def test_copy_that_cannot_be_begun_is_not_left_behind(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Content(os.urandom(WINDOW_BYTES))

    def refuse(_descriptor: int, _data: bytes, _at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copies.os, "pwrite", refuse)
    assert read_through(cache, content) == content.data
    assert cache.directory.list_contents() == set()


def test_store_that_fails_during_a_fill_is_asked_by_the_reader(cache: Fills) -> None:
    content = Content(os.urandom(20 * WINDOW_BYTES))
    content.fails_at = 10 * WINDOW_BYTES
    with pytest.raises(Exception, match="does not answer"):
        read_through(cache, content)
    content.fails_at = None
    assert read_through(cache, content) == content.data
    assert cache.directory.holds(content.id)


def test_reader_beyond_the_bound_of_fills_reads_the_store(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", threads=1)
    slow, other = Content(os.urandom(20 * WINDOW_BYTES)), Content(os.urandom(20 * WINDOW_BYTES))
    slow.gate.clear()
    reader = threading.Thread(target=read_through, args=(cache, slow))
    reader.start()
    wait_until(lambda: cache.count() == 1)
    assert read_through(cache, other) == other.data
    assert copy_of(cache, other).states(0, 20) == bytes(20)
    slow.gate.set()
    reader.join()
    cache.close()


def test_fill_that_waits_for_its_reader_leaves_its_thread_to_another(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", threads=1)
    paused, others = Content(os.urandom(60 * WINDOW_BYTES)), [Content(os.urandom(6 * WINDOW_BYTES)) for _ in range(3)]
    copy = copy_of(cache, paused)
    assert cache.take(copy, 0, len(paused.data), paused)
    wait_until(lambda: copy.states(0, fills.LEAD_WINDOWS) == bytes([State.VERIFIED]) * fills.LEAD_WINDOWS)
    for each in others:
        wait_until(lambda: all(fill.is_idle for fill in cache._fills))  # noqa: SLF001
        assert read_through(cache, each) == each.data
        assert cache.directory.holds(each.id)
    assert read_through(cache, paused) == paused.data
    assert cache.directory.holds(paused.id)
    cache.close()


def test_reader_does_not_wait_for_a_fill_that_gets_no_thread(tmp_path: Path) -> None:
    cache, content = make_fills(tmp_path / "cache", threads=1), Content(os.urandom(10 * WINDOW_BYTES))
    busy, found = threading.Event(), list[bytes]()
    cache._pool.submit(busy.wait)  # noqa: SLF001
    reader = threading.Thread(target=lambda: found.append(read_through(cache, content)), daemon=True)
    reader.start()
    wait_until(lambda: cache.count() == 1)
    closing = threading.Thread(target=cache.close)
    closing.start()
    reader.join(10)
    busy.set()
    closing.join()
    assert found == [content.data]


def test_fill_for_which_no_thread_starts_is_forgotten(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> None:
        raise RuntimeError("can't start new thread")

    content = Content(os.urandom(10 * WINDOW_BYTES))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert read_through(cache, content) == content.data
    assert cache.count() == 0


def test_fill_without_readers_stops_and_holds_nothing(cache: Fills) -> None:
    content = Content(os.urandom(80 * WINDOW_BYTES))
    before = count_descriptors()
    copy = copy_of(cache, content)
    assert cache.take(copy, 0, len(content.data), content)
    del copy
    wait_until(lambda: cache.count() == 0)
    assert content.read_bytes <= (fills.LEAD_WINDOWS + 2) * WINDOW_BYTES
    assert (content.open, count_descriptors()) == (0, before)


def test_reader_of_an_evicted_copy_goes_on(cache: Fills) -> None:
    content = Content(os.urandom(60 * WINDOW_BYTES))
    copy, found = copy_of(cache, content), bytearray()
    while len(found) < len(content.data):
        part = copy.take_part(len(found), len(content.data))
        if part is None and not cache.take(copy, len(found), len(content.data), content):
            break
        if isinstance(part, FilePart):
            found += part.read(4 * WINDOW_BYTES)
        if len(found) == 8 * WINDOW_BYTES:
            cache.directory.clear()
    assert found == content.data[: len(found)]
    assert len(found) >= 8 * WINDOW_BYTES
    assert read_through(cache, content, len(found)) == content.data[len(found) :]


def test_window_that_another_process_has_locked_for_long_is_filled(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fills, "FOLLOW_SECONDS", 0.05)
    content = Content(os.urandom(6 * WINDOW_BYTES))
    held = copy_of(cache, content)
    assert held.lock(0, 6)
    begun = time.monotonic()
    assert read_through(cache, content) == content.data
    assert time.monotonic() - begun < 5
    assert cache.directory.holds(content.id)


def test_copies_are_filled_on_a_file_system_without_locks(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> bytes:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(copies.fcntl, "fcntl", refuse)
    content = Content(make_mixed_data(6))
    assert read_through(cache, content) == content.data
    assert cache.directory.holds(content.id)


@pytest.fixture
def bad_sector(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], None]:
    """Let the disk read nothing that has a certain byte of a file."""

    def break_byte(file: Path, at: int) -> None:
        read, inode = os.pread, file.stat().st_ino

        def pread(descriptor: int, length: int, start: int) -> bytes:
            if start <= at < start + length and os.fstat(descriptor).st_ino == inode:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return read(descriptor, length, start)

        monkeypatch.setattr(os, "pread", pread)

    return break_byte


def test_copy_whose_map_cannot_be_read_is_not_used(cache: Fills, bad_sector: Callable[[Path, int], None]) -> None:
    content = Content(os.urandom(3 * WINDOW_BYTES))
    copy = copy_of(cache, content)
    bad_sector(file_of(cache, content), copy.map_at)
    assert read_through(cache, content) == content.data
    assert not cache.directory.holds(content.id)


def test_window_that_the_disk_cannot_read_is_filled_again(tmp_path: Path, bad_sector: Callable[[Path, int], None]) -> None:
    content, cache = Content(os.urandom(3 * WINDOW_BYTES)), make_fills(tmp_path / "cache")
    read_through(cache, content)
    bad_sector(file_of(cache, content), WINDOW_BYTES + WINDOW_BYTES // 2)
    later = make_fills(tmp_path / "cache", life=NEXT_LIFE)
    content.read_bytes = 0
    assert later.take(copy_of(later, content), WINDOW_BYTES, 2 * WINDOW_BYTES, content)
    assert content.read_bytes, "the disk may have other sectors for what is written again"
    assert later.directory.takes, "one sector is no broken disk"
    for each in (cache, later):
        each.close()


def test_truncated_file_is_no_end_of_the_image(cache: Fills) -> None:
    content = Content(os.urandom(4 * WINDOW_BYTES))
    read_through(cache, content)
    part = copy_of(cache, content).take_part(0, len(content.data))
    assert isinstance(part, FilePart)
    os.truncate(file_of(cache, content), WINDOW_BYTES)
    with pytest.raises(CopyLostError):
        part.read(len(part))
    part.copy.lose("it is too short")
    assert cache.directory.list_contents() == set()
    assert read_through(cache, content) == content.data
    assert cache.directory.list_contents() == set(), "and it is not copied again at once"


def test_least_recently_used_copies_are_evicted_first(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", most_bytes=7 * WINDOW_BYTES)
    contents = [Content(os.urandom(2 * WINDOW_BYTES)) for _ in range(4)]
    for number, each in enumerate(contents[:3]):
        read_through(cache, each)
        os.utime(file_of(cache, each), (1000 + number, 1000 + number))
    read_through(cache, contents[0])
    read_through(cache, contents[3])
    assert cache.directory.list_contents() == {contents[0].id, contents[2].id, contents[3].id}
    cache.close()


def test_image_of_more_than_half_of_the_cache_evicts_no_copy(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", most_bytes=40 * WINDOW_BYTES)
    small = [Content(os.urandom(6 * WINDOW_BYTES)) for _ in range(6)]
    for each in small:
        read_through(cache, each)
    before = cache.directory.count()
    large = Content(os.urandom(21 * WINDOW_BYTES))
    assert read_through(cache, large) == large.data
    assert cache.directory.list_contents() == {each.id for each in small}
    assert cache.directory.count() == before
    assert [each.readings for each in small] == [1] * 6
    cache.close()


def test_image_of_half_of_the_cache_gets_a_copy_in_place_of_others(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", most_bytes=40 * WINDOW_BYTES)
    small = [Content(os.urandom(6 * WINDOW_BYTES)) for _ in range(6)]
    for number, each in enumerate(small):
        read_through(cache, each)
        os.utime(file_of(cache, each), (1000 + number, 1000 + number))
    large = Content(os.urandom(20 * WINDOW_BYTES))
    assert read_through(cache, large) == large.data
    assert cache.directory.holds(large.id)
    assert small[0].id not in cache.directory.list_contents()
    assert cache.directory.count()[1] <= 40 * WINDOW_BYTES
    cache.close()


def test_copy_of_a_large_image_grows_to_half_of_an_empty_cache(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", most_bytes=40 * WINDOW_BYTES)
    large = Content(os.urandom(100 * WINDOW_BYTES))
    assert read_through(cache, large, 0, 4 * WINDOW_BYTES) == large.data[: 4 * WINDOW_BYTES]
    assert cache.directory.list_contents() == {large.id}, "a part of it fits"
    held: list[int] = []
    make_room = cache.directory.make_room

    def measure(growing: Copy, more_bytes: int) -> bool:
        held.append(growing.measure_held())
        return make_room(growing, more_bytes)

    cache.directory.make_room = measure  # type: ignore[method-assign]
    assert read_through(cache, large) == large.data
    assert 0 < max(held) <= 20 * WINDOW_BYTES
    assert cache.directory.list_contents() == set()
    cache.close()


def test_zeros_of_an_image_do_not_count_as_its_share_of_the_cache(tmp_path: Path) -> None:
    cache = make_fills(tmp_path / "cache", most_bytes=40 * WINDOW_BYTES)
    sparse = Content(os.urandom(2 * WINDOW_BYTES) + bytes(60 * WINDOW_BYTES))
    assert read_through(cache, sparse) == sparse.data
    assert cache.directory.holds(sparse.id)
    cache.close()


def test_bound_is_a_share_of_the_space_that_is_free_without_the_cache(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Content(os.urandom(4 * WINDOW_BYTES))
    read_through(cache, content)
    assert cache.directory.prune().files == 0
    held = cache.directory.count()[1]
    cache.directory.bounds = type(cache.directory.bounds)(free_share=0.5)
    found = os.statvfs("/")

    class Full:
        f_bavail, f_frsize = held // 2 // found.f_frsize, found.f_frsize

    monkeypatch.setattr("partage.stores.cache.cache_directory.os.statvfs", lambda _root: Full)
    assert cache.directory.prune().files == 1, "uploads have filled the disk"


class FullStore(MemoryStore):
    """A store on the disk of a cache: full while there is a copy, or always."""

    def __init__(self, cache: Fills, *, always: bool = False) -> None:
        super().__init__()
        self.cache, self.always = cache, always

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        if self.always or self.cache.directory.list_contents():
            raise problems.StoreFull("The store has no room")
        super().put(key, parts)


def test_copies_make_room_for_uploads_on_a_full_disk(cache: Fills, tmp_path: Path) -> None:
    content = Content(os.urandom(2 * WINDOW_BYTES))
    read_through(cache, content)
    store = YieldingStore(FullStore(cache), tmp_path, cache.directory)
    store.put("packs/aa/" + "a" * 32, [b"uploaded"])
    assert store.get("packs/aa/" + "a" * 32, 0, 8) == b"uploaded"
    assert cache.directory.list_contents() == set()
    assert read_through(cache, content) == content.data
    assert cache.directory.list_contents() == set(), "what was just given up is not taken again"


def test_full_store_without_copies_on_its_disk_is_full(cache: Fills, tmp_path: Path) -> None:
    content = Content(os.urandom(WINDOW_BYTES))
    read_through(cache, content)
    elsewhere = YieldingStore(FullStore(cache), Path("/proc"), cache.directory)
    with pytest.raises(problems.StoreFull):
        elsewhere.put("packs/aa/" + "a" * 32, [b"x"])
    assert cache.directory.list_contents() == {content.id}
    full = YieldingStore(FullStore(cache, always=True), tmp_path, cache.directory)
    for _ in range(2):
        with pytest.raises(problems.StoreFull):
            full.put("packs/aa/" + "a" * 32, [b"x"])
