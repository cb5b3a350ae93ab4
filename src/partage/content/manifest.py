"""A content's manifest: its chunks in order, in segments that are read one by one.

A segment is a row of the database and names up to 1024 chunks (about 96 MiB of data, or any length of zeros). It contains
its own start and checksum, so a damaged or misplaced segment is detected. Layout: docs/format.md, "Manifest segment".
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import blake3

from partage import problems
from partage.content.digest import Digests
from partage.model import ids

SEGMENT_CHUNKS = 1024
"""How many chunks a segment names at most."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Content:
    """All bytes of one image: their size, and digests of the whole.

    `virtual_size_bytes` is what a disk made of it has; None where the format does not say.
    """

    size_bytes: int
    digests: Digests
    virtual_size_bytes: int | None


class ManifestEntry(NamedTuple):
    """One chunk's place in the order: its name and plain length in bytes. `digest` None stands for zeros, stored nowhere.

    A tuple, as there are ten thousand in a gibibyte, and a frozen dataclass takes five times as long to make.
    """

    digest: ids.ChunkDigest | None
    length: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a manifest as stored. `start` is the offset in the content of the segment's first byte."""

    start: int
    encoded: bytes


def encode(start: int, entries: Sequence[ManifestEntry]) -> Segment:
    """Pack up to `SEGMENT_CHUNKS` entries into a segment that begins at offset `start`.

    Raises:
        ValueError: no entry, too many, or a length that is not positive.
    """
    if not 0 < len(entries) <= SEGMENT_CHUNKS or any(entry.length <= 0 for entry in entries):
        raise ValueError(f"A segment holds 1 to {SEGMENT_CHUNKS} chunks of at least one byte")
    lengths = [entry.length | (_ZEROS if entry.digest is None else 0) for entry in entries]
    body = struct.pack(f"<{len(lengths)}Q", *lengths) + b"".join(entry.digest for entry in entries if entry.digest is not None)
    head = _HEAD.pack(_MAGIC, VERSION, len(entries), start)
    return Segment(start, head + _checksum(head, body) + body)


def decode(segment: Segment) -> list[ManifestEntry]:
    """Unpack all entries of a segment, checked.

    Raises:
        ContentCorrupt: the bytes are damaged or belong to another offset.
        ValueError: they were written by a newer version of the service.
    """
    count, body = _open(segment)
    digests = _digests(body, count)
    return [
        ManifestEntry(None, word & _LENGTH) if word & _ZEROS else ManifestEntry(next(digests), word)
        for word in struct.unpack_from(f"<{count}Q", body)
    ]


def digests(segment: Segment) -> Iterator[ids.ChunkDigest]:
    """Yield the digests of a segment's chunks, without zeros and without decoding the rest: the sweep uses it to mark.

    Raises:
        ContentCorrupt, ValueError: as `decode`, before the first digest.
    """
    count, body = _open(segment)
    return _digests(body, count)


def slice_segment(segment: Segment, start: int, stop: int) -> Iterator[tuple[ManifestEntry, int, int]]:
    """Yield each entry with bytes of [start, stop), with its part: first byte and end within the chunk.

    Raises:
        ContentCorrupt, ValueError: as `decode`.
    """
    count, body = _open(segment)
    words = struct.unpack_from(f"<{count}Q", body)
    # Only what the range needs becomes entries: a small range from a full segment takes 0.1 ms in place of 0.8.
    ends = list(accumulate((word & _LENGTH for word in words), initial=segment.start))
    first = max(bisect_right(ends, start) - 1, 0)
    at = 8 * count + _DIGEST_BYTES * sum(word < _ZEROS for word in words[:first])
    for number in range(first, count):
        begin, end = max(ends[number], start), min(ends[number + 1], stop)
        if begin >= end:
            return
        digest = None
        if words[number] < _ZEROS:
            digest = ids.ChunkDigest(body[at : at + _DIGEST_BYTES])
            at += _DIGEST_BYTES
        yield ManifestEntry(digest, words[number] & _LENGTH), begin - ends[number], end - ends[number]


