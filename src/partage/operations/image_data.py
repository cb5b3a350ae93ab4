"""Image data: upload, stage and download.

An upload is three acts. One transaction makes the image `saving`; no transaction is open while bytes stream into the store; a last
one names the content and makes the image `active`. What fails between puts the image back to `queued`; chunks stored by then are
named by nothing, and the sweep takes them. A process that dies leaves a row in `uploads` by which `operations/recovery.py` knows.

Staging is the same, but the content waits, uninspected and unseen, for the import that makes it the image's:
`operations/imports.py`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from partage import problems
from partage.content.digest import Buffer
from partage.content.inspection import Inspector, Unwatched, Watcher
from partage.content.manifest import Content, Segment, digests
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, PackID, StoreID
from partage.model.image import Image, ImageStatus
from partage.operations import recovery, visible
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.service import NamedStore, Service
from partage.policies import authority
from partage.policies.images import DOWNLOAD_FROM_STORE, DOWNLOAD_IMAGE, MODIFY_IMAGE, UPLOAD_IMAGE
from partage.records import contents, images, projects, stagings, uploads
from partage.records.database import Transaction
from partage.stores import reader, writer
from partage.stores.writer import WriteOptions, Written

_SEGMENTS_AT_ONCE = 8


def upload(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    blocks: Iterable[bytes],
    *,
    announced_bytes: int | None,
    store_id: StoreID | None,
) -> None:
    """Store image data and make the image active. `blocks` is read only once the caller is known to be allowed.

    Raises:
        StoreUnknown, StoreReadOnly, ImageNotFound, PolicyForbids, StatusConflict, FormatMissing: before a byte is read.
        ImageTooLarge, QuotaExceeded, SizeMismatch, FormatRefused, StoreFull, StoreUnavailable: the image is back in queued.
        ImageGone: it was deleted meanwhile.
        ClientGone, or whatever else `blocks` raises: the image is back in queued.
    """
    named = service.writable_store(store_id)
    saving, token, room = _begin(service, caller, image_id, announced_bytes)
    with _queued_again_on_failure(service, saving, token):
        options = WriteOptions(limit_bytes=room.bytes, announced_bytes=announced_bytes, limit_problem=room.problem)
        written = store_bytes(service, named, blocks, inspector_for(service, saving), options)
        _finish(service, saving, token, named, written)


def stage(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    blocks: Iterable[bytes],
    *,
    announced_bytes: int | None,
) -> None:
    """Keep image data until an import makes it the image's. `blocks` is read only once the caller is known to be allowed.

    Raises:
        ImageNotFound, PolicyForbids, StatusConflict: before a byte is read.
        ImageTooLarge, QuotaExceeded, SizeMismatch, StoreFull, StoreUnavailable: the image is back in queued.
        ImageGone: it was deleted meanwhile.
        ClientGone, or whatever else `blocks` raises: the image is back in queued.
    """
    named = service.writable_store(None)
    uploading, token, room = _begin(service, caller, image_id, announced_bytes, to=ImageStatus.UPLOADING)
    with _queued_again_on_failure(service, uploading, token):
        options = WriteOptions(limit_bytes=room.bytes, announced_bytes=announced_bytes, limit_problem=room.problem)
        written = store_bytes(service, named, blocks, Unwatched(), options)
        _keep_staged(service, uploading, token, named, written)


def store_bytes(service: Service, named: NamedStore, blocks: Iterable[Buffer], watcher: Watcher, options: WriteOptions) -> Written:
    """Write a stream into a store. Nothing names its chunks yet.

    Raises:
        SizeMismatch, FormatRefused, StoreFull, StoreUnavailable, or `options.limit_problem`: as `writer.write`.
    """
    return writer.write(
        named.store,
        DatabaseIndex(service.database, named.id, service.clock),
        blocks,
        inspector=watcher,
        options=options,
        new_pack_id=lambda: PackID(service.new_id().replace("-", "")),
    )


def inspector_for(service: Service, image: Image) -> Inspector:
    """Build what watches over an image's data while it arrives."""
    return Inspector(
        image.disk_format or "",
        image.container_format or "",
        match_required=service.formats.match_required,
        vmdk_types=service.formats.vmdk_types,
    )


