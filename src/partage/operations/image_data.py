"""Image data: upload and download.

An upload is three acts. One transaction makes the image `saving`; no transaction is open while bytes stream into the store; a last
one names the content and makes the image `active`. What fails between puts the image back to `queued`; chunks stored by then are
named by nothing, and the sweep takes them. A process that dies leaves a row in `uploads` by which `operations/recovery.py` knows.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from partage import problems
from partage.content.inspection import Inspector
from partage.content.manifest import Content, Segment, digests
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID, PackID, StoreID
from partage.model.image import Image, ImageStatus
from partage.operations import recovery, visible
from partage.operations.chunk_index import DatabaseIndex
from partage.operations.service import NamedStore, Service
from partage.policies import authority
from partage.policies.images import DOWNLOAD_IMAGE, UPLOAD_IMAGE
from partage.records import contents, images, projects, uploads
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
    named = service.store_named(store_id)
    if named.read_only:
        raise problems.StoreReadOnly(f"The store {named.id} takes no new image data; name another one in X-Image-Meta-Store")
    saving, token, room = _begin(service, caller, image_id, announced_bytes)
    with _queued_again_on_failure(service, saving, token):
        index = DatabaseIndex(service.database, named.id, service.clock)
        inspector = Inspector(
            saving.disk_format or "",
            saving.container_format or "",
            match_required=service.formats.match_required,
            vmdk_types=service.formats.vmdk_types,
        )
        options = WriteOptions(limit_bytes=room.bytes, announced_bytes=announced_bytes, limit_problem=room.problem)
        written = writer.write(
            named.store,
            index,
            blocks,
            inspector=inspector,
            options=options,
            new_pack_id=lambda: PackID(service.new_id().replace("-", "")),
        )
        _finish(service, saving, token, named, written)


@dataclass(frozen=True, slots=True)
class ImageData:
    """The bytes of one image, opened for one caller: what may be read was decided when it was opened."""

    service: Service
    image: Image

    @property
    def has_data(self) -> bool:
        """Say whether there are any bytes to give, were it zero of them."""
        return self.image.content_id is not None

    @property
    def size_bytes(self) -> int:
        """How many bytes the whole image has."""
        return self.image.size or 0

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of [start, stop), every chunk verified before it is given out. Close the iterator to stop early.

        Raises:
            ContentCorrupt: stored bytes no longer have their digest.
            StoreUnavailable: the store does not give them at the moment.
        """
        if self.image.content_id is None or start >= stop:
            return iter(())
        named = self.service.store_named(self.image.stores[0])
        index = DatabaseIndex(self.service.database, named.id, self.service.clock)
        return reader.read(named.store, index, segments(self.service, self.image.content_id, start, stop), start, stop)


def open_image_data(service: Service, caller: Caller, image_id: ImageID) -> ImageData:
    """Open an image's data for reading.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids, ImageDeactivated: the caller may see the image but not have its data.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, DOWNLOAD_IMAGE, authority.of_image(caller, image))
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise problems.ImageDeactivated("The requested image has been deactivated. Image data download is forbidden.")
    return ImageData(service, image)


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
class _Room:
    """How large the image may become, and what to say when it would be larger."""

    bytes: int
    problem: problems.Problem


def _begin(service: Service, caller: Caller, image_id: ImageID, announced_bytes: int | None) -> tuple[Image, str, _Room]:
    recovery.recover(service, image_id)
    now = service.clock()
    token = service.new_id()
    service.running_uploads.add(token)
    try:
        with service.database.write() as tx:
            image = visible.find_for_change(service, tx, caller, image_id)
            service.authority.require(caller, UPLOAD_IMAGE, authority.of_image(caller, image))
            saving = image.begin_saving(now=now)
            room = _room(service, tx, image, announced_bytes)
            images.change_status(tx, saving, was=ImageStatus.QUEUED)
            uploads.begin(tx, uploads.UploadRow(image.id, token, service.worker, now))
    except BaseException:
        service.running_uploads.discard(token)
        raise
    return saving, token, room


def _room(service: Service, tx: Transaction, image: Image, announced_bytes: int | None) -> _Room:
    cap = service.limits.image_size_cap_bytes
    used = images.stored_bytes_of(tx, image.owner) if image.owner and service.limits.storage_per_project_bytes else 0
    room = service.limits.room_bytes(used)
    problem: problems.Problem = problems.ImageTooLarge(f"The incoming image is too large: at most {cap} bytes are taken")
    if room < cap:
        problem = problems.QuotaExceeded(f"Image exceeds the storage quota: the project has room for {room} more bytes")
    if announced_bytes is not None and announced_bytes > room:
        raise problem
    return _Room(room, problem)


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
    content = written.content
    active = replace(
        saving.become(ImageStatus.ACTIVE, now=now),
        size=content.size_bytes,
        virtual_size=content.virtual_size_bytes,
        checksum=content.md5,
        os_hash_algo=service.hash_algorithm,
        os_hash_value=_digest(content, service.hash_algorithm),
        content_id=ContentID(service.new_id()),
        stores=(named.id,),
    )
    with service.database.write() as tx:
        contents.add(tx, ContentID(active.content_id or ""), content, written.segments, now=now)
        # The image before its upload, as everybody who changes both: a delete at the same moment waits, or is waited for.
        if not images.change_status(tx, active, was=ImageStatus.SAVING) or not uploads.end(tx, active.id, token):
            raise problems.ImageGone(
                f"Image {saving.id} could not be found after upload. The image may have been deleted during the upload.",
            )
        _require_chunks(tx, named, written)
        _check_storage(service, tx, active)


def _check_storage(service: Service, tx: Transaction, active: Image) -> None:
    """Check the quota again where it was added to, under the project's lock: parallel uploads never overshoot together."""
    if active.owner is None or not service.limits.storage_per_project_bytes:
        return
    projects.lock(tx, active.owner)
    service.limits.check_storage(images.stored_bytes_of(tx, active.owner))


def _require_chunks(tx: Transaction, named: NamedStore, written: Written) -> None:
    """Make sure that no sweep took a chunk which this upload found present and did not store itself."""
    wanted = {digest for segment in written.segments for digest in digests(segment)}
    if contents.spare(tx, named.id, wanted) != wanted:
        raise problems.StoreUnavailable("Parts of the image were swept while it was uploaded; upload it again")


def _digest(content: Content, algorithm: str) -> str:
    return {"md5": content.md5, "sha256": content.sha256, "sha512": content.sha512}[algorithm]
