"""How many stored bytes an image has, and how many of them the sweep would free if the image were gone.

A chunk is freed if no other content that something names in the store has it: this is how the sweep marks. Other manifests are read
to find out, at most `MOST_SEGMENTS_OF_OTHERS`. In a larger store the result is a lower and an upper bound.

A project gets bounds that depend on its own images only. Whether an image of another project has the same bytes would tell somebody
who uploads a guess that the guess is right. Even the stored size of a chunk would: it depends on what was compressed before it, by
the project that stored it first. So for a project a chunk counts with 0 to its plain length.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from partage.content.manifest import Segment, decode, digests
from partage.model.ids import ChunkDigest, ContentID, ProjectID
from partage.model.image import Image
from partage.model.impact import Bounds
from partage.operations.service import NamedStore, Service
from partage.records import contents, exclusive_chunks
from partage.records.database import Transaction

MOST_SEGMENTS = 128
"""Manifest segments of an image that are read: those of at least 12 GiB. A larger image has bounds only."""
MOST_SEGMENTS_OF_OTHERS = 1024
"""Manifest segments of all other images that are read: 50 MiB, in a fraction of a second."""


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """The stored bytes of an image in every store, and those of them that only this image has. Compressed, without pack headers.

    `is_shared`: other images have some of them too, or may have; for a project, only its own images count.
    """

    stored: Bounds
    exclusive: Bounds
    is_shared: bool


def measure(
    service: Service,
    tx: Transaction,
    image: Image,
    *,
    known_to: ProjectID | None,
    most_segments: int = MOST_SEGMENTS,
    most_of_others: int = MOST_SEGMENTS_OF_OTHERS,
) -> ImageBytes:
    """Measure an image in all configured stores. No sweep frees bytes in a store that is read-only.

    `known_to` None looks at the images of all projects, for operators. For a project the result is bounds that depend on nothing
    but its own images.
    """
    most = _Most(most_segments, most_of_others)
    found = [_measure_store(tx, image, each, most, known_to) for each in service.stores.by_id.values()]
    return ImageBytes(
        _add(each.stored for each in found), _add(each.exclusive for each in found), any(each.is_shared for each in found)
    )


@dataclass(frozen=True, slots=True)
class _Most:
    """How many manifest segments are read: of the image, and of others."""

    segments: int
    of_others: int


def _measure_store(tx: Transaction, image: Image, named: NamedStore, most: _Most, known_to: ProjectID | None) -> ImageBytes:
    content_ids = exclusive_chunks.list_named(tx, image.id, named.id)
    segments = exclusive_chunks.list_segments(tx, content_ids, limit_rows=most.segments + 1)
    own = [each for each in content_ids if not exclusive_chunks.is_named_by_others(tx, each, image.id, named.id, known_to=known_to)]
    if len(segments) > most.segments:
        at_most = Bounds(0, contents.sum_sizes(tx, content_ids))  # no chunk is stored with more bytes than it has
        exclusive = Bounds() if named.read_only or not own else Bounds(0, contents.sum_sizes(tx, own))
        return ImageBytes(at_most, exclusive, is_shared=known_to is None or len(own) < len(content_ids))
    alone, is_complete = _find_alone(tx, image, named, most, own, known_to=known_to)
    if known_to is not None:
        lengths = _measure_chunks(segments)
        exclusive = Bounds(0, 0 if named.read_only else sum(lengths[each] for each in alone))
        return ImageBytes(Bounds(0, sum(lengths.values())), exclusive, is_shared=len(alone) < len(lengths))
    stored = _sum(tx, named, _chunks_of(segments))
    at_most_bytes = 0 if named.read_only else _sum(tx, named, alone)
    exclusive = Bounds(at_most_bytes if is_complete else 0, at_most_bytes)
    return ImageBytes(Bounds(stored, stored), exclusive, is_shared=stored > exclusive.least)


def _find_alone(
    tx: Transaction, image: Image, named: NamedStore, most: _Most, own: Collection[ContentID], *, known_to: ProjectID | None
) -> tuple[set[ChunkDigest], bool]:
    """Return the chunks that no other image has, and whether all others were looked at: if not, they may have some of them."""
    if not own:
        return set(), True
    alone = _chunks_of(exclusive_chunks.list_segments(tx, own, limit_rows=most.segments))
    others = exclusive_chunks.walk_segments_of_others(tx, image.id, named.id, limit_rows=most.of_others + 1, known_to=known_to)
    read = 0
    for segment in others:
        alone.difference_update(digests(segment))
        read += 1
        if not alone:
            break
    return alone, read <= most.of_others


def _measure_chunks(segments: Iterable[Segment]) -> dict[ChunkDigest, int]:
    """Return the plain length of each chunk in bytes. Zeros are not stored."""
    entries = (entry for segment in segments for entry in decode(segment))
    return {digest: length for digest, length in entries if digest is not None}


def _chunks_of(segments: Iterable[Segment]) -> set[ChunkDigest]:
    return {digest for segment in segments for digest in digests(segment)}


def _sum(tx: Transaction, named: NamedStore, chunks: Collection[ChunkDigest]) -> int:
    return exclusive_chunks.sum_stored_bytes(tx, named.id, chunks)


def _add(found: Iterable[Bounds]) -> Bounds:
    every = list(found)
    return Bounds(sum(each.least for each in every), sum(each.most for each in every))
