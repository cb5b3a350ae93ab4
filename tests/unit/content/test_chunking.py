"""Laws of cutting, and an executable copy of the rule in the module's docstring to compare with."""

import json
import random
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from partage.content import chunking

BLOCK = chunking.BLOCK_BYTES
SMALL = chunking.Shape(minimum_blocks=2, expected_blocks=4, maximum_blocks=12, zero_run_blocks=3)
GOLDEN = Path(__file__).parents[2] / "golden" / "chunks.json"


def cut(buffers: Any, shape: Any = chunking.SHAPE, *, offset_bytes: int = 0) -> Any:
    cutter = chunking.Cutter(shape, offset_bytes=offset_bytes)
    chunks = []
    for buffer in buffers:
        chunks += cutter.feed(buffer)
    return [(c.length, None if c.data is None else bytes(c.data)) for c in chunks + cutter.finish()]


def joined(chunks: Any) -> Any:
    return b"".join(bytes(length) if data is None else data for length, data in chunks)


def by_the_rule(data: Any, shape: Any) -> Any:
    """The three sentences of the rule, written as plainly as possible, on the whole stream at once."""
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    spans = []
    for zero, group in groupby(blocks, key=lambda block: not any(block)):
        run = list(group)
        is_run = zero and len(run) >= shape.zero_run_blocks
        if is_run or not spans or spans[-1][0]:
            spans.append((is_run, run))
        else:
            spans[-1][1].extend(run)
    chunks = []
    for is_run, span in spans:
        if is_run:
            chunks.append(b"".join(span))
            continue
        open_ = []
        for block in span:
            open_.append(block)
            candidate = any(block) and xxhash.xxh3_64_intdigest(block) < shape.threshold
            if (candidate and len(open_) >= shape.minimum_blocks) or len(open_) == shape.maximum_blocks:
                chunks.append(b"".join(open_))
                open_ = []
        if open_:
            chunks.append(b"".join(open_))
    return [(len(chunk), chunk if any(chunk) else None) for chunk in chunks]


@st.composite
def images(draw: Any) -> Any:
    """Blocks of few kinds, zeros often, repeated in runs: what makes the rule's corners meet."""
    runs = draw(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=25))
    blocks = b"".join((bytes(BLOCK) if kind < 5 else random.Random(kind).randbytes(BLOCK)) * count for kind, count in runs)
    return blocks + draw(st.one_of(st.just(b""), st.binary(max_size=300), st.integers(0, BLOCK - 1).map(bytes)))


@st.composite
def split(draw: Any, data: Any) -> Any:
    """The same bytes in other buffers."""
    points = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *points], [*points, len(data)], strict=True)]


@given(images())
def test_cuts_follow_the_rule(data: Any) -> None:
    assert cut([data], SMALL) == by_the_rule(data, SMALL)


@given(st.data(), images())
def test_cuts_do_not_depend_on_buffers(data: Any, image: Any) -> None:
    assert cut(data.draw(split(image)), SMALL) == cut([image], SMALL)


@given(st.data(), images(), st.integers(0, 3 * BLOCK))
def test_rest_of_a_stream_is_cut_at_the_blocks_of_the_whole(data: Any, image: Any, offset: int) -> None:
    lead, rest = image[: -offset % BLOCK], image[-offset % BLOCK :]
    first = [(len(lead), lead if any(lead) else None)] if lead else []
    assert cut(data.draw(split(image)), SMALL, offset_bytes=offset) == first + by_the_rule(rest, SMALL)


@pytest.mark.thorough
@given(images())
def test_joined_chunks_are_the_stream(image: Any) -> None:
    assert joined(cut([image], SMALL)) == image


@given(images())
def test_zeros_alone_are_never_data_and_chunks_are_bounded(image: Any) -> None:
    for length, data in cut([image], SMALL):
        assert length > 0
        assert data is None or (any(data) and length <= SMALL.maximum_blocks * BLOCK)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 1500))
def test_boundaries_resynchronise_after_an_insertion(seed: int, blocks: int, at: int) -> None:
    """Cuts line up again after what was inserted, so nearly all chunks are shared."""
    source = random.Random(seed)
    data = source.randbytes(2000 * BLOCK)
    longer = data[: at * BLOCK] + source.randbytes(blocks * BLOCK) + data[at * BLOCK :]
    before = {data for _length, data in cut([data])}
    new = [chunk for _length, chunk in cut([longer]) if chunk not in before]
    assert sum(map(len, new)) <= (blocks + 5 * chunking.SHAPE.maximum_blocks) * BLOCK


def test_average_of_random_data_is_about_96_kib() -> None:
    data = random.Random(1).randbytes(64 << 20)
    assert 86 << 10 < len(data) / len(cut([data])) < 106 << 10


def test_block_with_the_fingerprint_of_zeros_is_still_data() -> None:
    """Blocks are called zero by comparing bytes; here the last byte of a group differs."""
    data = bytes(100 * BLOCK - 1) + b"\1"
    assert joined(cut([data])) == data


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 7 * BLOCK, 8 * BLOCK, 9 * BLOCK + 5, 1 << 24])
def test_zeros_are_one_zero_chunk_of_any_length(length: int) -> None:
    assert cut([bytes(length)]) == ([(length, None)] if length else [])


def test_boundaries_are_pinned() -> None:
    """Other boundaries would store every image of the cloud a second time: this file never changes."""
    pinned = json.loads(GOLDEN.read_text())
    assert pinned["cases"]
    for case in pinned["cases"]:
        data = golden_stream(case["seed"])
        lengths = [length if data else -length for length, data in cut([data])]
        assert lengths == case["chunks"], case["seed"]


def golden_stream(seed: int) -> Any:
    """4 MiB of data and zeros in turn, made with nothing but XXH3 so that it is the same for ever."""
    parts = []
    for number in range(1024):
        print_ = xxhash.xxh3_64_intdigest(f"{seed} {number // 24}".encode())
        if print_ % 3 == 0:
            parts.append(bytes(BLOCK))
        else:
            parts.append(b"".join(xxhash.xxh3_128_digest(f"{seed} {number} {i}".encode()) for i in range(BLOCK // 16)))
    return b"".join(parts) + b"tail"


@pytest.mark.parametrize("size", [1000, BLOCK, 5 * BLOCK, 70_001, 1 << 19])
def test_cutter_keeps_no_buffer_that_is_used_again(size: int) -> None:
    data = random.Random(size).randbytes(2_000_000) + bytes(100_000) + b"tail"
    buffer, cutter = bytearray(size), chunking.Cutter()
    found = []
    for start in range(0, len(data), size):
        part = data[start : start + size]
        buffer[: len(part)] = part
        found += [(chunk.length, chunk.data and bytes(chunk.data)) for chunk in cutter.feed(memoryview(buffer)[: len(part)])]
    found += [(chunk.length, chunk.data and bytes(chunk.data)) for chunk in cutter.finish()]
    assert found == cut([data])
