"""Read image data: downloads, ranges, and reads by imports and the cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from partage import problems
from partage.content.digest import Buffer
from partage.content.manifest import Segment
from partage.measures import CACHE_READS
from partage.model.announcement import Event, Sent
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.operations import cache_entries, originals, references, visible
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.originals import Comparison
from partage.operations.service import Cache, NamedStore, Service
from partage.outbound.cancelling import Cancellation
from partage.policies import authority
from partage.policies.images import DOWNLOAD_FROM_STORE, DOWNLOAD_IMAGE
from partage.records import contents
from partage.records import originals as original_rows
from partage.stores.cache.copies import FilePart
from partage.stores.engine import reader
from partage.stores.engine.writer import Written

_SEGMENTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class ImageData:
    """The data of one image, opened for one caller. Access was checked when it was opened.

    `cancellation` ends reads from the web, from another thread.
    """

    service: Service
    image: Image
    preferred: tuple[StoreID, ...] = ()
    cancellation: Cancellation | None = None

    @property
    def has_data(self) -> bool:
        """Whether there is data to send, be it of zero bytes. An image that is still importing has none."""
        if self.image.content_id is None:
            return bool(self.image.references) and self.image.status in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
        return self.image.status is not ImageStatus.IMPORTING

    @property
    def is_remote(self) -> bool:
        """Whether the data is read from the web, which can be slow. If a store has the data, it is read from there."""
        return self.image.content_id is None

    @property
    def is_in_place(self) -> bool:
        """Whether the data is read from a store of Glance: there are no chunks, and a part of it cannot be verified."""
        content_id, service = self.image.content_id, self.service
        return content_id is not None and any(originals.find_in_place(service, content_id, each) for each in self.image.stores)

    @property
    def size_bytes(self) -> int:
        """The size of the whole image."""
        return self.image.size or 0

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop). Every chunk is verified before it is yielded. Close the iterator to stop early.

        Raises:
            ContentCorrupt, StoreUnavailable: as `Reading.bytes_from`.
        """
        return self.open_reading(start, stop).bytes_from(start)

    def open_reading(self, start: int, stop: int) -> "Reading":
        """Open [start, stop) for reading, in one pass or in several."""
        return Reading(self, stop, is_whole=(start, stop) == (0, self.size_bytes))

    def stores(self) -> list[NamedStore]:
        """List the stores that have the image, preferred ones first, then by weight. Source: Glance's order of locations.

        Raises:
            StoreUnavailable: none of them is configured.
        """
        known = [self.service.stores.by_id[each] for each in self.image.stores if each in self.service.stores.by_id]
        if not known:
            raise problems.StoreUnavailable("No store that has this image is configured at the moment; ask the operator")
        rank = {store_id: number for number, store_id in enumerate(self.preferred)}
        return sorted(known, key=lambda named: (rank.get(named.id, len(rank)), -named.weight))


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of an image's bytes up to `stop`. It can be closed and resumed at the same position, unless the data is remote."""

    data: ImageData
    stop: int
    is_whole: bool
    comparison: Comparison = field(default_factory=Comparison)

    def pieces_from(self, start: int) -> Iterator[Buffer | FilePart]:
        """Yield [start, stop) in pieces: parts of this node's copy as far as there is one, which the read fills. Close it to stop.

        Raises:
            ContentCorrupt, StoreUnavailable: as `bytes_from`.
        """
        service, image = self.data.service, self.data.image
        cache, content_id = service.stores.cache, image.content_id
        if cache is None or content_id is None or self.data.is_in_place:
            yield from self.bytes_from(start)
            return
        copy = cache.directory.open(content_id, self.data.size_bytes)
        result = "bypass" if copy is None else "hit"
        while copy is not None and start < self.stop:
            taken = cache.fills.take(copy, start, self.stop, self)
            if taken is None:
                result, copy = "bypass", None
                continue
            result = result if taken.was_there else "miss"
            for piece in taken.pieces:
                yield piece
                start += len(piece)
        service.process.meter.add(CACHE_READS, result)
        yield from self.bytes_from(start)
        if self.is_whole:
            cache_entries.note_read(service, image)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """See `fills.Origin.read`."""
        return replace(self, stop=stop).bytes_from(start)

    def list_segments(self, start: int, stop: int) -> Iterator[Segment]:
        """See `fills.Origin.list_segments`."""
        content_id = self.data.image.content_id
        return iter(()) if content_id is None else list_segments(self.data.service, content_id, start, stop)

    def bytes_from(self, start: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop). Every chunk is verified before it is yielded. Close the iterator to stop.

        If a store fails, the next one that has the image continues at the same byte.

        Raises:
            ContentCorrupt: stored bytes no longer have their digest, in any store.
            StoreUnavailable: no store gives them at the moment.
        """
        service, image, stop = self.data.service, self.data.image, self.stop
        if image.content_id is None:
            if start < stop:
                yield from references.read(service, image, start, stop, cancellation=self.data.cancellation)
            return
        stores = self.data.stores() if start < stop else []
        while start < stop:
            named = stores.pop(0)
            try:
                for block in read_content(service, named, image.content_id, start, stop, comparison=self.comparison):
                    yield block
                    start += len(block)
            except (problems.StoreUnavailable, problems.ContentCorrupt) as problem:
                if not stores:
                    raise
                service.process.failures.note(problem, f"image {image.id}, store {named.id}: another store goes on")


def fill_copy(reading: Reading, cache: Cache) -> Iterator[int]:
    """Fill this node's copy of an image without sending it; yield the length of each part, and end early where that fails."""
    content_id, size_bytes = reading.data.image.content_id, reading.stop
    copy = None if content_id is None else cache.directory.open(content_id, size_bytes)
    position = 0
    while copy is not None and position < size_bytes:
        taken = cache.fills.take(copy, position, size_bytes, reading)
        if taken is None:
            return
        for piece in taken.pieces:
            position += len(piece)
            if position == size_bytes:
                cache.fills.settle(copy.content_id)
                if not copy.is_complete():
                    return
            yield len(piece)


