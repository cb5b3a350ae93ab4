"""Resumable uploads: begin, continue, show, cancel, expire. `upload_parts.py` stores what arrives, `completions.py` ends one.

What arrives is stored as staged data is: contents in the store, which rows refer to (`records/partial_uploads.py`). The image is
`saving` while a request writes, with a row in `uploads` as any upload, so that a dead worker is found, a second writer is refused,
and limits of running uploads apply. Between requests the image is `queued`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ids import ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.partial_upload import Addition, PartialUpload
from partage.model.quota import Allowance, Place
from partage.operations import claims, ingest, quota, recovery, visible
from partage.operations.service import Service
from partage.operations.upload_parts import Begun, PartArrival
from partage.policies import authority
from partage.policies.images import UPLOAD_IMAGE
from partage.records import images, partial_uploads, projects, uploads
from partage.records.database import Transaction

_EXPIRED_AT_ONCE = 100
_NO_UPLOAD = "Image {} has no resumable upload; begin one, or look at the image's status"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a request tells its client while it runs: `began` once, then `stored` with each new offset. Any thread calls."""

    began: Callable[[PartialUpload], None]
    stored: Callable[[int], None]


def begin_upload(
    service: Service, caller: Caller, image_id: ImageID, addition: Addition, *, store_id: StoreID | None, progress: Progress
) -> PartArrival:
    """Begin a resumable upload, and open it for the first bytes, of which there may be none.

    Raises:
        StoreUnknown, StoreReadOnly, ImageNotFound, PolicyForbids, StatusConflict, FormatMissing: as an upload.
        UploadExists, UploadUnderWay: the image has an upload, which can be resumed or cancelled.
        TooMany: the project has its maximum of unfinished uploads.
        UploadsFull, ImageTooLarge, QuotaExceeded: as an upload.
        LengthInconsistent: the request says two lengths.
    """
    named = service.stores.find_writable(store_id)

    def open_upload(tx: Transaction, image: Image, allowance: Allowance) -> tuple[PartialUpload, quota.Reservation]:
        _remove_ended(service, tx, image)
        _check_number(service, tx, image)
        upload = PartialUpload(image_id=image.id, id=service.new_id(), store_id=named.id, touched_at=service.clock())
        length = upload.settle_length(addition)
        ingest.require_size(service, length)
        room = quota.reserve(tx, image, allowance, token=upload.id, place=Place.STORED, size_bytes=length, now=service.clock())
        partial_uploads.begin(tx, upload)
        return upload, room

    return _begin(service, caller, image_id, addition, open_upload=open_upload, progress=progress)


def continue_upload(service: Service, caller: Caller, image_id: ImageID, addition: Addition, *, progress: Progress) -> PartArrival:
    """Open a resumable upload for the bytes that follow.

    Raises:
        ImageNotFound, PolicyForbids, StatusConflict, FormatMissing: as an upload.
        UploadNotFound: there is no upload, or it has expired.
        UploadUnderWay: another request writes to it.
        OffsetMismatch, LengthInconsistent: the bytes do not continue it.
        TooMany: it has its maximum of parts.
        StoreUnknown, StoreReadOnly: its store takes no image data any more.
        UploadsFull, ImageTooLarge, QuotaExceeded: as an upload.
    """

    def open_upload(tx: Transaction, image: Image, allowance: Allowance) -> tuple[PartialUpload, quota.Reservation]:
        upload = _find(service, tx, image.id)
        if upload.is_complete:
            raise problems.StatusConflict(f"The upload of image {image.id} is complete")
        length = upload.settle_length(addition)
        ingest.require_size(service, length)
        if upload.parts >= service.features.partial_uploads.parts and addition.content_bytes != 0:
            raise problems.TooMany(
                f"The upload has {upload.parts} parts, which is as many as are kept; cancel it and send more in each request"
            )
        return upload, quota.adopt(
            tx, image, allowance, token=upload.id, size_bytes=length, received_bytes=upload.offset_bytes, now=service.clock()
        )

    return _begin(service, caller, image_id, addition, open_upload=open_upload, progress=progress)


