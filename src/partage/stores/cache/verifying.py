"""Compare the bytes of a copy with the digests of the content's chunks: after a restart, and by the scrub."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from partage import problems
from partage.content import digest, manifest
from partage.model.ids import ChunkDigest
from partage.stores.cache.copies import WINDOW_BYTES, Copy, State, count_windows


class _Stretch(NamedTuple):
    """The bytes [start, stop) of a content: a chunk, or zeros if it has no digest."""

    start: int
    stop: int
    digest: ChunkDigest | None


def verify_windows(
    copy: Copy, segments: Iterable[manifest.Segment], first: int, count: int, *, skips_partial: bool = False
) -> bytes:
    """Return the states of some windows as their bytes show: MISSING where they are wrong, else VERIFIED or ZEROS. Marks nothing.

    `segments` cover the windows. A chunk that reaches into other windows is compared whole: if those have not been filled, the
    chunk's windows count as missing, unless the verification `skips_partial` chunks. So do windows that the disk cannot read.

    Raises:
        ContentCorrupt: the manifest is damaged.
    """
    start, stop = first * WINDOW_BYTES, min((first + count) * WINDOW_BYTES, copy.size_bytes)
    wrong: set[int] = set()
    with_data: set[int] = set()
    for stretch in _list_stretches(segments, start, stop):
        windows = range(max(stretch.start, start) // WINDOW_BYTES, count_windows(min(stretch.stop, stop)))
        if stretch.digest is None:
            wrong.update(window for window in {windows[0], windows[-1]} if not _is_zero(copy, stretch, window))
            continue
        with_data.update(windows)
        if skips_partial and not _is_filled(copy, stretch):  # before it is read, because it may be filled meanwhile
            continue
        if digest.compute_for_chunk(copy.read(stretch.start, stretch.stop - stretch.start)) != stretch.digest:
            wrong.update(windows)
    # A window without data is not read from the file, whatever is there.
    states = (
        State.ZEROS if each not in with_data else State.MISSING if each in wrong else State.VERIFIED
        for each in range(first, first + count)
    )
    return bytes(states)


def _list_stretches(segments: Iterable[manifest.Segment], start: int, stop: int) -> Iterator[_Stretch]:
    """Yield all stretches that have bytes of [start, stop), whole.

    Raises:
        ContentCorrupt: the manifest does not cover the range.
    """
    position = start
    for segment in segments:
        for entry, begin, end in manifest.slice_segment(segment, position, stop):
            whole_from = position - begin
            yield _Stretch(whole_from, whole_from + entry.length, entry.digest)
            position += end - begin
    if position < stop:
        raise problems.ContentCorrupt(
            f"The manifest of the image data should reach byte {stop} and ends at {position}; restore the database from a backup"
        )


def _is_filled(copy: Copy, stretch: _Stretch) -> bool:
    """Return whether all windows that have bytes of a stretch have been filled."""
    first = stretch.start // WINDOW_BYTES
    return State.MISSING not in copy.states(first, count_windows(stretch.stop) - first)


def _is_zero(copy: Copy, stretch: _Stretch, window: int) -> bool:
    """Return whether the file has zeros where a stretch of zeros and a window overlap."""
    begin = max(stretch.start, window * WINDOW_BYTES)
    length = min(stretch.stop, (window + 1) * WINDOW_BYTES) - begin
    return copy.read(begin, length) == bytes(length)
