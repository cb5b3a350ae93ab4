"""Streams in and out: what was written is what is read, whatever the size, the buffers, the faults and the rot."""

import errno
import hashlib
import random
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partage import problems
from partage.content import digest, inspection, manifest
from partage.stores import layout
from partage.stores.drivers import posix
from partage.stores.engine import pack, reader
from tests import manifests
from tests.memory_store import MemoryStore
from tests.unit.stores import doubles

MIB = 1 << 20


def mixed(seed: int, blocks: int = 600) -> Any:
    """An image with zeros, noise, repeated noise and text."""
    source = random.Random(seed)
    parts = []
    while blocks > 0:
        count = source.choice((1, 3, 9, 30, 200))
        kind = source.randrange(4)
        noise = source.randbytes(4096)
        parts.append((bytes(4096), None, noise, b"line of text\n".ljust(16) * 256)[kind] or b"")
        parts[-1] = source.randbytes(4096 * count) if kind == 1 else parts[-1] * count
        blocks -= count
    return b"".join(parts) + source.randbytes(source.randrange(4096))


def split(data: Any, size: int) -> Any:
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(store: Any, index: Any, segments: Any, start: int, stop: int) -> Any:
    return b"".join(reader.read(store, index, segments, start, stop))


THREADS_BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _threads_of_other_tests() -> None:
    """Note the threads of services that earlier tests of this process have made."""
    THREADS_BEFORE.clear()
    THREADS_BEFORE.update(threading.enumerate())


def own_threads() -> Any:
    return [each for each in threading.enumerate() if each.name.startswith("partage-") and each not in THREADS_BEFORE]


@pytest.fixture(params=["memory", "posix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else posix.PosixStore(tmp_path)


@pytest.fixture
def index() -> Any:
    return doubles.MemoryIndex()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 32768, MIB - 1, MIB, 3 * MIB + 17])
def test_written_data_is_read_back(store: Any, index: Any, size: int) -> None:
    data = random.Random(size).randbytes(size)
    done = doubles.written(store, index, split(data, 70_000))
    assert read(store, index, done.segments, 0, size) == data
    assert done.content.size_bytes == size
    assert done.content.digests.by_algorithm == {
        "md5": hashlib.md5(data).hexdigest(),
        "sha512": hashlib.sha512(data).hexdigest(),
    }
    assert done.content.virtual_size_bytes == (size or None)
    assert own_threads() == []


def test_empty_body_has_digests_of_nothing_and_no_bytes(store: Any, index: Any) -> None:
    done = doubles.written(store, index, [])
    assert (done.segments, done.new_stored_bytes) == ((), 0)
    assert done.content.digests.md5 == "d41d8cd98f00b204e9800998ecf8427e"
    assert list(store.enumerate("")) == []
    assert list(reader.read(store, index, done.segments, 0, 0)) == []


def test_large_mixed_image_comes_back_in_buffers_of_a_mebibyte_at_most(store: Any, index: Any) -> None:
    data = mixed(1, 9000)
    done = doubles.written(store, index, split(data, 65536))
    buffers = list(reader.read(store, index, done.segments, 0, len(data)))
    assert b"".join(buffers) == data
    assert all(type(buffer) is bytes and 0 < len(buffer) <= 2 * MIB for buffer in buffers)
    assert own_threads() == []


@pytest.mark.thorough
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 5), st.data())
def test_every_range_is_the_slice(seed: int, data: Any) -> None:
    image = mixed(seed, 900)
    store, index = MemoryStore(), doubles.MemoryIndex()
    done = doubles.written(store, index, split(image, 300_000))
    start = data.draw(st.integers(0, len(image)))
    stop = data.draw(st.integers(start, len(image)))
    assert read(store, index, done.segments, start, stop) == image[start:stop]
    needed = [each for each in done.segments if each.start < stop]
    assert read(store, index, needed, start, stop) == image[start:stop]


def test_manifest_does_not_depend_on_buffers() -> None:
    data = mixed(7, 3000)
    ways = ([data], split(data, 4095), split(data, MIB))
    stored = [doubles.written(MemoryStore(), doubles.MemoryIndex(), way).segments for way in ways]
    assert all(each == stored[0] for each in stored)


