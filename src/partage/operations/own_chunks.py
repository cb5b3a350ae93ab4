"""Chunks that are no secret to an uploader, found by following manifests while its stream arrives.

They are not written again (docs/decisions/0070): those of a project's own recent images, whose data the caller may read at that
moment, and those of the parts of the resumable upload that the stream completes.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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
from partage.records.partial_uploads import UploadPart
from partage.stores.engine.index import OwnChunks

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
        self._start_bytes = 0

    def begin_at(self, start_bytes: int) -> None:
        """Go on with a stream that begins at this offset of the image data."""
        self._start_bytes = start_bytes

    def find(self, offsets: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        """Return which of these chunks the contents have around the same offset."""
        self._seen_chunks += len(offsets)
        if self._start_bytes:
            offsets = {name: self._start_bytes + offset for name, offset in offsets.items()}
        found: set[ChunkDigest] = set()
        for each in tuple(self._followed):
            try:
                found |= each.find(self._database, offsets)
            except (problems.ContentCorrupt, ValueError):
                self._followed.remove(each)  # a damaged manifest is not this upload's problem
        if self._seen_chunks > TRIAL_CHUNKS:
            self._followed = sorted(self._followed, key=lambda each: each.hits, reverse=True)[:MOST_FOLLOWED]
        return found


class PartChunks:
    """Finds chunks of a stream in the parts of which it is made. See `stores.engine.index.OwnChunks`.

    A chunk that was cut where a part ends is not among them: other projects may have it.
    """

    def __init__(self, database: Database, parts: Iterable[UploadPart]) -> None:
        """Read nothing yet. `parts` are in order and without gaps."""
        self._database = database
        self._following = deque(parts)
        self._open: list[tuple[UploadPart, _Followed]] = []

    def find(self, offsets: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        """Return which of these chunks the parts have at their offsets."""
        start, last = min(offsets.values(), default=0), max(offsets.values(), default=0)
        while self._following and self._following[0].start <= last:
            part = self._following.popleft()
            self._open.append((part, _Followed(part.content_id)))
        self._open = [(part, followed) for part, followed in self._open if part.start + part.size_bytes > start]
        found: set[ChunkDigest] = set()
        for part, followed in self._open:
            followed.shift_bytes = -part.start
            with suppress(problems.ContentCorrupt, ValueError):  # the stream, which is read from it, fails as well
                found |= followed.find(self._database, offsets)
        return found


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Finds chunks that one of several finders has. See `stores.engine.index.OwnChunks`."""

    finders: Sequence[OwnChunks]

    def find(self, offsets: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        """Ask all of them."""
        return {name for finder in self.finders for name in finder.find(offsets)}


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
