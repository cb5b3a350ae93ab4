"""Cut a stream into chunks at block boundaries, so that equal content is cut alike wherever it stands.

Disk images move content by multiples of 4 KiB, so only block boundaries are candidates, and a cheap fingerprint of each block
chooses among them; no rolling hash over every byte is needed (docs/decisions/0010). The rule, in full:

1. The stream is blocks of 4096 bytes, the last may be shorter. A block of nothing but zeros is a zero block.
2. Every run of at least `zero_run_blocks` zero blocks is one zero chunk, however long. Runs are found first; what lies between
   two of them, or the stream's ends, is cut on its own by rule 3.
3. A chunk ends after its first block that is at least its `minimum_blocks`-th and whose XXH3-64 is below the threshold, else
   after its `maximum_blocks`-th, else where the span ends. A chunk of nothing but zeros is a zero chunk, too.

Boundaries are part of the stored format in practice: other boundaries store everything a second time. tests/golden pins them.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import xxhash

from partage.content.digest import Buffer

BLOCK_BYTES = 4096

PIECE_BYTES = 512 * 1024
"""Streams are processed in pieces of this size: large enough that passing one costs nothing, small enough for a CPU cache."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of chunks, in blocks. `expected_blocks` is the mean distance of candidates, not of cuts.

    Cuts of data without repetition are on average `minimum_blocks - 1 + expected_blocks` apart, a little less for the maximum.
    """

    minimum_blocks: int = 6
    expected_blocks: int = 19
    maximum_blocks: int = 96
    zero_run_blocks: int = 8

    @property
    def threshold(self) -> int:
        """Blocks with a fingerprint below this are candidates."""
        return (1 << 64) // self.expected_blocks


SHAPE = Shape()
"""24 KiB at least, about 96 KiB on average, 384 KiB at most: docs/decisions/0010 says why."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the stream: its bytes, or None for zeros. `data` may be a view of the buffer that was fed last."""

    length: int
    data: memoryview | None


class Cutter:
    """Cut one stream. Feed buffers of any size in order, then finish; the cuts do not depend on how the stream was split.

    Fastest with buffers whose length is a multiple of a block: nothing is copied but the unfinished chunk at the end, which is at
    most `maximum_blocks` and some. After `feed` has returned, only the returned chunks refer to its buffer. Not
    thread-safe.

    A stream that is the rest of another one, from `offset_bytes` on, is cut as that one is: bytes before the next block are a chunk
    of their own, so that the blocks stand where they do there.
    """

    def __init__(self, shape: Shape = SHAPE, *, offset_bytes: int = 0) -> None:
        self._shape = shape
        self._lead_bytes = -offset_bytes % BLOCK_BYTES
        self._lead = b""
        self._threshold = shape.threshold
        self._views: deque[memoryview] = deque()
        self._prints: list[int] = []
        self._tail = b""
        self._zeros_bytes = 0

    def feed(self, buffer: Buffer) -> list[Chunk]:
        """Take the next bytes and return the chunks that are complete now, in order."""
        view = memoryview(buffer)
        if self._lead_bytes:
            taken = view[: self._lead_bytes - len(self._lead)]
            self._lead += taken
            if len(self._lead) < self._lead_bytes:
                return []
            return [*self._finish_lead(), *self.feed(view[len(taken) :])]
        fed = False
        for whole in self._whole_blocks(view):
            if self._zeros_bytes and not self._prints and _is_zero(whole):
                self._zeros_bytes += len(whole)
                continue
            self._views.append(whole)
            self._prints += _fingerprints(whole)
            fed = True
        if not fed:
            return []
        chunks = list(self._cut(final=False))
        # The rest may be views of the caller's buffer, which the caller reuses.
        if self._views:
            self._views = deque([memoryview(b"".join(self._views))])
        return chunks

    def finish(self) -> list[Chunk]:
        """Return the last chunks. The cutter is then empty, and takes another stream from its beginning."""
        lead = self._finish_lead()
        if self._tail:
            last = memoryview(self._tail)
            self._views.append(last)
            self._prints.append(_ZERO if _is_zero(last) else xxhash.xxh3_64_intdigest(last))
            self._tail = b""
        chunks = list(self._cut(final=True))
        if self._zeros_bytes:
            chunks.append(Chunk(self._zeros_bytes, None))
            self._zeros_bytes = 0
        return [*lead, *chunks]

    def _finish_lead(self) -> list[Chunk]:
        """Return the bytes before the first block, as a chunk if there are any."""
        lead, self._lead, self._lead_bytes = memoryview(self._lead), b"", 0
        return [Chunk(len(lead), None if _is_zero(lead) else lead)] if lead else []

    def _whole_blocks(self, view: memoryview) -> Iterator[memoryview]:
        """Yield whole blocks: first the one that completes the last call's rest, then the others. Keep an incomplete block."""
        if self._tail:
            missing = BLOCK_BYTES - len(self._tail)
            self._tail += view[:missing]
            view = view[missing:]
            if len(self._tail) < BLOCK_BYTES:
                return
            yield memoryview(self._tail)
        over = len(view) % BLOCK_BYTES
        self._tail = bytes(view[len(view) - over :])
        if len(view) > over:
            yield view[: len(view) - over]

    def _cut(self, *, final: bool) -> Iterator[Chunk]:
        """Yield every chunk that later blocks cannot change, and drop its blocks."""
        prints = self._prints
        candidates = [index for index, print_ in enumerate(prints) if print_ < self._threshold]
        position = 0
        while position < len(prints):
            run_start, run_end, closed = self._next_run(position, final=final)
            if self._zeros_bytes and position < run_start:
                yield Chunk(self._zeros_bytes, None)
                self._zeros_bytes = 0
            for end in self._ends(candidates, position, run_start, closed=closed):
                yield self._data_chunk(position, end)
                position = end
            if position < run_start or not closed:
                break
            self._zeros_bytes += self._skip(run_end - run_start)
            position = run_end
        del prints[:position]

    def _next_run(self, position: int, *, final: bool) -> tuple[int, int, bool]:
        """Find the next zero run: its first block, the block after it, and whether the span before it is known to end there.

        Zero blocks at the end of what has arrived may become a run later: until then the span before them stays open.
        An open zero chunk goes on with any zero block, as the run that it belongs to is long enough already.
        """
        prints = self._prints
        end = len(prints)
        if self._zeros_bytes and prints[position] == _ZERO:
            return position, _run_end(prints, position), True
        search = position
        while (start := _index_of_zero(prints, search)) < end:
            run_end = _run_end(prints, start)
            if run_end - start >= self._shape.zero_run_blocks:
                return start, run_end, True
            if run_end == end and not final:
                return start, start, False
            search = run_end
        return end, end, final

    def _ends(self, candidates: list[int], position: int, span_end: int, *, closed: bool) -> Iterator[int]:
        """Yield the blocks after which the chunks of a span end."""
        shape = self._shape
        while position < span_end:
            limit = min(position + shape.maximum_blocks, span_end)
            at = bisect_left(candidates, position + shape.minimum_blocks - 1)
            if at < len(candidates) and candidates[at] < limit:
                position = candidates[at] + 1
            elif closed or position + shape.maximum_blocks <= span_end:
                position = limit
            else:
                return
            yield position

    def _data_chunk(self, start: int, end: int) -> Chunk:
        only_zeros = self._prints[start] == _ZERO and _run_end(self._prints, start) >= end
        if only_zeros:
            return Chunk(self._skip(end - start), None)
        view = self._take(end - start)
        return Chunk(len(view), view)

    def _take(self, blocks: int) -> memoryview:
        """Remove blocks from the front, as one view; copied only if they come from several buffers."""
        first = self._views[0]
        wanted = blocks * BLOCK_BYTES
        if len(first) > wanted:
            self._views[0] = first[wanted:]
            return first[:wanted]
        parts = []
        while wanted > 0 and self._views:
            view = self._views.popleft()
            if len(view) > wanted:
                self._views.appendleft(view[wanted:])
                view = view[:wanted]
            parts.append(view)
            wanted -= len(view)
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def _skip(self, blocks: int) -> int:
        """Remove blocks from the front without looking at them; return their length in bytes."""
        wanted = blocks * BLOCK_BYTES
        skipped = 0
        while skipped < wanted and self._views:
            view = self._views.popleft()
            if len(view) > wanted - skipped:
                self._views.appendleft(view[wanted - skipped :])
                view = view[: wanted - skipped]
            skipped += len(view)
        return skipped