def test_second_upload_of_the_same_bytes_stores_nothing(store: Any, index: Any) -> None:
    data = mixed(3, 4000)
    first = doubles.written(store, index, split(data, 65536))
    packs = set(store.enumerate(""))
    second = doubles.written(store, index, split(data, 10_000))
    assert second.segments == first.segments
    assert second.content == first.content
    assert second.new_stored_bytes == 0
    assert set(store.enumerate("")) == packs


def test_known_chunks_are_written_like_new_ones_and_removed(store: Any, index: Any) -> None:
    watched, data = doubles.WatchedStore(store), mixed(3, 6000)
    doubles.written(watched, index, split(data, 65536))
    new = watched.sizes_put()
    doubles.written(watched, index, split(data, 65536))
    removed = [key for verb, key, _size in watched.done if verb == "remove"]
    put = [key for verb, key, _size in watched.done if verb == "put"]
    assert sorted(removed) == sorted(put)
    assert sum(watched.sizes_put()) == pytest.approx(sum(new), rel=0.1)


def test_known_chunks_are_skipped_when_timing_is_not_hidden(store: Any, index: Any) -> None:
    watched, data = doubles.WatchedStore(store), mixed(3, 6000)
    first = doubles.written(watched, index, split(data, 65536))
    watched.done.clear()
    second = doubles.written(watched, index, split(data, 65536), hide_deduplication_timing=False)
    assert second.segments == first.segments
    assert watched.done == []


def test_half_known_stream_is_written_as_if_every_chunk_were_new(store: Any, index: Any) -> None:
    source = random.Random(11)
    known, new = ([source.randbytes(3 * MIB) for _ in range(10)] for _ in range(2))
    doubles.written(store, index, known)
    objects = set(store.enumerate(""))
    watched = doubles.WatchedStore(store)
    data = [part for pair in zip(known, new, strict=True) for part in pair]
    done = doubles.written(watched, index, data)
    assert 29 * MIB < done.new_stored_bytes < 34 * MIB
    assert len(set(store.enumerate("")) - objects) < 10
    sizes = watched.sizes_put()
    assert 59 * MIB < sum(sizes) < 63 * MIB
    assert max(sizes) < pack.TARGET_BYTES + MIB
    assert read(store, index, done.segments, 0, 60 * MIB) == b"".join(data)


def test_full_store_refuses_known_chunks_like_new_ones(tmp_path: Path, index: Any) -> None:
    data = random.Random(4).randbytes(2 * MIB)
    store = posix.PosixStore(tmp_path)
    doubles.written(store, index, [data])
    with pytest.raises(problems.StoreFull):
        doubles.written(doubles.FailingStore(store, fail_at=1, error=errno.ENOSPC), index, [data])


def test_repetition_within_one_stream_is_stored_once(store: Any, index: Any) -> None:
    part = random.Random(5).randbytes(4 * MIB)
    done = doubles.written(store, index, [part] * 8)
    assert done.new_stored_bytes < 7 * MIB
    assert read(store, index, done.segments, 0, 32 * MIB) == part * 8
    names = [entry.digest for sealed in index.packs.values() for entry in sealed.entries]
    assert len(names) == len(set(names))


def test_zeros_are_not_stored(store: Any, index: Any) -> None:
    done = doubles.written(store, index, [bytes(MIB)] * 100 + [bytes(5)])
    assert done.new_stored_bytes == 0
    assert len(done.segments) == 1
    assert len(done.segments[0].encoded) < 64
    buffers = list(reader.read(store, index, done.segments, 3, 100 * MIB + 5))
    assert sum(map(len, buffers)) == 100 * MIB + 2
    assert not any(any(buffer) for buffer in buffers[-2:])
    assert buffers[0] is buffers[1], "the same buffer is given again and again"


def test_terabyte_of_zeros_is_read_from_its_manifest(store: Any, index: Any) -> None:
    segment = manifest.encode(0, [manifest.ManifestEntry(None, 1 << 40)])
    stream = reader.read(store, index, [segment], 0, 1 << 40)
    assert len(next(stream)) == MIB
    assert read(store, index, [segment], (1 << 39) + 5, (1 << 39) + 10) == bytes(5)


