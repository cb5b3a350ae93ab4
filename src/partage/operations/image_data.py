"""Image data: upload, stage and download.

An upload is three acts. One transaction makes the image `saving`; no transaction is open while bytes stream into the store; a last
one names the content and makes the image `active`. What fails between puts the image back to `queued`; chunks stored by then are
named by nothing, and the sweep takes them. A process that dies leaves a row in `uploads` by which `operations/recovery.py` knows.

Staging is the same, but the content waits, uninspected and unseen, for the import that makes it the image's:
`operations/imports/request.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from partage import problems
from partage.content.digest import Buffer
from partage.content.inspection import Inspector, Unwatched, Watcher
from partage.content.manifest import Content, Segment, digests
from partage.model import importing
from partage.model.announcement import ArrivalFailure, Arriving, Event, Sent
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, PackID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.quota import Allowance, Place
from partage.operations import cache_entries, claims, quota, recovery, references, signing, visible
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.packs import NotedWriter, PackNames
from partage.operations.quota import Reservation
from partage.operations.service import NamedStore, Service
from partage.outbound.cancelling import Cancellation
from partage.policies import authority
from partage.policies.images import DOWNLOAD_FROM_STORE, DOWNLOAD_IMAGE, MODIFY_IMAGE, UPLOAD_IMAGE
from partage.records import contents, images, stagings, uploads
from partage.records.database import Transaction
from partage.stores.engine import reader, writer
from partage.stores.engine.buffers import Piece
from partage.stores.engine.writer import WriteOptions, Writer, Written

_SEGMENTS_AT_ONCE = 8


class Arrival:
    """Image data on its way into a store, pushed a piece at a time.

        take ─ count its room ─ verify its signature ─ cut, digest, pack, put (`stores/engine/writer.py`) ─ finish: one transaction

    One thread at a time calls, any one; between two calls none is held. The last call is a `finish` that returns, or a `fail`.
    """

    def __init__(
        self,
        contexts: ExitStack,
        writer: Writer,
        *,
        meter: quota.Meter,
        verifier: signing.Verifier | None,
        name_content: Callable[[Written], Callable[[], None]],
    ) -> None:
        """Take over `contexts`, which are left when the data has arrived or failed to. `name_content` returns what tells of it."""
        self._contexts = contexts
        self._writer = writer
        self._meter = meter
        self._verifier = verifier
        self._name_content = name_content

    def take(self, piece: Piece) -> None:
        """Take the next bytes; let go of the piece in every case. Waits for the store, but not for more to come.

        Raises:
            ImageTooLarge, QuotaExceeded, SizeMismatch, FormatRefused, StoreFull, StoreUnavailable: `fail` is to be called.
            ImageGone: the image was deleted meanwhile; the same.
        """
        try:
            self._writer.admit(piece.size_bytes)
            self._meter.count(piece.size_bytes)
            if self._verifier is not None:
                self._verifier.update(piece.view)
            self._writer.feed(piece.retain())
        finally:
            piece.release()

    def pause(self) -> None:
        """Hold no piece until more is taken, as long as that may last.

        Raises:
            StoreFull, StoreUnavailable: `fail` is to be called.
        """
        self._writer.pause()

    def finish(self) -> None:
        """Store the rest and let the image have what was stored: all of it has come.

        Raises:
            SizeMismatch, SignatureRefused, FormatRefused, StoreFull, StoreUnavailable, ImageGone: `fail` is to be called.
        """
        if self._verifier is not None:
            self._verifier.finish()
        written = self._writer.finish()
        self._writer.close()
        tell = self._name_content(written)
        self._contexts.close()
        tell()

    def fail(self, error: BaseException) -> None:
        """Give up for this reason: the image is queued again, and what was stored is nobody's. No harm after `finish` returned."""
        self._contexts.__exit__(type(error), error, error.__traceback__)