def is_segment(encoded: bytes) -> bool:
    """Return whether bytes begin like a segment."""
    return encoded.startswith(_MAGIC)


def split(encoded: bytes) -> list[Segment]:
    """Split segments that stand back to back, as another service sends them. What is in them is checked by `decode`.

    Raises:
        ContentCorrupt: they do not begin like segments, or the last one is cut short.
    """
    found: list[Segment] = []
    at = 0
    while at < len(encoded):
        words_at = at + _HEAD.size + _CHECKSUM_BYTES
        damage = problems.ContentCorrupt(f"The bytes from {at} on are no segment of a manifest")
        if len(encoded) < words_at or not encoded.startswith(_MAGIC, at):
            raise damage
        _magic, _version, count, start = _HEAD.unpack_from(encoded, at)
        if len(encoded) < words_at + 8 * count:
            raise damage
        named = sum(word < _ZEROS for word in struct.unpack_from(f"<{count}Q", encoded, words_at))
        end = words_at + 8 * count + _DIGEST_BYTES * named
        if len(encoded) < end:
            raise damage
        found.append(Segment(start, encoded[at:end]))
        at = end
    return found


def encode_all(start: int, entries: Sequence[ManifestEntry]) -> list[Segment]:
    """Pack entries, which begin at offset `start`, into as few segments as possible."""
    assembly = Assembly(start, start)
    found = [segment for entry in entries for segment in assembly.add(entry)]
    return [*found, *assembly.finish()]


def length(segment: Segment) -> int:
    """Return how many bytes of the content a segment describes."""
    count, body = _open(segment)
    return sum(word & _LENGTH for word in struct.unpack_from(f"<{count}Q", body))


@dataclass(slots=True)
class Assembly:
    """Collect entries in order and hand out a segment whenever one is full."""

    _start: int = 0
    _stop: int = 0
    _entries: list[ManifestEntry] = field(default_factory=list)

    def add(self, entry: ManifestEntry) -> Iterator[Segment]:
        """Append an entry; give the segment that it fills, if it does."""
        self._entries.append(entry)
        self._stop += entry.length
        if len(self._entries) == SEGMENT_CHUNKS:
            yield from self.finish()

    def finish(self) -> Iterator[Segment]:
        """Return the last, shorter segment, if there is one."""
        if self._entries:
            segment = encode(self._start, self._entries)
            self._entries, self._start = [], self._stop
            yield segment


_MAGIC = b"PTGM"
_HEAD = struct.Struct("<4sHHQ")
_CHECKSUM_BYTES = 16
_DIGEST_BYTES = 32
_ZEROS = 1 << 63
_LENGTH = _ZEROS - 1


def _checksum(head: bytes, body: bytes) -> bytes:
    return blake3.blake3(head + body).digest(_CHECKSUM_BYTES)


def _open(segment: Segment) -> tuple[int, bytes]:
    """Check a segment's bytes; return how many entries it has and their bytes."""
    encoded = bytes(segment.encoded)
    head, body = encoded[: _HEAD.size], encoded[_HEAD.size + _CHECKSUM_BYTES :]
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        raise problems.ContentCorrupt(_describe_damage(segment))
    _magic, version, count, start = _HEAD.unpack(head)
    if version != VERSION:
        raise ValueError(f"A manifest segment has version {version}, this service reads version {VERSION}; run a newer one")
    if start != segment.start or encoded[_HEAD.size : _HEAD.size + _CHECKSUM_BYTES] != _checksum(head, body):
        raise problems.ContentCorrupt(_describe_damage(segment))
    return count, body


def _describe_damage(segment: Segment) -> str:
    return f"The manifest of the image data is damaged at offset {segment.start}; restore the database from a backup"


def _digests(body: bytes, count: int) -> Iterator[ids.ChunkDigest]:
    first = 8 * count
    return (ids.ChunkDigest(body[at : at + _DIGEST_BYTES]) for at in range(first, len(body), _DIGEST_BYTES))