@dataclass(frozen=True, slots=True)
class ImageData:
    """The bytes of one image, opened for one caller: what may be read was decided when it was opened."""

    service: Service
    image: Image
    preferred: tuple[StoreID, ...] = ()

    @property
    def has_data(self) -> bool:
        """Say whether there are any bytes to give, were it zero of them. An image that is still importing gives none."""
        return self.image.content_id is not None and self.image.status is not ImageStatus.IMPORTING

    @property
    def size_bytes(self) -> int:
        """How many bytes the whole image has."""
        return self.image.size or 0

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop), every chunk verified before it is given out. Close the iterator to stop early.

        A store that fails on the way is left, and the next one that has the image goes on at the same byte.

        Raises:
            ContentCorrupt: stored bytes no longer have their digest, in any store.
            StoreUnavailable: no store gives them at the moment.
        """
        if self.image.content_id is None or start >= stop:
            return
        stores = self._stores()
        while True:
            named = stores.pop(0)
            try:
                for block in read_content(self.service, named, self.image.content_id, start, stop):
                    yield block
                    start += len(block)
            except (problems.StoreUnavailable, problems.ContentCorrupt):
                if not stores:
                    raise
            else:
                return

    def _stores(self) -> list[NamedStore]:
        """List the stores that have the image: preferred ones first, then heavier ones. Source: Glance's order of locations."""
        known = [self.service.stores[each] for each in self.image.stores if each in self.service.stores]
        if not known:
            raise problems.StoreUnavailable("No store that has this image is configured at the moment; ask the operator")
        rank = {store_id: number for number, store_id in enumerate(self.preferred)}
        return sorted(known, key=lambda named: (rank.get(named.id, len(rank)), -named.weight))


def read_content(service: Service, named: NamedStore, content_id: ContentID, start: int, stop: int) -> Iterator[bytes]:
    """Yield bytes [start, stop) of a content out of one store.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`.
    """
    index = DatabaseIndex(service.database, named.id, service.clock)
    return reader.read(named.store, index, segments(service, content_id, start, stop), start, stop)


def read_written(service: Service, named: NamedStore, written: Written) -> Iterator[bytes]:
    """Yield the bytes of a stream that was just stored and that nothing names yet.

    Raises:
        ContentCorrupt, StoreUnavailable: as `reader.read`.
    """
    index = DatabaseIndex(service.database, named.id, service.clock)
    return reader.read(named.store, index, iter(written.segments), 0, written.content.size_bytes)


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
    service.authority.require(caller, DOWNLOAD_IMAGE, authority.of_image(caller, image))
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise problems.ImageDeactivated("The requested image has been deactivated. Image data download is forbidden.")
    if preferred:
        service.authority.require(caller, DOWNLOAD_FROM_STORE, authority.of_image(caller, image))
        for store_id in preferred:
            if store_id not in service.stores:
                raise problems.StoreUnknown(f"Store '{store_id}' is not configured.")
    return ImageData(service, image, tuple(preferred))


def segments(service: Service, content_id: ContentID, start: int, stop: int) -> Iterator[Segment]:
    """Walk the manifest segments that cover bytes [start, stop), a few at a time, each few in a transaction of their own."""
    while start < stop:
        with service.database.read() as tx:
            found = contents.segments_of(tx, content_id, start, stop, limit_rows=_SEGMENTS_AT_ONCE + 1)
        if not found:
            raise problems.ContentCorrupt("The image's manifest is not there any more; ask for the image again")
        yield from found[:_SEGMENTS_AT_ONCE]
        if len(found) <= _SEGMENTS_AT_ONCE:
            return
        start = found[_SEGMENTS_AT_ONCE].start


@dataclass(frozen=True, slots=True)
class Room:
    """How large the image may become, and what to say when it would be larger."""

    bytes: int
    problem: problems.Problem