def begin_upload(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    *,
    announced_bytes: int | None,
    store_id: StoreID | None,
    token: str = "",
) -> Arrival:
    """Make sure that the caller may store image data, and get ready for it. When all has arrived, the image becomes active.

    With the caller's `token` the certificate of a signed image is fetched. What is raised comes before a byte is needed.

    Raises:
        StoreUnknown, StoreReadOnly, ImageNotFound, PolicyForbids, StatusConflict, FormatMissing: nothing has begun.
        UploadsFull: the project has as many uploads under way as it may.
        ImageTooLarge, QuotaExceeded: there is no room for what is announced.
        KeyManagerUnavailable: the image is back in queued.
        SignatureRefused: no bytes could have the signature; the image is back in queued.
    """
    named = service.writable_store(store_id)
    begun = _begin(service, caller, image_id, announced_bytes)
    with ExitStack() as contexts:
        contexts.enter_context(_queued_again_on_failure(service, begun))
        properties = begun.image.properties
        certificate = signing.certificate_for(service.signatures, caller, properties, token)
        verifier = signing.verifier_for(service.signatures, properties, certificate)
        contexts.enter_context(announced_arrival(service, begun.image, named))
        writer = writer_into(service, named, inspector_for(service, begun.image), options_of(service, announced_bytes))
        contexts.enter_context(closing(writer))

        def name_content(written: Written) -> Callable[[], None]:
            active = _finish(service, begun, named, written)
            return lambda: announce_arrived(service, active, was=begun.image)

        meter = quota.Meter(service, begun.room)
        return Arrival(contexts.pop_all(), writer, meter=meter, verifier=verifier, name_content=name_content)


def begin_staging(service: Service, caller: Caller, image_id: ImageID, *, announced_bytes: int | None) -> Arrival:
    """Make sure that the caller may stage image data, and get ready for it. When all has arrived, it waits for an import.

    What is raised comes before a byte is needed.

    Raises:
        ImageNotFound, PolicyForbids, StatusConflict: nothing has begun.
        UploadsFull: the project has as many uploads under way as it may.
        ImageTooLarge, QuotaExceeded: there is no room for what is announced.
    """
    named = service.writable_store(None)
    begun = _begin(service, caller, image_id, announced_bytes, to=ImageStatus.UPLOADING)
    with ExitStack() as contexts:
        contexts.enter_context(_queued_again_on_failure(service, begun))
        writer = writer_into(service, named, Unwatched(), options_of(service, announced_bytes))
        contexts.enter_context(closing(writer))

        def name_content(written: Written) -> Callable[[], None]:
            staged = _keep_staged(service, begun, named, written)
            return lambda: service.announce(Event.IMAGE_UPDATE, staged)

        meter = quota.Meter(service, begun.room)
        return Arrival(contexts.pop_all(), writer, meter=meter, verifier=None, name_content=name_content)


@contextmanager
def announced_arrival(service: Service, image: Image, named: NamedStore) -> Iterator[None]:
    """Say that an image's bytes begin to arrive in a store, and if they do not arrive, say that too."""
    service.announce(Event.IMAGE_PREPARE, Arriving(image=image, store_id=named.id))
    try:
        yield
    except BaseException as error:
        reason = error.sentence() if isinstance(error, problems.Problem) else "an unexpected failure"
        service.announce(Event.IMAGE_UPLOAD, ArrivalFailure(image=image, reason=reason), failed=True)
        raise


def announce_arrived(service: Service, image: Image, *, was: Image) -> None:
    """Say that an image's bytes have arrived, and what the image has become by that."""
    service.announce(Event.IMAGE_UPLOAD, image)
    announce_change(service, image, was=was)


def announce_change(service: Service, image: Image, *, was: Image) -> None:
    """Say that an image changed, and if it became active, that too."""
    if image.status is ImageStatus.ACTIVE and was.status is not ImageStatus.ACTIVE:
        service.announce(Event.IMAGE_ACTIVATE, image)
    service.announce(Event.IMAGE_UPDATE, image)


def writer_into(service: Service, named: NamedStore, watcher: Watcher, options: WriteOptions) -> Writer:
    """Make what stores a stream that is pushed. Nothing will name its chunks yet."""
    return NotedWriter(
        named.store,
        DatabaseIndex(service.database, named.id, service.clock),
        service.writer_resources,
        PackNames(service, named),
        inspector=watcher,
        options=options,
    )


