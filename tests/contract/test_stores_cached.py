"""What a cache before a store adds to the suite of all stores: packs come near, and nothing that befalls the cache is noticed."""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.content import digest
from partage.model.ids import PackID
from partage.stores import layout
from partage.stores.cache import cache_directory, cached_store
from partage.stores.engine import pack
from tests.memory_store import MemoryStore
from tests.unit.stores import doubles

LIMIT = 1 << 30


class Counting(MemoryStore):
    """Notes which ranges are read, and can be told to hold every read until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_away = False
        self.longest = LIMIT

    def get(self, key: str, start: int, length: int) -> bytes:
        self.read.append((start, length))
        self.gate.wait(10)
        if self.is_away or length > self.longest:
            raise problems.StoreUnavailable("The store does not answer")
        return super().get(key, start, length)


def a_pack(behind: Any, *, chunks: int = 12, size: int = 40_000) -> tuple[PackID, bytes]:
    """Put a pack of plain chunks into a store; return its id and all of its bytes."""
    pack_id = doubles.new_pack_id()
    builder = pack.PackBuilder(pack_id)
    for _ in range(chunks):
        plain = os.urandom(size)
        builder.append(digest.compute_for_chunk(plain), plain, length_bytes=size, encoding=pack.Encoding.PLAIN)
    _sealed, parts = builder.seal()
    behind.put(layout.pack_key(pack_id), parts)
    return pack_id, b"".join(parts)


class Setting:
    """A store that counts, a directory before it, and the two together."""

    def __init__(self, root: Path, *, limit_bytes: int = LIMIT) -> None:
        self.root = root
        self.behind = Counting()
        self.directory = cache_directory.CacheDirectory(root, limit_bytes=limit_bytes)
        self.store = cached_store.CachedStore(self.behind, self.directory)

    def file(self, pack_id: PackID) -> Path:
        return self.root / layout.pack_key(pack_id)

    def reads(self, pack_id: PackID, start: int, length: int) -> bytes:
        return self.store.get(layout.pack_key(pack_id), start, length)


@pytest.fixture
def there(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


@contextmanager
def small_files(limit_bytes: int) -> Iterator[None]:
    """Let this process write no file beyond a size, as a full disk would: the system's own refusal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_first_read_caches_the_whole_pack(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.behind.read == [(0, len(whole))]
    for start, length in ((0, len(whole)), (65_536, 65_536), (65_535, 2), (len(whole) - 1, 1), (7, 200_000), (3, 0)):
        assert there.reads(pack_id, start, length) == whole[start : start + length]
    assert there.behind.read == [(0, len(whole))]
    assert there.directory.holds([pack_id])