def _begin(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    announced_bytes: int | None,
    *,
    to: ImageStatus = ImageStatus.SAVING,
) -> tuple[Image, str, Room]:
    recovery.recover(service, image_id)
    now = service.clock()
    token = service.new_id()
    service.running_uploads.add(token)
    try:
        with service.database.write() as tx:
            image = visible.find_for_change(service, tx, caller, image_id)
            rule = UPLOAD_IMAGE if to is ImageStatus.SAVING else MODIFY_IMAGE
            service.authority.require(caller, rule, authority.of_image(caller, image))
            saving = image.begin_saving(now=now) if to is ImageStatus.SAVING else image.become(to, now=now)
            space = room(service, tx, image, announced_bytes)
            images.change_status(tx, saving, was=ImageStatus.QUEUED)
            uploads.begin(tx, uploads.UploadRow(image.id, token, service.worker, now))
    except BaseException:
        service.running_uploads.discard(token)
        raise
    return saving, token, space


def room(service: Service, tx: Transaction, image: Image, announced_bytes: int | None) -> Room:
    """Say how large the image's data may become; what is staged for it already counts as nothing.

    Raises:
        ImageTooLarge, QuotaExceeded: more bytes are announced.
    """
    cap = service.limits.image_size_cap_bytes
    used = images.stored_bytes_of(tx, image.owner) if image.owner and service.limits.storage_per_project_bytes else 0
    free = service.limits.room_bytes(used - (image.size or 0))
    problem: problems.Problem = problems.ImageTooLarge(f"The incoming image is too large: at most {cap} bytes are taken")
    if free < cap:
        problem = problems.QuotaExceeded(f"Image exceeds the storage quota: the project has room for {free} more bytes")
    if announced_bytes is not None and announced_bytes > free:
        raise problem
    return Room(free, problem)


@contextmanager
def _queued_again_on_failure(service: Service, saving: Image, token: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recovery.restore(service, saving, token)
        raise
    finally:
        service.running_uploads.discard(token)


def _finish(service: Service, saving: Image, token: str, named: NamedStore, written: Written) -> None:
    now = service.clock()
    content_id = ContentID(service.new_id())
    active = with_content(service, saving.become(ImageStatus.ACTIVE, now=now), content_id, written.content, named)
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        # The image before its upload, as everybody who changes both: a delete at the same moment waits, or is waited for.
        if not images.change_status(tx, active, was=ImageStatus.SAVING) or not uploads.end(tx, active.id, token):
            raise _gone(saving)
        require_chunks(tx, named, written.segments)
        check_storage(service, tx, active)


def _keep_staged(service: Service, uploading: Image, token: str, named: NamedStore, written: Written) -> None:
    now = service.clock()
    staged = replace(uploading, size=written.content.size_bytes, updated_at=now)
    content_id = ContentID(service.new_id())
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        if not images.change_status(tx, staged, was=ImageStatus.UPLOADING) or not uploads.end(tx, staged.id, token):
            raise _gone(uploading)
        stagings.put(tx, stagings.Staging(staged.id, content_id, named.id, written.content.size_bytes))
        require_chunks(tx, named, written.segments)
        check_storage(service, tx, staged)


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
    )


def check_storage(service: Service, tx: Transaction, active: Image) -> None:
    """Check the quota again where it was added to, under the project's lock: parallel uploads never overshoot together."""
    if active.owner is None or not service.limits.storage_per_project_bytes:
        return
    projects.lock(tx, active.owner)
    service.limits.check_storage(images.stored_bytes_of(tx, active.owner))


def require_chunks(tx: Transaction, named: NamedStore, manifest: Collection[Segment]) -> None:
    """Make sure that no sweep took a chunk which was found present and not stored anew.

    Raises:
        StoreUnavailable: one did.
    """
    wanted = {digest for segment in manifest for digest in digests(segment)}
    if contents.spare(tx, named.id, wanted) != wanted:
        raise problems.StoreUnavailable("Parts of the image were swept while it was uploaded; upload it again")


def digest_of(content: Content, algorithm: str) -> str:
    """Return the digest of a content by one of md5, sha256 and sha512, in hexadecimal."""
    return {"md5": content.md5, "sha256": content.sha256, "sha512": content.sha512}[algorithm]
