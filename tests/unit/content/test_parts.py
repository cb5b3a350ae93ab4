"""Ranges of an image and their frame: read as they were written, and nothing else."""

import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.content import manifest, parts
from partage.content.digest import compute_for_chunk
from partage.content.manifest import ManifestEntry
from partage.content.parts import Range

SIZE = 10_000_000


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=40))
def test_ranges_are_read_as_they_were_written(steps: list[int]) -> None:
    ranges, at = [], 0
    for step in steps:
        ranges.append(Range(at, at + step))
        at += 2 * step
    assert parts.parse_ranges(parts.format_ranges(ranges), SIZE) == tuple(ranges)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "FIRST-LAST"),
        ("5", "FIRST-LAST"),
        ("-5", "FIRST-LAST"),
        ("5-", "FIRST-LAST"),
        ("0-9,", "FIRST-LAST"),
        ("+0-9", "FIRST-LAST"),
        ("0-\u0661", "FIRST-LAST"),
        (f"0-{'9' * 30}", "FIRST-LAST"),
        ("9-0", "end before it begins"),
        ("0-9,9-10", "ascending order"),
        ("20-29,0-9", "ascending order"),
        (f"0-{parts.MOST_BYTES}", "more than 4194304 bytes"),
        (",".join(f"{2 * each}-{2 * each}" for each in range(129)), "at most 128"),
    ],
)
def test_malformed_ranges_are_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(problems.QueryInvalid, match=words):
        parts.parse_ranges(text, SIZE)


def test_range_beyond_the_image_cannot_be_satisfied() -> None:
    with pytest.raises(problems.RangeUnsatisfiable):
        parts.parse_ranges(f"0-1,{SIZE - 1}-{SIZE}", SIZE)
    assert parts.parse_ranges(f"{SIZE - 1}-{SIZE - 1}", SIZE) == (Range(SIZE - 1, SIZE),)


def test_frame_depends_on_the_bytes_alone_and_stays_below_its_limit() -> None:
    data = random.Random(1).randbytes(parts.MOST_BYTES)
    frame = parts.compress([data])
    assert frame == parts.compress([data[:7], data[7:]])
    assert parts.decompress(frame, len(data)) == data
    assert len(frame) <= parts.limit_frame(len(data))


BOMB = zstandard.ZstdCompressor().compress(bytes(1 << 28))
STREAMED = zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 10)


@pytest.mark.parametrize("frame", [b"", b"text", parts.compress([b"y" * 10])[:-1], parts.compress([b"y" * 11]), BOMB, STREAMED])
def test_frame_of_another_size_is_refused(frame: bytes) -> None:
    with pytest.raises(problems.ContentCorrupt):
        parts.decompress(frame, 10)


NAME = compute_for_chunk(b"x")
LISTED = st.lists(st.builds(ManifestEntry, st.sampled_from([None, NAME]), st.integers(1, 2**40)), max_size=3000)


@given(LISTED, st.integers(0, 2**40))
def test_segments_back_to_back_are_split_again(entries: list[ManifestEntry], start: int) -> None:
    segments = manifest.encode_all(start, entries)
    assert manifest.split(b"".join(each.encoded for each in segments)) == segments
    assert [entry for each in segments for entry in manifest.decode(each)] == entries


@pytest.mark.parametrize("cut", [1, 20, 40, 63, 64, 70, 100])
def test_segments_that_are_cut_short_are_refused(cut: int) -> None:
    encoded = manifest.encode(0, [ManifestEntry(NAME, 1), ManifestEntry(NAME, 2)]).encoded
    with pytest.raises(problems.ContentCorrupt):
        manifest.split(encoded[:cut])