def show_upload(service: Service, caller: Caller, image_id: ImageID) -> PartialUpload:
    """Return how far a resumable upload is. A request that writes to it ends: its client has gone, or would not ask.

    So the next request can begin at the offset that is returned. Source: the draft, "Concurrency".

    Raises:
        ImageNotFound, PolicyForbids: the caller may not upload to the image.
        UploadNotFound: there is no upload, or it has expired.
        UploadCompleting: the image is being made active.
    """
    recovery.recover(service, image_id)
    with service.database.read() as tx:
        upload = find_upload(service, tx, caller, image_id)
        if not partial_uploads.is_written(tx, upload):
            return upload
    with service.database.write() as tx:
        images.lock(tx, image_id)
        upload = _find(service, tx, image_id)
        was_written = _end_writer(service, tx, upload)
    if was_written:
        _announce_queued(service, image_id)
    return upload


def find_upload(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> PartialUpload:
    """Return a resumable upload, to which another request may write.

    Raises:
        ImageNotFound, PolicyForbids, UploadNotFound: as `show_upload`.
    """
    image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, UPLOAD_IMAGE, authority.image_target(caller, image))
    return _find(service, tx, image_id)


def require_no_writer(tx: Transaction, upload: PartialUpload) -> None:
    """Refuse a second request that writes to an upload.

    Raises:
        UploadUnderWay, UploadCompleting: another one does.
    """
    if not partial_uploads.is_written(tx, upload):
        return
    _refuse_completing(upload)
    raise problems.UploadUnderWay(
        f"Another request writes to the upload of image {upload.image_id}; wait until it has ended, "
        "or ask for the offset, which ends it"
    )


def cancel_upload(service: Service, caller: Caller, image_id: ImageID) -> None:
    """Remove a resumable upload, and end a request that writes to it.

    Raises:
        ImageNotFound, PolicyForbids, UploadNotFound, UploadCompleting: as `show_upload`.
    """
    recovery.recover(service, image_id)
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        service.authority.require(caller, UPLOAD_IMAGE, authority.image_target(caller, image))
        upload = _find(service, tx, image_id)
        was_written = _end_writer(service, tx, upload)
        partial_uploads.remove(tx, upload)
    if was_written:
        _announce_queued(service, image_id)


def remove_expired(service: Service) -> int:
    """Remove uploads that have expired, and those of images that got other data; return how many."""
    removed = 0
    while True:
        before = service.clock() - service.features.partial_uploads.idle
        with service.database.read() as tx:
            ended = partial_uploads.list_ended(tx, touched_before=before, limit_rows=_EXPIRED_AT_ONCE)
        for image_id in ended:
            with service.database.write() as tx:
                images.lock(tx, image_id)
                upload = partial_uploads.find(tx, image_id)
                # Since it was listed, a client may have begun anew, or cancelled it.
                if upload is not None and partial_uploads.has_ended(tx, image_id, touched_before=before):
                    partial_uploads.remove(tx, upload)
                    removed += not upload.is_complete
        if len(ended) < _EXPIRED_AT_ONCE:
            return removed


