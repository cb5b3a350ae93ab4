"""Stores what arrives of a resumable upload, in parts: each is a content of its own, recorded with the offset behind it.

A part is recorded when it has its size, after some time, when the request ends, and when its client disconnects. The transaction
that records it first checks the request's claim, so a request that was taken over changes nothing. A recorded offset is never
lost: the bytes before it are durable in the store, and rows refer to them.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from partage import problems
from partage.content.inspection import Unwatched
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ids import ContentID
from partage.model.image import Image
from partage.model.partial_upload import PartialUpload
from partage.operations import ingest, quota, recovery
from partage.operations.own_chunks import FollowedImages, open_own_chunks
from partage.operations.service import NamedStore, Service
from partage.records import contents, images, partial_uploads, uploads
from partage.records.database import Transaction
from partage.stores.engine.buffers import Piece
from partage.stores.engine.writer import Writer

CHECK_SECONDS = 2.0
"""A request looks so often whether a later one has taken its upload over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A request that may write to an upload, as it was when the request began."""

    caller: Caller
    image: Image
    upload: PartialUpload
    claim: str
    length_bytes: int | None
    room: quota.Reservation
    named: NamedStore


class PartArrival:
    """The bytes of one request on their way into an upload. An `ingest.Receiver`."""

    def __init__(self, service: Service, begun: Begun, *, stored: Callable[[int], None]) -> None:
        """Go on behind `begun.upload`. `stored` gets each recorded offset."""
        self._service = service
        self._begun = begun
        self._rules = service.features.partial_uploads
        self._stored = stored
        self._upload = begun.upload
        self._meter = quota.Meter(service, begun.room)
        self._meter.count(begun.upload.offset_bytes)
        self._writer: Writer | None = None
        self._own: FollowedImages | None = None
        self._is_first_part = True
        self._part_bytes = 0
        self._part_began = self._checked = service.clock()
        self._ends_upload = self._has_removed_upload = False

    @property
    def offset_bytes(self) -> int:
        """The offset that is recorded."""
        return self._upload.offset_bytes

    @property
    def has_removed_upload(self) -> bool:
        """Whether `fail` has removed the upload, because its data was refused."""
        return self._has_removed_upload

    def take(self, piece: Piece) -> None:
        """Store the next bytes, and release the piece in every case. Can wait for the store, never for the client.

        Raises:
            ImageTooLarge, QuotaExceeded, LengthInconsistent: the upload can never be completed; `fail` removes it.
            StoreFull, StoreUnavailable, UploadTakenOver, ImageGone: call `fail`.
        """
        try:
            self._check_claim()
            self._admit(piece.size_bytes)
            writer = self._writer or self._open_writer()
            try:
                writer.admit(piece.size_bytes)
            except problems.ImageTooLarge:
                self._ends_upload = True
                raise
            self._part_bytes += piece.size_bytes
            writer.feed(piece.retain())
        finally:
            piece.release()
        if self._is_part_due():
            self._record_part()
            self._stored(self.offset_bytes)

    def pause(self) -> None:
        """Release every buffer until the next `take`.

        Raises:
            StoreFull, StoreUnavailable: call `fail`.
        """
        if self._writer is not None:
            self._writer.pause()

    def finish(self) -> None:
        """Record the rest, and let other requests write to the upload: all bytes of this one have arrived.

        Raises:
            StoreFull, StoreUnavailable, UploadTakenOver, ImageGone: call `fail`.
        """
        self._record_part(is_last=True)
        self._service.process.running_uploads.discard(self._begun.claim)

    def fail(self, error: BaseException) -> None:
        """Abort. What arrived before the client disconnected is recorded. After a refusal of the data the upload is removed."""
        service, begun = self._service, self._begun
        try:
            if isinstance(error, problems.ClientGone):
                with contextlib.suppress(problems.Problem):
                    self._record_part()
            self._close_writer()
            if self._ends_upload:
                self._has_removed_upload = self._remove_upload()
            recovery.requeue(service, begun.image, begun.claim)
        finally:
            service.process.running_uploads.discard(begun.claim)

    def _admit(self, size_bytes: int) -> None:
        reached = self.offset_bytes + self._part_bytes + size_bytes
        length = self._begun.length_bytes
        if length is not None and reached > length:
            self._ends_upload = True
            raise problems.LengthInconsistent(
                f"The upload has a length of {length} bytes, and this request exceeds it; the upload is removed, begin again"
            )
        try:
            self._meter.count(size_bytes)
        except problems.QuotaExceeded:
            self._ends_upload = True  # its reservation has been given back
            raise

    def _is_part_due(self) -> bool:
        if self._part_bytes >= self._rules.part_bytes:
            return True
        # An upload that is slow for days must not have more parts than are kept.
        waits = self._rules.part_seconds if self._upload.parts < self._rules.parts // 2 else self._rules.part_seconds * 100
        return self._service.clock() - self._part_began >= timedelta(seconds=waits)

    def _open_writer(self) -> Writer:
        service, begun = self._service, self._begun
        if self._is_first_part:
            self._own = open_own_chunks(service, begun.caller, begun.image, begun.named)
            self._is_first_part = False
        if self._own is not None:
            self._own.begin_at(self.offset_bytes)
        options = ingest.build_write_options(service, None)
        options = replace(
            options,
            limit_bytes=options.limit_bytes - self.offset_bytes,
            algorithms=(),  # of a part, nobody asks for one
            own_chunks=self._own,
            offset_bytes=self.offset_bytes,
        )
        self._writer = ingest.open_writer(service, begun.named, Unwatched(), options)
        self._part_bytes, self._part_began = 0, service.clock()
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._part_bytes = None, 0

    def _check_claim(self) -> None:
        now = self._service.clock()
        if now - self._checked < timedelta(seconds=CHECK_SECONDS):
            return
        self._checked = now
        with self._service.database.read() as tx:
            self._require_claim(tx)

    def _require_claim(self, tx: Transaction) -> None:
        image_id = self._begun.image.id
        found = partial_uploads.find(tx, image_id)
        if found is None or found.claim != self._begun.claim or not partial_uploads.is_written(tx, found):
            if images.find_or_none(tx, image_id) is None:
                raise problems.ImageGone(f"Image {image_id} was deleted while its data was being written")
            raise problems.UploadTakenOver(
                f"A later request has taken over the upload of image {image_id}, or cancelled it; ask for its offset"
            )

    def _record_part(self, *, is_last: bool = False) -> None:
        """Store the open part durably, and record it; if it is the last, let other requests write to the upload."""
        service, begun = self._service, self._begun
        written, size_bytes = None, self._part_bytes
        if self._writer is not None:
            written = self._writer.finish()
            self._close_writer()
        if written is None and not is_last:
            return
        now = service.clock()
        queued: Image | None = None
        with service.database.write() as tx:
            images.lock(tx, begun.image.id)
            self._require_claim(tx)
            after = self._upload
            if written is not None:
                content_id = ContentID(service.new_id())
                contents.add(tx, content_id, written.content, written.segments, now=now)
                partial_uploads.add_part(tx, self._upload, content_id, size_bytes=size_bytes, now=now)
                ingest.require_chunks(tx, begun.named, written.segments)
                after = self._follow(size_bytes, now)
            if is_last:
                uploads.end(tx, begun.image.id, begun.claim)
                images.queue_again(tx, begun.image.id, now=now)
                queued = images.find_for_work(tx, begun.image.id)
        self._upload = after
        if queued is not None:
            service.announce(Event.IMAGE_UPDATE, queued)

    def _follow(self, size_bytes: int, now: datetime) -> PartialUpload:
        upload = self._upload
        return replace(upload, offset_bytes=upload.offset_bytes + size_bytes, parts=upload.parts + 1, touched_at=now)

    def _remove_upload(self) -> bool:
        """Return whether the upload was there, and no later request had taken it over."""
        with self._service.database.write() as tx:
            images.lock(tx, self._begun.image.id)
            found = partial_uploads.find(tx, self._begun.image.id)
            if found is None or found.claim != self._begun.claim:
                return False
            partial_uploads.remove(tx, found)
        return True
