"""Chunks of a project's own recent images, found by following their manifests while an upload of the project arrives.

What a project already has is no secret to it, so an upload need not hide that it is stored: such chunks are not written again
(docs/decisions/0070). Only images count whose data the caller may read at that moment: active images of its own project.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from partage import problems
from partage.content import manifest
from partage.model.caller import Caller
from partage.model.ids import ChunkDigest, ContentID
from partage.model.image import Image
from partage.operations.service import NamedStore, Service
from partage.policies import authority
from partage.policies.images import DOWNLOAD_IMAGE, GET_IMAGE
from partage.records import contents, images
from partage.records.database import Database

MOST_IMAGES = 16
"""Only so many of the newest images of a project are looked at."""

MOST_FOLLOWED = 3
"""…and after the first `TRIAL_CHUNKS` of a stream only those that had most of its chunks."""

TRIAL_CHUNKS = 1000

_REACH_BYTES = 16 << 20
_MOST_SEGMENTS = 4


def open_own_chunks(service: Service, caller: Caller, image: Image, named: NamedStore) -> "FollowedImages | None":
    """Open the images in which to look for chunks of an upload; None if there is nothing to look for."""
    if not service.features.hide_deduplication_timing:
        return None  # no known chunk is written again
    # An administrator who uploads for a project must not learn by the time what the project has.
    if caller.project_id is None or caller.project_id != image.owner:
        return None
    with service.database.read() as tx:
        recent = images.list_recent(tx, caller.project_id, limit_rows=MOST_IMAGES)
    readable = [each for each in recent if named.id in each.stores and _may_read(service, caller, each)]
    return FollowedImages(
        service.database, tuple(dict.fromkeys(each.content_id for each in readable if each.content_id is not None))
    )


def _may_read(service: Service, caller: Caller, image: Image) -> bool:
    target = authority.image_target(caller, image)
    return all(service.authority.allows(caller, rule, target) for rule in (GET_IMAGE, DOWNLOAD_IMAGE))


class FollowedImages:
    """Finds chunks of one stream in contents, newest first. See `stores.engine.index.OwnChunks`."""

    def __init__(self, database: Database, content_ids: Sequence[ContentID]) -> None:
        """Read nothing yet."""
        self._database = database
        self._followed = [_Followed(content_id) for content_id in content_ids]
        self._seen_chunks = 0

    def find(self, offsets: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        """Return which of these chunks the contents have around the same offset."""
        self._seen_chunks += len(offsets)
        found: set[ChunkDigest] = set()
        for each in tuple(self._followed):
            try:
                found |= each.find(self._database, offsets)
            except (problems.ContentCorrupt, ValueError):
                self._followed.remove(each)  # a damaged manifest is not this upload's problem
        if self._seen_chunks > TRIAL_CHUNKS:
            self._followed = sorted(self._followed, key=lambda each: each.hits, reverse=True)[:MOST_FOLLOWED]
        return found


@dataclass(slots=True)
class _Followed:
    """A content, and the part of its manifest around the current offset of the stream.

    An image of the next day has equal data at about the same offset. `shift_bytes` is how much further on the content has it.
    """

    content_id: ContentID
    hits: int = 0
    shift_bytes: int = 0
    loaded: range = range(0)
    parts: dict[int, Mapping[ChunkDigest, int]] = field(default_factory=dict)

    def find(self, database: Database, offsets: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        """Return which chunks are in that part; then follow the stream from the last one.

        Raises:
            ContentCorrupt, ValueError: as `manifest.decode`.
        """
        start = min(offsets.values(), default=0) + self.shift_bytes
        stop = max(offsets.values(), default=0) + self.shift_bytes
        if not (self.loaded.start <= max(start - _REACH_BYTES // 2, 0) and stop + _REACH_BYTES // 2 <= self.loaded.stop):
            self._load(database, max(start - _REACH_BYTES, 0), max(stop + _REACH_BYTES, 0))
        found = {digest: places[digest] for places in self.parts.values() for digest in offsets.keys() & places.keys()}
        if found:
            last = max(found, key=lambda digest: offsets[digest])
            self.shift_bytes = found[last] - offsets[last]
            self.hits += len(found)
        return set(found)

    def _load(self, database: Database, start: int, stop: int) -> None:
        with database.read() as tx:
            segments = contents.find_segments(tx, self.content_id, start, stop, limit_rows=_MOST_SEGMENTS)
        self.parts = {each.start: self.parts.get(each.start) or _list_places(each) for each in segments}
        if len(segments) == _MOST_SEGMENTS:
            stop = segments[-1].start + manifest.length(segments[-1])
        self.loaded = range(start, stop)


def _list_places(segment: manifest.Segment) -> dict[ChunkDigest, int]:
    """Return the offset in the content of each chunk."""
    places, offset = {}, segment.start
    for entry in manifest.decode(segment):
        if entry.digest is not None:
            places[entry.digest] = offset
        offset += entry.length
    return places