def store_bytes(service: Service, named: NamedStore, blocks: Iterable[Buffer], watcher: Watcher, options: WriteOptions) -> Written:
    """Store a stream that is pulled. Nothing names its chunks yet.

    Raises:
        SizeMismatch, FormatRefused, StoreFull, StoreUnavailable, or `options.limit_problem`: as `writer.write`.
    """
    with closing(writer_into(service, named, watcher, options)) as into:
        return writer.write(into, blocks)


def inspector_for(service: Service, image: Image) -> Inspector:
    """Build what watches over an image's data while it arrives."""
    return Inspector(
        image.disk_format or "",
        image.container_format or "",
        match_required=service.formats.match_required,
        vmdk_types=service.formats.vmdk_types,
        gpt_nonfatal=service.formats.gpt_nonfatal,
        disk_formats=service.formats.known.disk,
    )


@dataclass(frozen=True, slots=True)
class ImageData:
    """The bytes of one image, opened for one caller: what may be read was decided when it was opened.

    `cancellation` ends reading from the web, from another thread.
    """

    service: Service
    image: Image
    preferred: tuple[StoreID, ...] = ()
    cancellation: Cancellation | None = None

    @property
    def has_data(self) -> bool:
        """Say whether there are any bytes to give, were it zero of them. An image that is still importing gives none."""
        if self.image.content_id is None:
            return bool(self.image.references) and self.image.status in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
        return self.image.status is not ImageStatus.IMPORTING

    @property
    def is_remote(self) -> bool:
        """Say whether the bytes come from the web: slowly, perhaps. Where a store has them, they come from there."""
        return self.image.content_id is None

    @property
    def size_bytes(self) -> int:
        """How many bytes the whole image has."""
        return self.image.size or 0

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop), every chunk verified before it is given out. Close the iterator to stop early.

        Raises:
            ContentCorrupt, StoreUnavailable: as `Reading.bytes_from`.
        """
        return self.reading(start, stop).bytes_from(start)

    def reading(self, start: int, stop: int) -> "Reading":
        """Begin to read [start, stop), in one go or in several."""
        is_noted = (start, stop) == (0, self.size_bytes) and self.service.cache is not None
        return Reading(self, stop, set() if is_noted else None)

    def stores(self) -> list[NamedStore]:
        """List the stores that have the image: preferred ones first, then heavier ones. Source: Glance's order of locations.

        Raises:
            StoreUnavailable: none of them is configured.
        """
        known = [self.service.stores[each] for each in self.image.stores if each in self.service.stores]
        if not known:
            raise problems.StoreUnavailable("No store that has this image is configured at the moment; ask the operator")
        rank = {store_id: number for number, store_id in enumerate(self.preferred)}
        return sorted(known, key=lambda named: (rank.get(named.id, len(rank)), -named.weight))


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of an image's bytes up to `stop`. It can be given up and begun again where it was, but for remote bytes.

    `located` collects the packs that the bytes come from, if all of the image is read through this node's cache.
    """

    data: ImageData
    stop: int
    located: set[PackID] | None

    def bytes_from(self, start: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop), every chunk verified before it is given out. Close the iterator to give up.

        A store that fails on the way is left, and the next one that has the image goes on at the same byte.

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
                for block in read_content(service, named, image.content_id, start, stop, located=self.located):
                    yield block
                    start += len(block)
            except (problems.StoreUnavailable, problems.ContentCorrupt) as problem:
                if not stores:
                    raise
                service.failures.note(problem, f"image {image.id}, store {named.id}: another store goes on")
        if self.located is not None:
            cache_entries.note_read(service, image.id, self.located)


def read_content(
    service: Service,
    named: NamedStore,
    content_id: ContentID,
    start: int,
    stop: int,
    *,
    located: set[PackID] | None = None,
) -> Iterator[bytes]:
    """Yield bytes [start, stop) of a content out of one store; note in `located` the packs that they come from.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`.
    """
    index = DatabaseIndex(service.database, named.id, service.clock, located)
    wanted = segments(service, content_id, start, stop)
    return reader.read(named.store, index, wanted, start, stop, ahead=service.read_ahead)