def test_text_is_compressed_and_noise_is_not(store: Any, index: Any) -> None:
    text = b"".join(b"%09d the quick brown fox jumps over the lazy dog\n" % number for number in range(100_000))
    noise = random.Random(9).randbytes(4 * MIB)
    done = doubles.written(store, index, [noise, text, noise[:100_000]])
    kinds = {entry.encoding for sealed in index.packs.values() for entry in sealed.entries}
    assert kinds == {pack.Encoding.PLAIN, pack.Encoding.ZSTD}
    assert done.new_stored_bytes < len(noise) + len(text) // 3
    whole = noise + text + noise[:100_000]
    assert read(store, index, done.segments, 0, len(whole)) == whole


def test_packs_alone_rebuild_the_index(store: Any, index: Any) -> None:
    data = mixed(11, 6000)
    done = doubles.written(store, index, split(data, 65536))
    rebuilt = doubles.MemoryIndex()
    for key in store.enumerate(layout.PACKS):
        rebuilt.add_pack(pack.read_index(store, layout.pack_id_or_none(key)))
    assert rebuilt.places == index.places
    assert rebuilt.packs == index.packs
    assert read(store, rebuilt, done.segments, 0, len(data)) == data


class TestRefusals:
    def test_limit_stops_the_stream_within_a_block(self, store: Any, index: Any) -> None:
        taken = []

        def endless() -> Any:
            while True:
                taken.append(1)
                yield bytes(1000)

        with pytest.raises(problems.ImageTooLarge):
            doubles.written(store, index, endless(), limit_bytes=10_000)
        assert len(taken) == 11
        assert own_threads() == []

    def test_limit_itself_is_allowed(self, store: Any, index: Any) -> None:
        assert doubles.written(store, index, [bytes(1000)] * 10, limit_bytes=10_000).content.size_bytes == 10_000

    @pytest.mark.parametrize(("announced", "sent"), [(10, 9), (10, 11), (0, 1), (1, 0)])
    def test_another_size_than_announced_is_refused(self, store: Any, index: Any, announced: int, sent: int) -> None:
        with pytest.raises(problems.SizeMismatch) as caught:
            doubles.written(store, index, [b"x"] * sent, announced_bytes=announced)
        assert caught.value.announced_bytes == announced

    def test_more_than_announced_is_refused_as_soon_as_it_comes(self, store: Any, index: Any) -> None:
        def endless() -> Any:
            while True:
                yield bytes(1000)

        with pytest.raises(problems.SizeMismatch):
            doubles.written(store, index, endless(), announced_bytes=5000)

    def test_exception_of_the_stream_passes_unchanged(self, store: Any, index: Any) -> None:
        gone = problems.ClientGone("the client went away")

        def broken() -> Any:
            yield random.Random(1).randbytes(20 * MIB)
            raise gone

        with pytest.raises(problems.ClientGone) as caught:
            doubles.written(store, index, broken())
        assert caught.value is gone
        assert own_threads() == []

    def test_unsafe_format_is_refused_before_all_of_it_has_come(self, store: Any, index: Any) -> None:
        qcow2 = b"QFI\xfb" + (3).to_bytes(4, "big") + (4096).to_bytes(8, "big") + bytes(100_000)
        taken = []

        def blocks() -> Any:
            yield qcow2
            for _ in range(1000):
                taken.append(1)
                yield bytes(MIB)

        with pytest.raises(problems.FormatRefused, match="backing file"):
            doubles.written(store, index, blocks(), inspector=inspection.Inspector("qcow2", "bare"))
        assert len(taken) < 3
        assert list(store.enumerate("")) == []


class TestFaults:
    @pytest.mark.thorough
    @pytest.mark.parametrize(("error", "problem"), [(errno.ENOSPC, problems.StoreFull), (errno.EIO, problems.StoreUnavailable)])
    def test_each_failing_call_fails_the_write_and_a_retry_works(self, error: Any, problem: Any) -> None:
        """Fail the first call, then the second, and so on until a write meets no fault."""
        data = random.Random(2).randbytes(40 * MIB)
        for number in range(1, 20):
            real, index = MemoryStore(), doubles.MemoryIndex()
            store = doubles.FailingStore(real, fail_at=number, error=error)
            try:
                done = doubles.written(store, index, split(data, MIB))
            except problem:
                assert own_threads() == []
                assert {layout.pack_id_or_none(key) for key in real.enumerate("")} >= set(index.packs)
                done = doubles.written(store, index, split(data, MIB))
            else:
                assert number == 1 + store.calls
                return
            assert read(real, index, done.segments, 0, len(data)) == data
        pytest.fail("no write succeeded at once")

    def test_index_that_fails_on_its_own_thread_fails_the_write(self, store: Any, index: Any) -> None:
        index.add_pack = None
        with pytest.raises(TypeError):
            doubles.written(store, index, [random.Random(3).randbytes(30 * MIB)])
        assert own_threads() == []

    def test_failing_get_ends_the_read_with_its_problem(self, index: Any) -> None:
        real = MemoryStore()
        data = random.Random(4).randbytes(20 * MIB)
        done = doubles.written(real, index, split(data, MIB))
        for number in (1, 2, 7):
            got = bytearray()
            with pytest.raises(problems.StoreUnavailable):
                for buffer in reader.read(doubles.FailingStore(real, fail_at=number), index, done.segments, 0, len(data)):
                    got += buffer
            assert len(got) < len(data)
            assert data.startswith(bytes(got))
            assert own_threads() == []


