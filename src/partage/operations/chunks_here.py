"""Which chunks of an image from another region need not be fetched: those of images that the receiving project has already.

A store has chunks of all projects. To skip those of others would reveal that they are there, to the user by the time of an import,
and to the other region by what it is not asked for. So a chunk is read here only if `own_chunks.py` finds it in an image of the
project, as for uploads, or if an earlier run of the same task has received it (docs/decisions/0075).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from partage import problems
from partage.content import manifest
from partage.content.manifest import ManifestEntry
from partage.model.caller import Caller
from partage.model.ids import ChunkDigest, StoreID
from partage.model.image import Image
from partage.operations import own_chunks
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.remote_chunks import Received
from partage.operations.service import NamedStore, Service
from partage.stores.engine import reader

_NOTE_EVERY = timedelta(seconds=2)
_FOLLOWED_AT_ONCE = 256
"""Chunks of 24 MiB, more or less: `own_chunks.FollowedImages` looks around the offsets of one call."""

_LOOK_UP = 1024


class ChunksHere:
    """What a project has of an image that is imported into one store. Implements `remote_chunks.Here`."""

    def __init__(
        self,
        service: Service,
        named: NamedStore,
        caller: Caller,
        image: Image,
        *,
        progress: Received | None,
        save: Callable[[Received], None],
    ) -> None:
        """Compare for `caller`, who imports `image`; `save` records what has been received, at most every two seconds."""
        self._service = service
        self._named = named
        self._index = DatabaseIndex(service.database, named.id, service.clock)
        self._image = image
        self._own = own_chunks.open_own_chunks(service, caller, image, named)
        self._save = save
        self._saved_at = service.clock()
        self._has_lost = False
        self.progress = progress

    @property
    def store_id(self) -> StoreID:
        """See `remote_chunks.Here`."""
        return self._named.id

    def find(self, wanted: Mapping[ChunkDigest, int], received: set[ChunkDigest]) -> set[ChunkDigest]:
        """See `remote_chunks.Here`."""
        if not self._service.features.hide_deduplication_timing:
            return self._find_stored(set(wanted))
        own = self._find_own(wanted)
        stored = self._find_stored(received | own)
        return stored & (own | self._find_kept(wanted, received, stored))

    def read(self, start: int, entries: Sequence[ManifestEntry]) -> Iterator[bytes]:
        """See `remote_chunks.Here`."""
        stop = start + sum(entry.length for entry in entries)
        segments = iter(manifest.encode_all(start, entries))
        try:
            yield from reader.read(self._named.store, self._index, segments, start, stop, ahead=self._service.stores.read_ahead)
        except problems.ContentCorrupt as problem:
            subject = f"import into image {self._image.id}, store {self._named.id}: the other region has the bytes"
            self._service.process.failures.note(problem, subject)
            raise

    def note(self, received: Received) -> None:
        """See `remote_chunks.Here`."""
        now = self._service.clock()
        if now - self._saved_at >= _NOTE_EVERY:
            self._saved_at = now
            self._save(received)

    def _find_kept(
        self, wanted: Mapping[ChunkDigest, int], received: set[ChunkDigest], stored: set[ChunkDigest]
    ) -> set[ChunkDigest]:
        """Return the received chunks before the first one that is not stored.

        The dead worker had not put all that it had received. Of what comes after a chunk that was lost, a chunk that is here may
        be one of another project.
        """
        kept: set[ChunkDigest] = set()
        for name in (each for each in wanted if each in received):
            self._has_lost = self._has_lost or name not in stored
            if self._has_lost:
                break
            kept.add(name)
        return kept

    def _find_stored(self, names: set[ChunkDigest]) -> set[ChunkDigest]:
        ordered, stored = sorted(names), set[ChunkDigest]()
        for first in range(0, len(ordered), _LOOK_UP):
            stored |= self._index.find_stored(ordered[first : first + _LOOK_UP])
        return stored

    def _find_own(self, wanted: Mapping[ChunkDigest, int]) -> set[ChunkDigest]:
        found: set[ChunkDigest] = set()
        if self._own is not None:
            placed = list(wanted.items())
            for first in range(0, len(placed), _FOLLOWED_AT_ONCE):
                found |= self._own.find(dict(placed[first : first + _FOLLOWED_AT_ONCE]))
        return found