def read_content(
    service: Service, named: NamedStore, content_id: ContentID, start: int, stop: int, *, comparison: Comparison | None = None
) -> Iterator[bytes]:
    """Yield bytes [start, stop) of a content from one store, or from the store of Glance that has them in its place.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`, or `originals.read`.
    """
    original = originals.find_in_place(service, content_id, named.id)
    if original is not None:
        return originals.read(service, original, start, stop, comparison)
    index = DatabaseIndex(service.database, named.id, service.clock)
    wanted = list_segments(service, content_id, start, stop)
    return reader.read(named.store, index, wanted, start, stop, ahead=service.stores.read_ahead)


def read_written(service: Service, named: NamedStore, written: Written) -> Iterator[bytes]:
    """Yield the bytes of a stream that was just stored and to which nothing refers yet.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`.
    """
    index = DatabaseIndex(service.database, named.id, service.clock)
    stop = written.content.size_bytes
    return reader.read(named.store, index, iter(written.segments), 0, stop, ahead=service.stores.read_ahead)


def open_image_data(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    *,
    preferred: Sequence[StoreID] = (),
) -> ImageData:
    """Open an image's data for reading, from the first of the `preferred` stores that has it, or else any.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids, ImageDeactivated: the caller may see the image but not have its data.
        StoreUnknown: a preferred store is not configured.
    """
    image = find_downloadable(service, caller, image_id)
    if preferred:
        service.authority.require(caller, DOWNLOAD_FROM_STORE, authority.image_target(caller, image))
        for store_id in preferred:
            if not service.stores.has(store_id):
                raise problems.StoreUnknown(f"Store '{store_id}' is not configured.")
    if caller.project_id is not None:
        service.process.last_downloads.note(image_id, caller.project_id, service.clock())
    return ImageData(service, image, tuple(preferred))


def find_downloadable(service: Service, caller: Caller, image_id: ImageID) -> Image:
    """Return an image whose data the caller may download.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids, ImageDeactivated: the caller may see the image but not have its data.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, DOWNLOAD_IMAGE, authority.image_target(caller, image))
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise problems.ImageDeactivated("The requested image has been deactivated. Image data download is forbidden.")
    return image


def announce_sent(data: ImageData, receiver: Caller, bytes_sent: int, *, expected_bytes: int, destination_ip: str | None) -> None:
    """Announce that a download has ended. It succeeded only if every requested byte was sent."""
    sent = Sent(image=data.image, receiver=receiver, bytes_sent=bytes_sent, destination_ip=destination_ip)
    data.service.announce(Event.IMAGE_SEND, sent, failed=bytes_sent != expected_bytes)


def list_segments(service: Service, content_id: ContentID, start: int, stop: int) -> Iterator[Segment]:
    """Yield the manifest segments that cover bytes [start, stop), a few at a time, each few in a transaction of their own."""
    while start < stop:
        with service.database.read() as tx:
            found = contents.find_segments(tx, content_id, start, stop, limit_rows=_SEGMENTS_AT_ONCE + 1)
        if not found:
            _require_no_original(service, content_id)
            raise problems.ContentCorrupt("The image's manifest is not there any more; ask for the image again")
        yield from found[:_SEGMENTS_AT_ONCE]
        if len(found) <= _SEGMENTS_AT_ONCE:
            return
        start = found[_SEGMENTS_AT_ONCE].start


def _require_no_original(service: Service, content_id: ContentID) -> None:
    """Check that a content without a manifest is not one that is still in a store of Glance.

    Raises:
        StoreUnavailable: it is.
    """
    with service.database.read() as tx:
        found = original_rows.list_of_content(tx, content_id)
    if found:
        raise originals.make_place_problem(found[0])