class TestRot:
    """Damage in the files themselves. A reader gets a right beginning and then a problem, never wrong bytes."""

    @pytest.fixture
    def image(self) -> Any:
        source = random.Random(6)
        text = b"".join(b"%d is a line of text\n" % number for number in range(150_000))
        return source.randbytes(9 * MIB) + text + source.randbytes(4 * MIB)

    def damaged_read(self, store: Any, index: Any, done: Any, image: Any) -> None:
        got = bytearray()
        with pytest.raises(problems.ContentCorrupt):
            for buffer in reader.read(store, index, done.segments, 0, len(image)):
                got += buffer
        assert image.startswith(bytes(got))
        assert own_threads() == []

    def packs(self, root: Path) -> Any:
        return sorted((root / "packs").glob("*/*"))

    @pytest.mark.thorough
    def test_every_kind_of_damage_is_found(self, tmp_path: Path, index: Any, image: Any) -> None:
        store = posix.PosixStore(tmp_path)
        done = doubles.written(store, index, split(image, 65536))
        one, other = self.packs(tmp_path)[:2]
        sound = {path: path.read_bytes() for path in (one, other)}
        chunks = index.packs[one.name].entries
        source = random.Random(8)
        for turn in range(30):
            at = source.choice(chunks).offset + source.randrange(4096)
            body = bytearray(sound[one])
            body[at] ^= 1 << (turn % 8)
            one.write_bytes(body)
            self.damaged_read(store, index, done, image)
        for body in (
            sound[one][:-1][: chunks[-1].offset + 10],
            sound[one][: len(sound[one]) // 2],
            b"",
            sound[other].ljust(len(sound[one]), b"\0"),
            b"\0" + sound[one],
            sound[one][: chunks[2].offset] + bytes(4096) + sound[one][chunks[2].offset + 4096 :],
        ):
            one.write_bytes(body)
            self.damaged_read(store, index, done, image)
        one.unlink()
        self.damaged_read(store, index, done, image)
        one.write_bytes(sound[one])
        assert read(store, index, done.segments, 0, len(image)) == image

    def test_two_chunks_that_changed_places_are_found(self, tmp_path: Path, index: Any, image: Any) -> None:
        store = posix.PosixStore(tmp_path)
        done = doubles.written(store, index, split(image, 65536))
        one, two = list(index.places)[:2]
        index.places[one], index.places[two] = index.places[two], index.places[one]
        self.damaged_read(store, index, done, image)

    def test_index_that_lost_a_chunk_is_found(self, tmp_path: Path, index: Any, image: Any) -> None:
        store = posix.PosixStore(tmp_path)
        done = doubles.written(store, index, split(image, 65536))
        del index.places[next(iter(index.places))]
        self.damaged_read(store, index, done, image)

    def test_damage_at_the_ends_of_a_pack_is_found_when_the_index_is_rebuilt(self, tmp_path: Path, index: Any, image: Any) -> None:
        store = posix.PosixStore(tmp_path)
        doubles.written(store, index, split(image, 65536))
        path = self.packs(tmp_path)[0]
        sound = path.read_bytes()
        last = index.packs[path.name].entries[-1]
        places = [*range(4), *range(16, 32), *random.Random(1).sample(range(last.offset + last.stored_bytes, len(sound)), 40)]
        for at in places:
            body = bytearray(sound)
            body[at] ^= 0x40
            path.write_bytes(body)
            with pytest.raises(problems.ContentCorrupt):
                pack.read_index(store, path.name)
        for length in (0, 10, 31, 100, len(sound) - 1):
            path.write_bytes(sound[:length])
            with pytest.raises(problems.ContentCorrupt):
                pack.read_index(store, path.name)


def test_range_beyond_the_manifest_is_a_problem(store: Any, index: Any) -> None:
    done = doubles.written(store, index, [b"x" * 100])
    for start, stop in ((0, 101), (100, 101), (500, 501)):
        with pytest.raises(problems.ContentCorrupt):
            read(store, index, done.segments, start, stop)


def test_missing_or_swapped_segments_are_a_problem(store: Any, index: Any) -> None:
    entries = [manifest.ManifestEntry(None, 100)] * 3000
    segments = manifests.assemble(entries)
    assert read(store, index, segments, 0, 300_000) == bytes(300_000)
    for wrong in (segments[:1] + segments[2:], segments[1:], segments[:2], [segments[1], segments[0], segments[2]]):
        with pytest.raises(problems.ContentCorrupt):
            read(store, index, wrong, 0, 300_000)


def test_reader_finds_a_chunk_moved_to_another_pack(store: Any, index: Any) -> None:
    """Compaction may move chunks and remove the old pack between the reader's look into the index and its look into the store."""
    data = random.Random(12).randbytes(6 * MIB)
    done = doubles.written(store, index, [data])
    (old,) = index.packs.values()
    stream = reader.read(store, index, done.segments, 0, len(data))
    located = index.locate

    def locate_then_move(digests: Any) -> Any:
        found = located(digests)
        if index.packs.pop(old.pack_id, None):
            new = pack.rewrite(store, old, set(index.places), doubles.new_pack_id())
            index.places.clear()
            index.add_pack(new)
            store.remove(layout.pack_key(old.pack_id))
        return found

    index.locate = locate_then_move
    assert b"".join(stream) == data


def test_rewrite_keeps_what_is_wanted_and_nothing_else(store: Any, index: Any) -> None:
    data = random.Random(13).randbytes(3 * MIB) + b"text " * 100_000
    doubles.written(store, index, [data])
    (old,) = index.packs.values()
    keep = {entry.digest for entry in old.entries[::2]}
    new = pack.rewrite(store, old, keep, doubles.new_pack_id())
    assert {entry.digest for entry in new.entries} == keep
    assert pack.read_index(store, new.pack_id) == new
    assert pack.rewrite(store, old, set(), doubles.new_pack_id()) is None
    for entry in new.entries:
        before = next(each for each in old.entries if each.digest == entry.digest)
        got = store.get(layout.pack_key(new.pack_id), entry.offset, entry.stored_bytes)
        assert got == store.get(layout.pack_key(old.pack_id), before.offset, before.stored_bytes)


def test_unknown_pack_version_is_refused(store: Any) -> None:
    builder = pack.PackBuilder(doubles.new_pack_id())
    builder.add(digest.compute_for_chunk(b"x"), stored_bytes=1, length_bytes=1, encoding=pack.Encoding.PLAIN)
    sealed, tail = builder.seal()
    whole = bytearray(builder.head + b"x" + tail)
    whole[4] = 2
    store.put(layout.pack_key(sealed.pack_id), [whole])
    with pytest.raises(ValueError, match="version 2"):
        pack.read_index(store, sealed.pack_id)


def test_closing_a_read_ends_its_threads(store: Any, index: Any) -> None:
    data = random.Random(14).randbytes(30 * MIB)
    done = doubles.written(store, index, split(data, MIB))
    stream = reader.read(store, index, done.segments, 0, len(data))
    next(stream)
    assert own_threads() != []
    stream.close()
    assert own_threads() == []


def test_reads_ahead_only_so_far(index: Any) -> None:
    real = MemoryStore()
    data = random.Random(15).randbytes(60 * MIB)
    done = doubles.written(real, index, split(data, MIB))
    store = doubles.FailingStore(real)
    stream = reader.read(store, index, done.segments, 0, len(data))
    next(stream)
    stream.close()
    assert store.calls <= 2 * reader.AHEAD_BUFFERS + 4


def test_one_store_serves_many_readers_at_once(store: Any, index: Any) -> None:
    data = mixed(16, 4000)
    done = doubles.written(store, index, split(data, MIB))
    failures = []

    def work(number: int) -> None:
        for turn in range(5):
            start = (number * 7 + turn) * 100_003 % len(data)
            if read(store, index, done.segments, start, len(data)) != data[start:]:
                failures.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["random", "zeros", "sparse"])
