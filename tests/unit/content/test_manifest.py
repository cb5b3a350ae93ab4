"""Manifest segments: bytes and back, damage, versions, ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.content import digest, manifest
from partage.content.manifest import ManifestEntry, Segment
from tests import manifests

entries = st.lists(
    st.builds(
        ManifestEntry,
        st.one_of(st.none(), st.binary(min_size=1, max_size=4).map(digest.compute_for_chunk)),
        st.integers(1, 1 << 40),
    ),
    min_size=1,
    max_size=40,
)


@given(st.integers(0, 1 << 60), entries)
def test_decoding_inverts_encoding(start: int, given_entries: list[ManifestEntry]) -> None:
    segment = manifest.encode(start, given_entries)
    assert segment.start == start
    assert manifest.decode(segment) == given_entries
    assert list(manifest.digests(segment)) == [entry.digest for entry in given_entries if entry.digest]
    assert manifest.length(segment) == sum(entry.length for entry in given_entries)


@given(entries, st.data())
def test_within_finds_exactly_the_range(given_entries: list[ManifestEntry], data: st.DataObject) -> None:
    segment = manifest.encode(1000, given_entries)
    end = 1000 + manifest.length(segment)
    start = data.draw(st.integers(1000, end))
    stop = data.draw(st.integers(start, end))
    found = list(manifest.slice_segment(segment, start, stop))
    assert sum(last - first for _entry, first, last in found) == stop - start
    assert all(0 <= first < last <= entry.length for entry, first, last in found)


@given(entries, st.data())
def test_any_changed_byte_is_noticed(given_entries: list[ManifestEntry], data: st.DataObject) -> None:
    """A changed version is no damage but a newer format: it says so."""
    segment = manifest.encode(5, given_entries)
    at = data.draw(st.integers(0, len(segment.encoded) - 1))
    damaged = bytearray(segment.encoded)
    damaged[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((problems.ContentCorrupt, ValueError)):
        manifest.decode(Segment(5, bytes(damaged)))
    with pytest.raises((problems.ContentCorrupt, ValueError)):
        manifest.digests(Segment(5, bytes(damaged[:at])))


def test_segment_in_another_place_is_noticed() -> None:
    segment = manifest.encode(0, [ManifestEntry(None, 5)])
    with pytest.raises(problems.ContentCorrupt):
        manifest.decode(Segment(5, segment.encoded))


def test_unknown_manifest_version_is_refused() -> None:
    encoded = bytearray(manifest.encode(0, [ManifestEntry(None, 5)]).encoded)
    encoded[4] = 2
    with pytest.raises(ValueError, match="version 2, this service reads version 1"):
        manifest.decode(Segment(0, bytes(encoded)))


def test_segments_are_full_and_follow_each_other() -> None:
    given_entries = [ManifestEntry(None, length) for length in range(1, 2500)]
    segments = manifests.assemble(given_entries)
    assert [len(manifest.decode(segment)) for segment in segments] == [1024, 1024, 451]
    assert [segment.start for segment in segments] == [0, sum(range(1, 1025)), sum(range(1, 2049))]
    assert [entry for segment in segments for entry in manifest.decode(segment)] == given_entries


@pytest.mark.parametrize("wrong", [[], [ManifestEntry(None, 1)] * 1025, [ManifestEntry(None, 0)], [ManifestEntry(None, -1)]])
def test_invalid_segment_is_refused(wrong: list[ManifestEntry]) -> None:
    with pytest.raises(ValueError, match="A segment holds"):
        manifest.encode(0, wrong)


def test_bytes_are_pinned() -> None:
    """docs/format.md, byte by byte."""
    segment = manifest.encode(4096, [ManifestEntry(None, 1 << 33), ManifestEntry(digest.compute_for_chunk(b"x"), 1)])
    assert segment.encoded[:16].hex() == "5054474d010002000010000000000000"
    assert segment.encoded[32:48].hex() == "00000000020000800100000000000000"
    assert segment.encoded[48:] == digest.compute_for_chunk(b"x")
    assert segment.encoded[16:32] == digest.compute_for_chunk(segment.encoded[:16] + segment.encoded[32:])[:16]
