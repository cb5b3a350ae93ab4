"""Some of an image's bytes, as they travel to another Partage: ranges of the image, and one zstd frame with all their bytes.

Pure. The frame depends on the bytes alone. The stored form of a chunk would not: how a chunk was compressed depends on who stored
it first and beside what, which would reveal whether another project has it (docs/decisions/0075).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import zstandard

from partage import problems
from partage.content.digest import Buffer

MOST_BYTES = 4 << 20
"""The most bytes of one request, before compression: what a client that stops to read can hold in memory."""

MOST_RANGES = 128
"""The most ranges of one request, so that its URL fits everywhere."""

_LEVEL = 1
_SLACK_BYTES = 4096


class Range(NamedTuple):
    """The bytes [start, stop) of an image."""

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start


def parse_ranges(text: str, size_bytes: int) -> tuple[Range, ...]:
    """Parse ranges as HTTP writes them, `first-last` joined by commas, in ascending order and without overlap.

    Raises:
        QueryInvalid: they are malformed, too many, or have more than `MOST_BYTES` together.
        RangeUnsatisfiable: one of them ends beyond the image's `size_bytes`.
    """
    words = text.split(",")
    if len(words) > MOST_RANGES:
        raise problems.QueryInvalid(f"ranges has {len(words)} ranges; at most {MOST_RANGES} are read at a time")
    found = tuple(map(_parse_range, words))
    if any(one.stop > other.start for one, other in pairwise(found)):
        raise problems.QueryInvalid("ranges must be in ascending order and not overlap")
    if sum(each.size_bytes for each in found) > MOST_BYTES:
        raise problems.QueryInvalid(f"ranges has more than {MOST_BYTES} bytes; ask for less at a time")
    if found[-1].stop > size_bytes:
        raise problems.RangeUnsatisfiable(size_bytes)
    return found


def format_ranges(ranges: Iterable[Range]) -> str:
    """Write ranges as `parse_ranges` reads them."""
    return ",".join(f"{each.start}-{each.stop - 1}" for each in ranges)


def compress(pieces: Sequence[Buffer]) -> bytes:
    """Compress bytes into one zstd frame that says their number."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True, write_checksum=False).compress(b"".join(pieces))


def limit_frame(size_bytes: int) -> int:
    """Return how many bytes a frame of this many bytes has at most."""
    return size_bytes + size_bytes // 128 + _SLACK_BYTES


def decompress(frame: bytes, size_bytes: int) -> bytes:
    """Decompress a frame of another service, and never to more than `size_bytes`.

    Raises:
        ContentCorrupt: it is no frame, or has another number of bytes.
    """
    try:
        # The frame's own number is what the library allocates.
        if zstandard.frame_content_size(frame) == size_bytes:
            plain = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(frame, max_output_size=size_bytes)
            if len(plain) == size_bytes:
                return plain
    except zstandard.ZstdError as error:
        raise problems.ContentCorrupt("The parts of the image cannot be decompressed") from error
    raise problems.ContentCorrupt(f"The parts of the image should have {size_bytes} bytes and have another number")


def _parse_range(word: str) -> Range:
    first, dash, last = word.partition("-")
    if not dash or not all(each.isascii() and each.isdigit() and len(each) <= _MOST_DIGITS for each in (first, last)):
        raise problems.QueryInvalid("ranges must be FIRST-LAST,FIRST-LAST…: the first and the last byte of each range")
    found = Range(int(first), int(last) + 1)
    if found.size_bytes <= 0:
        raise problems.QueryInvalid("a range must not end before it begins")
    return found


_MOST_DIGITS = 19
