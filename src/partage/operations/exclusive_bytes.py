"""How many stored bytes an image has, and how many of them the sweep would free if the image were gone.

A chunk is freed if no other content that something names in the store has it: this is how the sweep marks. Other manifests are read
to find out, at most `MOST_SEGMENTS_OF_OTHERS`. In a larger store the result is a lower and an upper bound.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from partage.content.manifest import Segment, digests
from partage.model.ids import ChunkDigest
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
    """The stored bytes of an image in every store, and those of them that only this image has. Compressed, without pack headers."""

    stored: Bounds
    exclusive: Bounds


def measure(
    service: Service,
    tx: Transaction,
    image: Image,
    *,
    most_segments: int = MOST_SEGMENTS,
    most_of_others: int = MOST_SEGMENTS_OF_OTHERS,
) -> ImageBytes:
    """Measure an image in all configured stores. No sweep frees bytes in a store that is read-only."""
    found = [_measure_store(tx, image, each, most_segments, most_of_others) for each in service.stores.by_id.values()]
    return ImageBytes(_add(each.stored for each in found), _add(each.exclusive for each in found))


def _measure_store(tx: Transaction, image: Image, named: NamedStore, most_segments: int, most_of_others: int) -> ImageBytes:
    content_ids = exclusive_chunks.list_named(tx, image.id, named.id)
    segments = exclusive_chunks.list_segments(tx, content_ids, limit_rows=most_segments + 1)
    own = [each for each in content_ids if not exclusive_chunks.is_named_by_others(tx, each, image.id, named.id)]
    if len(segments) > most_segments:
        at_most = Bounds(0, contents.sum_sizes(tx, content_ids))  # no chunk is stored with more bytes than it has
        return ImageBytes(at_most, Bounds() if named.read_only or not own else Bounds(0, contents.sum_sizes(tx, own)))
    stored = _sum(tx, named, _chunks_of(segments))
    if named.read_only or not own:
        return ImageBytes(Bounds(stored, stored), Bounds())
    alone = _chunks_of(exclusive_chunks.list_segments(tx, own, limit_rows=most_segments))
    read = 0
    for segment in exclusive_chunks.walk_segments_of_others(tx, image.id, named.id, limit_rows=most_of_others + 1):
        alone.difference_update(digests(segment))
        read += 1
        if not alone:
            break
    at_most_bytes = _sum(tx, named, alone)
    return ImageBytes(Bounds(stored, stored), Bounds(0 if read > most_of_others else at_most_bytes, at_most_bytes))


def _chunks_of(segments: Iterable[Segment]) -> set[ChunkDigest]:
    return {digest for segment in segments for digest in digests(segment)}


def _sum(tx: Transaction, named: NamedStore, chunks: Collection[ChunkDigest]) -> int:
    return exclusive_chunks.sum_stored_bytes(tx, named.id, chunks)


def _add(found: Iterable[Bounds]) -> Bounds:
    every = list(found)
    return Bounds(sum(each.least for each in every), sum(each.most for each in every))