_OpenUpload = Callable[[Transaction, Image, Allowance], tuple[PartialUpload, quota.Reservation]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request: the image as first found, its `claim` on the upload, and what opens the upload for it."""

    caller: Caller
    image: Image
    claim: str
    addition: Addition
    open_upload: _OpenUpload


def _begin(
    service: Service, caller: Caller, image_id: ImageID, addition: Addition, *, open_upload: _OpenUpload, progress: Progress
) -> PartArrival:
    recovery.recover(service, image_id)
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    asked = _Asked(caller, found, service.new_id(), addition, open_upload)
    service.process.running_uploads.add(asked.claim)  # before anybody can find that nobody is at it
    try:
        begun = quota.try_within(service, found.owner, lambda allowance: _claim(service, asked, allowance))
    except BaseException:
        service.process.running_uploads.discard(asked.claim)
        raise
    service.announce(Event.IMAGE_UPDATE, begun.image)
    progress.began(begun.upload)
    return PartArrival(service, begun, stored=progress.stored)


def _claim(service: Service, asked: _Asked, allowance: Allowance) -> Begun:
    """Authorise the request, let it write to the upload, and change the image's status, in one transaction."""
    now, caller = service.clock(), asked.caller
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, asked.image.id)
        service.authority.require(caller, UPLOAD_IMAGE, authority.image_target(caller, image))
        _refuse_second_writer(tx, image)
        saving = image.begin_saving(now=now)
        claims.require_free(tx, image)
        ingest.require_owner(image, asked.image)
        quota.check_uploads(service, tx, image.owner)
        upload, room = asked.open_upload(tx, image, allowance)
        named = service.stores.find_writable(upload.store_id)
        length = upload.settle_length(asked.addition)
        images.change_status(tx, saving, was=ImageStatus.QUEUED)
        uploads.begin(tx, uploads.UploadRow(image.id, asked.claim, service.process.worker, now))
        partial_uploads.claim(tx, image.id, asked.claim, length_bytes=length, is_completing=False)
    return Begun(caller=caller, image=saving, upload=upload, claim=asked.claim, length_bytes=length, room=room, named=named)


def _find(service: Service, tx: Transaction, image_id: ImageID) -> PartialUpload:
    """Return the upload of an image.

    Raises:
        UploadNotFound: there is none, or it has expired.
    """
    upload = partial_uploads.find(tx, image_id)
    if upload is None or _is_expired(service, tx, upload):
        raise problems.UploadNotFound(_NO_UPLOAD.format(image_id))
    return upload


def _is_expired(service: Service, tx: Transaction, upload: PartialUpload) -> bool:
    is_late = upload.expires_at(service.features.partial_uploads) <= service.clock()
    return is_late and not partial_uploads.is_written(tx, upload)


def _refuse_second_writer(tx: Transaction, image: Image) -> None:
    """Refuse a second request that writes to the upload of an image.

    Raises:
        UploadUnderWay, UploadCompleting: another one does.
    """
    upload = partial_uploads.find(tx, image.id) if image.status is ImageStatus.SAVING else None
    if upload is not None:
        require_no_writer(tx, upload)


def _refuse_completing(upload: PartialUpload) -> None:
    if upload.is_completing:
        raise problems.UploadCompleting(f"Image {upload.image_id} has all bytes and is being made active; ask again in a moment")


def _remove_ended(service: Service, tx: Transaction, image: Image) -> None:
    """Make room for a new upload.

    Raises:
        UploadExists: the one before can still be resumed.
    """
    upload = partial_uploads.find(tx, image.id)
    if upload is None:
        return
    if not upload.is_complete and not _is_expired(service, tx, upload):
        raise problems.UploadExists(
            f"Image {image.id} has a resumable upload, which is at byte {upload.offset_bytes}; continue it, or cancel it first"
        )
    partial_uploads.remove(tx, upload)


def _check_number(service: Service, tx: Transaction, image: Image) -> None:
    most = service.features.partial_uploads.per_project
    if not most:
        return
    if image.owner is not None:
        projects.lock(tx, image.owner)
    if partial_uploads.count_of_project(tx, image.owner) >= most:
        raise problems.TooMany(
            f"{most} resumable uploads to images of this project are unfinished, which is as many as are kept; "
            "finish or cancel one of them"
        )


def _end_writer(service: Service, tx: Transaction, upload: PartialUpload) -> bool:
    """End the request that writes to an upload: its next transaction finds its claim gone. Return whether there was one.

    Raises:
        UploadCompleting: it makes the image active.
    """
    if not partial_uploads.is_written(tx, upload):
        return False
    _refuse_completing(upload)
    uploads.end(tx, upload.image_id, upload.claim)
    images.queue_again(tx, upload.image_id, now=service.clock())
    return True


def _announce_queued(service: Service, image_id: ImageID) -> None:
    with service.database.read() as tx:
        queued = images.find_or_none(tx, image_id)
    if queued is not None:
        service.announce(Event.IMAGE_UPDATE, queued)
