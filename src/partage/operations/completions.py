"""Completes a resumable upload: its parts pass through an upload like any other, and the image becomes active.

The digests of a stream cannot be kept from one process to the next, and the format and the signature are those of the whole. So
the parts are read once more, in order, into what stores an upload (`uploads.py`): the image gets the same digests, chunks, checks
and announcements as if the data had come in one request. The parts stay until that has succeeded, or has refused the data.
"""

from collections.abc import Generator, Sequence

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.partial_upload import Addition, PartialUpload
from partage.operations import downloads, ingest, partial_uploads, recovery, uploads
from partage.operations.service import Service
from partage.records import images
from partage.records import partial_uploads as rows
from partage.records.partial_uploads import UploadPart
from partage.stores.engine.buffers import Piece

REFUSALS = (problems.FormatRefused, problems.SignatureRefused, problems.ImageTooLarge, problems.SizeMismatch)
"""The image data is refused, whenever it is sent; the upload ends."""

_TURN_BYTES = 32 << 20


class Completion:
    """The parts of an upload on their way into the image. One thread at a time calls; the last call is an `advance` or `fail`."""

    def __init__(self, service: Service, upload: PartialUpload, arrival: ingest.Arrival) -> None:
        """Own `arrival` until the end."""
        with service.database.read() as tx:
            parts = rows.list_parts(tx, upload.image_id)  # now: the rows go with an image that is deleted meanwhile
        self._service = service
        self._upload = upload
        self._arrival = arrival
        self._blocks = _read_parts(service, upload, parts)
        self._rest = memoryview(b"")

    def advance(self) -> bool:
        """Pass the next bytes; return whether there are more. The last call makes the image active.

        Raises:
            SignatureRefused, FormatRefused, ImageTooLarge: the image data is refused; `fail` removes the upload.
            ContentCorrupt, StoreFull, StoreUnavailable, DatabaseUnavailable, ImageGone: call `fail`; the upload stays.
        """
        taken_bytes = 0
        while taken_bytes < _TURN_BYTES:
            piece = self._arrival.new_piece()
            self._fill(piece)
            size_bytes = piece.size_bytes
            if not size_bytes:
                piece.release()
                self._arrival.finish()
                return False
            self._arrival.take(piece)
            taken_bytes += size_bytes
        self._arrival.pause()
        return True

    def fail(self, error: BaseException) -> None:
        """Abort: the image is queued again. The upload goes if its data was refused, and can be completed again if not."""
        self._blocks.close()
        self._arrival.fail(error)
        if isinstance(error, REFUSALS):
            with self._service.database.write() as tx:
                images.lock(tx, self._upload.image_id)
                found = rows.find(tx, self._upload.image_id)
                if found is not None and found.id == self._upload.id and not rows.is_written(tx, found):
                    rows.remove(tx, found)

    def _fill(self, piece: Piece) -> None:
        try:
            while not piece.is_full:
                if not self._rest:
                    self._rest = memoryview(next(self._blocks, b""))
                if not self._rest:
                    return
                self._rest = self._rest[piece.append(self._rest) :]
        except BaseException:
            piece.release()
            raise


class Completed:
    """Stands for the completion of an upload that is complete: a client that lost the last response asks again."""

    def advance(self) -> bool:
        """Do nothing."""
        return False

    def fail(self, error: BaseException) -> None:
        """Do nothing."""


def begin_completion(
    service: Service, caller: Caller, image_id: ImageID, addition: Addition, *, token: str
) -> Completion | Completed:
    """Authorise the completion of an upload that has all bytes, as an upload of these bytes. `addition` adds none.

    Raises:
        ImageNotFound, PolicyForbids, UploadNotFound, UploadUnderWay, UploadCompleting: as `continue_upload`.
        OffsetMismatch, LengthInconsistent: the upload does not end there.
        Problem: as `uploads.begin_upload`; the upload stays, unless it is one of `REFUSALS`.
    """
    recovery.recover(service, image_id)
    with service.database.read() as tx:
        upload = partial_uploads.find_upload(service, tx, caller, image_id)
        if not upload.is_complete:
            partial_uploads.require_no_writer(tx, upload)
    if upload.settle_length(addition) != upload.offset_bytes:
        raise problems.LengthInconsistent(
            f"The upload has a length of {upload.length_bytes} bytes, and is at byte {upload.offset_bytes}; "
            "send the rest, or cancel it"
        )
    if upload.is_complete:
        return Completed()
    arrival = uploads.begin_upload(
        service,
        caller,
        image_id,
        announced_bytes=upload.offset_bytes,
        store_id=upload.store_id,
        token=token,
        partial=upload,
    )
    try:
        return Completion(service, upload, arrival)
    except BaseException as error:
        arrival.fail(error)
        raise


def _read_parts(service: Service, upload: PartialUpload, parts: Sequence[UploadPart]) -> Generator[bytes]:
    named = service.stores.find(upload.store_id)
    for part in parts:
        yield from downloads.read_content(service, named, part.content_id, 0, part.size_bytes)
