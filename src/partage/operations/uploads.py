"""Image data that a client sends: upload and stage.

`ingest.py` has the three steps. A process that dies in between leaves a row in `uploads`, by which `operations/recovery.py`
finds the image. Staged content is neither inspected nor visible until an import attaches it to the image:
`operations/imports/request.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from partage import problems
from partage.content.inspection import Unwatched
from partage.model import importing
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.ids import ContentID, ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.partial_upload import PartialUpload
from partage.model.quota import Allowance, Place
from partage.operations import claims, events, ingest, own_chunks, quota, recovery, signing, visible
from partage.operations.quota import Reservation
from partage.operations.service import NamedStore, Service
from partage.policies import authority
from partage.policies.images import MODIFY_IMAGE, UPLOAD_IMAGE
from partage.records import contents, images, partial_uploads, stagings, uploads
from partage.records.database import Transaction
from partage.stores.engine.index import OwnChunks
from partage.stores.engine.writer import WriteOptions, Written


def begin_upload(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    *,
    announced_bytes: int | None,
    store_id: StoreID | None,
    token: str = "",
    partial: PartialUpload | None = None,
) -> ingest.Arrival:
    """Authorise an upload and open a writer for it. When all bytes have arrived, the image becomes active.

    The caller's `token` fetches the certificate of a signed image. All checks are made before the first byte is needed. With a
    `partial` upload, which has its own reservation, the bytes are those of its parts.

    Raises:
        StoreUnknown, StoreReadOnly, ImageNotFound, PolicyForbids, StatusConflict, FormatMissing: nothing has changed.
        UploadsFull: the project has its maximum of uploads in progress.
        ImageTooLarge, QuotaExceeded: the announced bytes exceed a limit.
        KeyManagerUnavailable: the certificate cannot be fetched; the image is queued again.
        SignatureRefused: the signature cannot be valid for any bytes; the image is queued again.
    """
    named = service.stores.find_writable(store_id)
    begun = _begin(service, caller, image_id, announced_bytes, partial=partial)
    with ExitStack() as contexts:
        contexts.enter_context(_requeue_on_failure(service, begun))
        properties = begun.image.properties
        certificate = signing.certificate_for(service.integrations.signatures, caller, properties, token)
        verifier = signing.verifier_for(service.integrations.signatures, properties, certificate)
        contexts.enter_context(ingest.announce_arrival(service, begun.image, named))
        options = _build_options(service, begun, named, announced_bytes)
        writer = ingest.open_writer(service, named, ingest.build_inspector(service, begun.image), options)
        contexts.enter_context(closing(writer))

        def name_content(written: Written) -> Callable[[], None]:
            active = _finish_upload(service, begun, named, written)
            return lambda: ingest.announce_arrived(service, active, was=begun.image)

        meter = quota.Meter(service, begun.room)
        return ingest.Arrival(contexts.pop_all(), writer, meter=meter, verifier=verifier, name_content=name_content)


def begin_staging(service: Service, caller: Caller, image_id: ImageID, *, announced_bytes: int | None) -> ingest.Arrival:
    """Authorise the staging of image data and open a writer for it. Staged data waits for an import.

    All checks are made before the first byte is needed.

    Raises:
        ImageNotFound, PolicyForbids, StatusConflict: nothing has changed.
        UploadsFull: the project has its maximum of uploads in progress.
        ImageTooLarge, QuotaExceeded: the announced bytes exceed a limit.
    """
    named = service.stores.find_writable(None)
    begun = _begin(service, caller, image_id, announced_bytes, to=ImageStatus.UPLOADING)
    with ExitStack() as contexts:
        contexts.enter_context(_requeue_on_failure(service, begun))
        writer = ingest.open_writer(service, named, Unwatched(), _build_options(service, begun, named, announced_bytes))
        contexts.enter_context(closing(writer))

        def name_content(written: Written) -> Callable[[], None]:
            staged = _finish_staging(service, begun, named, written)
            return lambda: service.announce(Event.IMAGE_UPDATE, staged)

        meter = quota.Meter(service, begun.room)
        return ingest.Arrival(contexts.pop_all(), writer, meter=meter, verifier=None, name_content=name_content)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A requested upload: its caller, the image as first found, the status it gets, and the upload's token."""

    caller: Caller
    image: Image
    announced_bytes: int | None
    to: ImageStatus
    token: str
    partial: PartialUpload | None


@dataclass(frozen=True, slots=True)
class _Begun:
    """An upload in progress: its caller, image, token and quota reservation. `is_partial`: its bytes are those of parts."""

    caller: Caller
    image: Image
    token: str
    room: Reservation
    is_partial: bool


def _begin(
    service: Service,
    caller: Caller,
    image_id: ImageID,
    announced_bytes: int | None,
    *,
    to: ImageStatus = ImageStatus.SAVING,
    partial: PartialUpload | None = None,
) -> _Begun:
    recovery.recover(service, image_id)
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    asked = _Asked(caller, found, announced_bytes, to, service.new_id(), partial)
    service.process.running_uploads.add(asked.token)
    try:
        begun = quota.try_within(service, found.owner, lambda allowance: _reserve(service, asked, allowance))
    except BaseException:
        service.process.running_uploads.discard(asked.token)
        raise
    service.announce(Event.IMAGE_UPDATE, begun.image)
    return begun