def test_a_copy_answers_while_the_store_is_away(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    other, _ = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    there.behind.is_away = True
    assert there.reads(pack_id, 0, len(whole)) == whole
    with pytest.raises(problems.StoreUnavailable):
        there.reads(other, 0, 1)


def test_copy_cached_by_another_process_is_used(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    another = cached_store.CachedStore(MemoryStore(), cache_directory.CacheDirectory(there.root, limit_bytes=LIMIT))
    assert another.get(layout.pack_key(pack_id), 5, 5) == whole[5:10]


@pytest.mark.parametrize("offset", [0, 65_535, 65_536, 300_000, -1, -48, -47, -40, -32, -100])
def test_a_damaged_copy_is_dropped_and_the_store_is_read(there: Setting, offset: int) -> None:
    pack_id, whole = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    damaged = bytearray(there.file(pack_id).read_bytes())
    damaged[offset] ^= 1
    there.file(pack_id).write_bytes(damaged)
    assert there.reads(pack_id, 0, len(whole)) == whole
    assert len(there.behind.read) == 2
    assert there.reads(pack_id, 0, len(whole)) == whole
    assert len(there.behind.read) == 2


@pytest.mark.parametrize("left", [0, 1, 47, 48, 1000, -1])
def test_truncated_copy_is_dropped(there: Setting, left: int) -> None:
    pack_id, whole = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    there.file(pack_id).write_bytes(there.file(pack_id).read_bytes()[:left])
    assert there.reads(pack_id, 10, 10) == whole[10:20]
    assert len(there.behind.read) == 2


def test_copy_under_another_name_is_not_used(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    other, _ = a_pack(there.behind)
    there.reads(other, 0, 1)
    there.file(pack_id).parent.mkdir(exist_ok=True)
    there.file(other).rename(there.file(pack_id))
    assert there.reads(pack_id, 0, len(whole)) == whole


def test_a_pack_that_is_damaged_in_the_store_is_not_kept(there: Setting) -> None:
    """And no more is read of it than is asked for: it would not come near the next time either."""
    pack_id, whole = a_pack(there.behind)
    damaged = bytearray(whole)
    damaged[200_000] ^= 1
    there.behind.put(layout.pack_key(pack_id), [damaged])
    assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.reads(pack_id, 200_000, 1) == damaged[200_000:200_001]
    assert there.behind.read == [(0, len(whole)), (100, 50), (200_000, 1)]
    assert not there.directory.list_packs()


def test_a_pack_that_can_only_be_read_in_part_is_read_in_part(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    there.behind.longest = 100_000
    for _ in range(2):
        assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.behind.read == [(0, len(whole)), (100, 50), (100, 50)]


def test_a_store_that_was_away_is_read_whole_as_soon_as_it_is_back(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    there.behind.is_away = True
    with pytest.raises(problems.StoreUnavailable):
        there.reads(pack_id, 100, 50)
    there.behind.is_away = False
    assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.directory.holds([pack_id])


def test_range_beyond_the_end_fails_as_without_a_cache(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    for _ in range(2):
        with pytest.raises(problems.ContentCorrupt):
            there.reads(pack_id, len(whole) - 1, 2)
        there.reads(pack_id, 0, 1)


def test_a_removed_pack_is_gone_here_too(there: Setting) -> None:
    pack_id, _ = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    there.store.remove(layout.pack_key(pack_id))
    assert not there.directory.list_packs()
    with pytest.raises(problems.ContentCorrupt):
        there.reads(pack_id, 0, 1)


def test_full_cache_directory_is_not_written_for_a_while(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    with small_files(100_000):
        assert there.reads(pack_id, 0, len(whole)) == whole
        assert not there.directory.takes
        assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.behind.read == [(0, len(whole)), (100, 50)], "one try, and then only what is asked for"
    assert not there.directory.list_packs()
    assert list((there.root / "incoming").iterdir()) == []


@pytest.mark.parametrize("road", ["it is not there", "it is a file", "it cannot be written"])
def test_unusable_cache_directory_does_not_fail_reads(tmp_path: Path, road: str) -> None:
    root = Path("/proc") if road == "it cannot be written" else tmp_path / "cache"  # not even root can write there
    if road == "it is a file":
        root.write_text("a file")
    there = Setting(root)
    pack_id, whole = a_pack(there.behind)
    for _ in range(2):
        assert there.reads(pack_id, 100, 50) == whole[100:150]
    assert there.directory.list_packs() == set()
    assert not there.directory.holds([pack_id])
    assert there.directory.remove_stalled() == 0
    assert there.directory.prune() == cache_directory.Pruned(0, 0)


def test_removal_of_an_undeletable_copy_fails(there: Setting) -> None:
    pack_id, _ = a_pack(there.behind)
    there.file(pack_id).mkdir(parents=True)  # what is no file cannot be removed as one, whoever tries
    with pytest.raises(problems.StoreUnavailable, match="look after its disk and its permissions"):
        there.directory.clear()
    there.store.remove(layout.pack_key(pack_id))  # the store's own object is gone, which is what was asked for
    assert there.behind.stat(layout.pack_key(pack_id)) is None


def test_threads_that_want_parts_of_one_pack_fetch_it_once(there: Setting) -> None:
    pack_id, whole = a_pack(there.behind)
    there.behind.gate.clear()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(there.reads(pack_id, 9, 9))) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(there.store._locks) != 1 or there.store._locks[pack_id].users != 8:  # noqa: SLF001 -- all eight hold the lock or wait for it
        time.sleep(0.001)
    there.behind.gate.set()
    for thread in threads:
        thread.join()
    assert found == [whole[9:18]] * 8
    assert there.behind.read == [(0, len(whole))]
    assert there.store._locks == {}  # noqa: SLF001 -- nothing is left of it


def size_of(there: Setting) -> int:
    return sum(file.stat().st_size for file in (there.root / "packs").rglob("*") if file.is_file())


def test_least_recently_used_pack_is_evicted_first(tmp_path: Path) -> None:
    there = Setting(tmp_path)
    found = [a_pack(there.behind)[0] for _ in range(4)]
    for number, pack_id in enumerate(found):
        there.reads(pack_id, 0, 1)
        os.utime(there.file(pack_id), (1000 + number, 1000 + number))
    there.reads(found[0], 0, 1)  # the first one is used again, and now the newest
    one = there.file(found[0]).stat().st_size
    narrow = cache_directory.CacheDirectory(tmp_path, limit_bytes=2 * one)
    assert narrow.prune() == cache_directory.Pruned(files=2, size_bytes=2 * one)
    assert narrow.list_packs() == {found[0], found[3]}
    assert narrow.prune() == cache_directory.Pruned(files=0, size_bytes=0)


def test_size_limit_is_kept_without_a_prune(tmp_path: Path) -> None:
    there = Setting(tmp_path, limit_bytes=3_000_000)
    for _ in range(20):
        pack_id, whole = a_pack(there.behind)
        assert there.reads(pack_id, 0, len(whole)) == whole
        assert size_of(there) <= 3_000_000
    assert size_of(there) > 1_500_000
    assert there.directory.holds([pack_id])


def test_a_cache_of_no_size_keeps_nothing(tmp_path: Path) -> None:
    there = Setting(tmp_path, limit_bytes=0)
    pack_id, whole = a_pack(there.behind)
    assert there.reads(pack_id, 0, len(whole)) == whole
    assert there.directory.list_packs() == set()


def test_drafts_of_a_crash_are_removed_once_they_are_old(there: Setting) -> None:
    pack_id, _ = a_pack(there.behind)
    there.reads(pack_id, 0, 1)
    old, new = there.root / "incoming" / f"{pack_id}.0123abcd", there.root / "incoming" / f"{pack_id}.4567cdef"
    strange = there.root / "incoming" / "identity"
    for file in (old, new, strange):
        file.write_text("written")
    long_ago = time.time() - 2 * cache_directory.STALLED_SECONDS
    os.utime(old, (long_ago, long_ago))
    os.utime(strange, (long_ago, long_ago))
    os.utime(there.file(pack_id), (long_ago, long_ago))
    assert there.directory.remove_stalled() == 1
    assert (old.exists(), new.exists(), there.directory.holds([pack_id])) == (False, True, True)
    assert strange.exists(), "what the cache did not write is not its to remove"


def test_files_that_are_no_packs_are_left_alone(there: Setting) -> None:
    (there.root / "packs" / "ab").mkdir(parents=True)
    strange = there.root / "packs" / "ab" / "README"
    strange.write_text("mine")
    there.directory.clear()
    assert there.directory.list_packs() == set()
    assert strange.exists()