_ZERO = 1 << 64
"""Stands for a zero block among the fingerprints; above every fingerprint, so it is never a candidate."""
_ZERO_BLOCK = bytes(BLOCK_BYTES)
_ZERO_BLOCK_PRINT = xxhash.xxh3_64_intdigest(_ZERO_BLOCK)
_GROUP_BYTES = 16 * BLOCK_BYTES
_ZERO_GROUP = bytes(_GROUP_BYTES)
_ZERO_GROUP_PRINTS = [_ZERO] * 16


def _fingerprints(view: memoryview) -> list[int]:
    """Fingerprint each block. Zeros are recognised by comparing bytes: somebody can make a block with the fingerprint of zeros."""
    fingerprint = xxhash.xxh3_64_intdigest
    prints: list[int] = []
    for start in range(0, len(view), _GROUP_BYTES):
        group = view[start : start + _GROUP_BYTES]
        # startswith compares memory without a copy and gives up at the first other byte: 0.1 us for data, 30 GiB/s for zeros.
        if len(group) == _GROUP_BYTES and _ZERO_GROUP.startswith(group):
            prints += _ZERO_GROUP_PRINTS
        else:
            prints += [fingerprint(group[at : at + BLOCK_BYTES]) for at in range(0, len(group), BLOCK_BYTES)]
    if _ZERO_BLOCK_PRINT in prints:
        for index, print_ in enumerate(prints):
            if print_ == _ZERO_BLOCK_PRINT and _ZERO_BLOCK.startswith(view[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]):
                prints[index] = _ZERO
    return prints


def _is_zero(view: memoryview) -> bool:
    return all(_ZERO_GROUP.startswith(view[at : at + _GROUP_BYTES]) for at in range(0, len(view), _GROUP_BYTES))


def _index_of_zero(prints: list[int], start: int) -> int:
    try:
        return prints.index(_ZERO, start)
    except ValueError:
        return len(prints)


def _run_end(prints: list[int], start: int) -> int:
    end = start
    while end < len(prints) and prints[end] == _ZERO:
        end += 1
    return end