def _reserve(service: Service, asked: _Asked, allowance: Allowance) -> _Begun:
    """Authorise the upload, reserve its quota and change the image's status, in one transaction."""
    caller, to, now = asked.caller, asked.to, service.clock()
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, asked.image.id)
        rule = UPLOAD_IMAGE if to is ImageStatus.SAVING else MODIFY_IMAGE
        service.authority.require(caller, rule, authority.image_target(caller, image))
        begun = image.begin_saving(now=now) if to is ImageStatus.SAVING else image.become(to, now=now)
        begun = replace(begun, references=())  # of an earlier location that failed
        claims.require_free(tx, image)
        ingest.require_owner(image, asked.image)
        ingest.require_size(service, asked.announced_bytes)
        quota.check_uploads(service, tx, image.owner)
        if asked.partial is None:
            place = Place.STORED if to is ImageStatus.SAVING else Place.STAGED
            room = quota.reserve(
                tx, image, allowance, token=asked.token, place=place, size_bytes=asked.announced_bytes, now=service.clock()
            )
        else:
            room = _take_over(tx, asked, asked.partial, allowance)
        images.change_status(tx, begun, was=ImageStatus.QUEUED)
        uploads.begin(tx, uploads.UploadRow(image.id, asked.token, service.process.worker, now))
    return _Begun(caller, begun, asked.token, room, is_partial=asked.partial is not None)


def _build_options(service: Service, begun: _Begun, named: NamedStore, announced_bytes: int | None) -> WriteOptions:
    options = ingest.build_write_options(service, announced_bytes)
    if not options.hide_deduplication_timing:
        return options
    finders: list[OwnChunks] = []
    images_of_project = own_chunks.open_own_chunks(service, begun.caller, begun.image, named)
    if images_of_project is not None:
        finders.append(images_of_project)
    if begun.is_partial:
        with service.database.read() as tx:
            finders.append(own_chunks.PartChunks(service.database, partial_uploads.list_parts(tx, begun.image.id)))
    return replace(options, own_chunks=own_chunks.AnyOf(finders) if finders else None)


def _take_over(tx: Transaction, asked: _Asked, partial: PartialUpload, allowance: Allowance) -> Reservation:
    """Let this upload complete a resumable one, and use its reservation.

    Raises:
        StatusConflict: it has changed at this moment.
    """
    found = partial_uploads.find(tx, partial.image_id)
    if found is None or (found.id, found.offset_bytes, found.completed_at) != (partial.id, partial.offset_bytes, None):
        raise problems.StatusConflict("The resumable upload was changed by another request at this moment; ask for its offset")
    partial_uploads.claim(tx, partial.image_id, asked.token, length_bytes=partial.offset_bytes, is_completing=True)
    return Reservation(partial.image_id, partial.id, Place.STORED, allowance, partial.offset_bytes, exact=True)


@contextmanager
def _requeue_on_failure(service: Service, begun: _Begun) -> Iterator[None]:
    try:
        yield
    except BaseException:
        recovery.requeue(service, begun.image, begun.token)
        raise
    finally:
        service.process.running_uploads.discard(begun.token)


def _finish_upload(service: Service, begun: _Begun, named: NamedStore, written: Written) -> Image:
    now = service.clock()
    content_id = ContentID(service.new_id())
    active = ingest.attach_content(service, begun.image.become(ImageStatus.ACTIVE, now=now), content_id, written.content, named)
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        # The image before its upload, as everybody who changes both: a delete at the same moment waits, or is waited for.
        if not images.change_status(tx, active, was=ImageStatus.SAVING) or not uploads.end(tx, active.id, begun.token):
            raise _make_gone_problem(begun.image)
        if importing.has_failures(active):
            active = _forget_failures(tx, active)
        _end_partial_upload(tx, active, begun, now=now)
        events.record(tx, events.describe_image(service, begun.caller, EventType.IMAGE_ACTIVATED, active, size=active.size))
        ingest.require_chunks(tx, named, written.segments)
    return active


def _end_partial_upload(tx: Transaction, active: Image, begun: _Begun, *, now: datetime) -> None:
    """Complete the resumable upload of the image, or remove one that other data has made useless."""
    found = partial_uploads.find(tx, active.id)
    if found is not None and found.claim == begun.token:
        partial_uploads.complete(tx, found, now=now)
    elif found is not None:
        partial_uploads.remove(tx, found)


def _forget_failures(tx: Transaction, active: Image) -> Image:
    """Remove the record of earlier failed imports from an image. Its other properties may have changed meanwhile."""
    found = images.find_for_work(tx, active.id)
    if found is None:
        raise _make_gone_problem(active)
    forgotten = importing.clear_failures(found)
    images.save(tx, forgotten, was=found)
    return forgotten


def _finish_staging(service: Service, begun: _Begun, named: NamedStore, written: Written) -> Image:
    now = service.clock()
    staged = replace(begun.image, size=written.content.size_bytes, updated_at=now)
    content_id = ContentID(service.new_id())
    with service.database.write() as tx:
        contents.add(tx, content_id, written.content, written.segments, now=now)
        if not images.change_status(tx, staged, was=ImageStatus.UPLOADING) or not uploads.end(tx, staged.id, begun.token):
            raise _make_gone_problem(begun.image)
        stagings.put(tx, stagings.Staging(staged.id, content_id, named.id, written.content.size_bytes))
        events.record(tx, events.describe_image(service, begun.caller, EventType.IMAGE_STAGED, staged, size=staged.size))
        ingest.require_chunks(tx, named, written.segments)
    return staged


def _make_gone_problem(image: Image) -> problems.ImageGone:
    return problems.ImageGone(
        f"Image {image.id} could not be found after upload. The image may have been deleted during the upload.",
    )