def test_memory_of_a_stream_does_not_grow_with_it(tmp_path: Path, kind: Any) -> None:
    store, index = posix.PosixStore(tmp_path), doubles.MemoryIndex()
    noise = random.Random(17).randbytes(MIB)

    def blocks() -> Any:
        for number in range(96 * 4):
            at = number * 2654435761 % (MIB // 2)
            if kind == "random":
                yield number.to_bytes(8, "big") + noise[at : at + 262136]
            else:
                yield (noise[at : at + 4096] if kind == "sparse" else b"").ljust(262144, b"\0")

    size = 96 * MIB
    tracemalloc.start()
    try:
        done = doubles.written(store, index, blocks())
        peak_writing = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert sum(map(len, reader.read(store, index, done.segments, 0, size))) == size
        peak_reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_writing < 32 * MIB
    assert peak_reading < 32 * MIB


def test_reads_share_threads_and_buffers(index: Any) -> None:
    real = MemoryStore()
    data = random.Random(21).randbytes(40 * MIB)
    done = doubles.written(real, index, split(data, MIB))
    before = len(own_threads())
    shared = reader.ReadAhead(threads=3, budget_bytes=16 * MIB)
    streams = [reader.read(real, index, done.segments, 0, len(data), ahead=shared) for _ in range(20)]
    got = [bytearray() for _ in streams]
    try:
        largest = 0
        for _ in range(12):
            for number, stream in enumerate(streams):
                got[number] += next(stream)
                largest = max(largest, shared.held_bytes)
        assert largest <= 16 * MIB + 20 * 2 * MIB
        assert shared.is_short
        assert len(own_threads()) - before <= 3
        for each in got:
            assert data.startswith(each)
        for stream in streams:
            stream.close()
        assert not shared.is_short
    finally:
        shared.close()
    assert shared.held_bytes == 0


def test_lone_read_goes_ahead_as_far_as_it_may(index: Any) -> None:
    real = MemoryStore()
    data = random.Random(22).randbytes(40 * MIB)
    done = doubles.written(real, index, split(data, MIB))
    shared = reader.ReadAhead()
    stream = reader.read(real, index, done.segments, 0, len(data), ahead=shared)
    taken = [next(stream) for _ in range(2 * reader.AHEAD_BUFFERS)]
    assert shared.held_bytes >= (reader.AHEAD_BUFFERS - 1) * MIB
    assert not shared.is_short
    assert b"".join([*taken, *stream]) == data
    assert shared.held_bytes == 0
    shared.close()


def test_read_goes_on_when_no_thread_is_free(index: Any) -> None:
    """A store that hangs holds the threads that all reads share; whoever reads from another store fetches alone."""
    real = MemoryStore()
    data = random.Random(23).randbytes(20 * MIB)
    done = doubles.written(real, index, split(data, MIB))
    answers = threading.Event()

    class Hanging:
        def get(self, *given: Any) -> Any:
            answers.wait(60)
            return real.get(*given)

    shared = reader.ReadAhead(threads=1)
    hanging: Any = Hanging()
    stuck = reader.read(hanging, index, done.segments, 0, len(data), ahead=shared)
    reading = threading.Thread(target=lambda: next(stuck))
    reading.start()
    try:
        assert b"".join(reader.read(real, index, done.segments, 0, len(data), ahead=shared)) == data
        assert not answers.is_set()
    finally:
        answers.set()
        reading.join()
        stuck.close()
        shared.close()
    assert shared.held_bytes == 0


def test_failed_read_gives_its_buffers_back(index: Any) -> None:
    real = MemoryStore()
    data = random.Random(24).randbytes(20 * MIB)
    done = doubles.written(real, index, split(data, MIB))
    shared = reader.ReadAhead()
    with pytest.raises(problems.StoreUnavailable):
        b"".join(reader.read(doubles.FailingStore(real, fail_at=5), index, done.segments, 0, len(data), ahead=shared))
    shared.close()
    assert shared.held_bytes == 0
    assert not shared.is_short