def read_written(service: Service, named: NamedStore, written: Written) -> Iterator[bytes]:
    """Yield the bytes of a stream that was just stored and that nothing names yet.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`.
    """
    index = DatabaseIndex(service.database, named.id, service.clock)
    stop = written.content.size_bytes
    return reader.read(named.store, index, iter(written.segments), 0, stop, ahead=service.read_ahead)


def open_image_data(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    *,
    preferred: Sequence[StoreID] = (),
) -> ImageData:
    """Open an image's data for reading, out of the first of the `preferred` stores that has it, or else any.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids, ImageDeactivated: the caller may see the image but not have its data.
        StoreUnknown: a preferred store is not configured.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, DOWNLOAD_IMAGE, authority.image_target(caller, image))
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise problems.ImageDeactivated("The requested image has been deactivated. Image data download is forbidden.")
    if preferred:
        service.authority.require(caller, DOWNLOAD_FROM_STORE, authority.image_target(caller, image))
        for store_id in preferred:
            if not service.knows_store(store_id):
                raise problems.StoreUnknown(f"Store '{store_id}' is not configured.")
    return ImageData(service, image, tuple(preferred))


def announce_sent(data: ImageData, receiver: Caller, bytes_sent: int, *, expected_bytes: int, destination_ip: str | None) -> None:
    """Say that a download has ended, and how: well only if all was sent that was asked for."""
    sent = Sent(image=data.image, receiver=receiver, bytes_sent=bytes_sent, destination_ip=destination_ip)
    data.service.announce(Event.IMAGE_SEND, sent, failed=bytes_sent != expected_bytes)


def segments(service: Service, content_id: ContentID, start: int, stop: int) -> Iterator[Segment]:
    """Walk the manifest segments that cover bytes [start, stop), a few at a time, each few in a transaction of their own."""
    while start < stop:
        with service.database.read() as tx:
            found = contents.find_segments(tx, content_id, start, stop, limit_rows=_SEGMENTS_AT_ONCE + 1)
        if not found:
            raise problems.ContentCorrupt("The image's manifest is not there any more; ask for the image again")
        yield from found[:_SEGMENTS_AT_ONCE]
        if len(found) <= _SEGMENTS_AT_ONCE:
            return
        start = found[_SEGMENTS_AT_ONCE].start


@dataclass(frozen=True, slots=True)
class _Begun:
    """An upload under way: its image, its token, and the room that is kept for it."""

    image: Image
    token: str
    room: Reservation


def _begin(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    announced_bytes: int | None,
    *,
    to: ImageStatus = ImageStatus.SAVING,
) -> _Begun:
    recovery.recover(service, image_id)
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    token = service.new_id()

    def begin(allowance: Allowance) -> _Begun:
        now = service.clock()
        with service.database.write() as tx:
            image = visible.find_for_change(service, tx, caller, image_id)
            rule = UPLOAD_IMAGE if to is ImageStatus.SAVING else MODIFY_IMAGE
            service.authority.require(caller, rule, authority.image_target(caller, image))
            begun = image.begin_saving(now=now) if to is ImageStatus.SAVING else image.become(to, now=now)
            begun = replace(begun, references=())  # left from a location that was of no use
            claims.require_free(tx, image)
            require_owner(image, found)
            require_size(service, announced_bytes)
            quota.check_uploads(service, tx, image.owner)
            place = Place.STORED if to is ImageStatus.SAVING else Place.STAGED
            room = quota.reserve(tx, image, allowance, token=token, place=place, size_bytes=announced_bytes, now=service.clock())
            images.change_status(tx, begun, was=ImageStatus.QUEUED)
            uploads.begin(tx, uploads.UploadRow(image.id, token, service.worker, now))
        return _Begun(begun, token, room)

    service.running_uploads.add(token)
    try:
        begun = quota.under(service, found.owner, begin)
    except BaseException:
        service.running_uploads.discard(token)
        raise
    service.announce(Event.IMAGE_UPDATE, begun.image)
    return begun


def options_of(service: Service, announced_bytes: int | None) -> WriteOptions:
    """Say how large an image may be. What its project may have is the matter of `quota.Meter`."""
    cap = service.limits.image_size_cap_bytes
    return WriteOptions(
        limit_bytes=cap,
        announced_bytes=announced_bytes,
        limit_problem=_too_large(cap),
        rehearse_known=service.rehearse_known,
    )


def require_size(service: Service, size_bytes: int | None) -> None:
    """Refuse an image above the size cap.

    Raises:
        ImageTooLarge: so many bytes are announced.
    """
    cap = service.limits.image_size_cap_bytes
    if size_bytes is not None and size_bytes > cap:
        raise _too_large(cap)


def require_owner(image: Image, found: Image) -> None:
    """Refuse an image that was given to another project since its owner's limits were asked for.

    Raises:
        StatusConflict: it was.
    """
    if image.owner != found.owner:
        raise problems.StatusConflict(f"Image {image.id} was given to another project at this moment; try again")


def _too_large(cap: int) -> problems.ImageTooLarge:
    return problems.ImageTooLarge(f"The incoming image is too large: at most {cap} bytes are taken")


@contextmanager
def _queued_again_on_failure(service: Service, begun: _Begun) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recovery.requeue(service, begun.image, begun.token)
        raise
    finally:
        service.running_uploads.discard(begun.token)


def _finish(service: Service, begun: _Begun, named: NamedStore, written: Written) -> Image:
    now = service.clock()
    content_id = ContentID(service.new_id())
    active = with_content(service, begun.image.become(ImageStatus.ACTIVE, now=now), content_id, written.content, named)
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        # The image before its upload, as everybody who changes both: a delete at the same moment waits, or is waited for.
        if not images.change_status(tx, active, was=ImageStatus.SAVING) or not uploads.end(tx, active.id, begun.token):
            raise _gone(begun.image)
        if importing.has_failures(active):
            active = _forget_failures(tx, active)
        require_chunks(tx, named, written.segments)
    return active


def _forget_failures(tx: Transaction, active: Image) -> Image:
    """Let an image tell no longer of an import that failed before. Its other properties may have changed meanwhile."""
    found = images.find_for_work(tx, active.id)
    if found is None:
        raise _gone(active)
    forgotten = importing.clear_failures(found)
    images.save(tx, forgotten, was=found)
    return forgotten


def _keep_staged(service: Service, begun: _Begun, named: NamedStore, written: Written) -> Image:
    now = service.clock()
    staged = replace(begun.image, size=written.content.size_bytes, updated_at=now)
    content_id = ContentID(service.new_id())
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        if not images.change_status(tx, staged, was=ImageStatus.UPLOADING) or not uploads.end(tx, staged.id, begun.token):
            raise _gone(begun.image)
        stagings.put(tx, stagings.Staging(staged.id, content_id, named.id, written.content.size_bytes))
        require_chunks(tx, named, written.segments)
    return staged


def _gone(image: Image) -> problems.ImageGone:
    return problems.ImageGone(
        f"Image {image.id} could not be found after upload. The image may have been deleted during the upload.",
    )


def with_content(service: Service, image: Image, content_id: ContentID, content: Content, named: NamedStore) -> Image:
    """Give an image the size and digests of a content that lies in one store."""
    return replace(
        image,
        size=content.size_bytes,
        virtual_size=content.virtual_size_bytes,
        checksum=content.md5,
        os_hash_algo=service.hash_algorithm,
        os_hash_value=digest_of(content, service.hash_algorithm),
        content_id=content_id,
        stores=(named.id,),
        references=(),
    )


def require_chunks(tx: Transaction, named: NamedStore, manifest: Collection[Segment]) -> None:
    """Make sure that no sweep took a chunk which was found present and not stored anew.

    Raises:
        StoreUnavailable: one did.
    """
    wanted = {digest for segment in manifest for digest in digests(segment)}
    if contents.unmark(tx, named.id, wanted) != wanted:
        raise problems.StoreUnavailable("Parts of the image were swept while it was uploaded; upload it again")


def digest_of(content: Content, algorithm: str) -> str:
    """Return the digest of a content by one of md5, sha256 and sha512, in hexadecimal."""
    return {"md5": content.md5, "sha256": content.sha256, "sha512": content.sha512}[algorithm]
