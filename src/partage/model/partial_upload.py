"""A resumable upload: how much of an image's data has arrived, and what a request may add. Pure.

Source: draft-ietf-httpbis-resumable-upload-12, "Resumable Uploads for HTTP".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from partage import problems
from partage.model.ids import ImageID, StoreID


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialUploadRules:
    """Bounds of resumable uploads.

    An upload is kept for `idle` after its last byte. What arrives is recorded as a part after `part_bytes` or `part_seconds`,
    whichever is first: a killed process loses no more than that. One upload has `parts` at most. A project has `per_project`
    unfinished uploads at most; 0 is no limit.
    """

    per_project: int = 64
    idle: timedelta = timedelta(days=1)
    part_bytes: int = 128 << 20
    part_seconds: float = 30.0
    parts: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What a request adds: `content_bytes` at `offset_bytes`; None is unknown. `is_last`: they are the end of the image data.

    `length_bytes` is the length of all image data as the client announces it.
    """

    offset_bytes: int
    is_last: bool
    length_bytes: int | None = None
    content_bytes: int | None = None

    def find_length(self) -> int | None:
        """Return the length of all image data, as far as this request says it.

        Raises:
            LengthInconsistent: it says two.
        """
        if not self.is_last or self.content_bytes is None:
            return self.length_bytes
        found = self.offset_bytes + self.content_bytes
        if self.length_bytes not in (None, found):
            raise problems.LengthInconsistent(
                f"Upload-Length is {self.length_bytes}, but the request ends the upload at byte {found}; correct one of them"
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialUpload:
    """The upload of one image's data in several requests.

    `id` names its reservation of quota. `claim` is the token of the request that writes to it, or wrote to it last; with
    `is_completing` that request makes the image active. `parts` counts what was recorded.
    """

    image_id: ImageID
    id: str
    store_id: StoreID
    touched_at: datetime
    offset_bytes: int = 0
    length_bytes: int | None = None
    parts: int = 0
    claim: str = ""
    is_completing: bool = False
    completed_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the image has the data."""
        return self.completed_at is not None

    def expires_at(self, rules: PartialUploadRules) -> datetime:
        """Return when the upload ends, unless bytes are added before."""
        return self.touched_at + rules.idle

    def settle_length(self, addition: Addition) -> int | None:
        """Check a request against what is known, and return the length of all image data; None if that is still unknown.

        Raises:
            OffsetMismatch: the request does not continue where the upload is.
            LengthInconsistent: it does not fit the length that is known.
        """
        if addition.offset_bytes != self.offset_bytes:
            raise problems.OffsetMismatch(expected_offset=self.offset_bytes, provided_offset=addition.offset_bytes)
        said = addition.find_length()
        if None not in (said, self.length_bytes) and said != self.length_bytes:
            raise problems.LengthInconsistent(
                f"The upload has a length of {self.length_bytes} bytes, but this request makes it {said}; "
                "continue with the same image data, or cancel the upload"
            )
        length = self.length_bytes if said is None else said
        if length is not None and self.offset_bytes + (addition.content_bytes or 0) > length:
            raise problems.LengthInconsistent(
                f"The upload has a length of {length} bytes, and this request would exceed it; send the rest of it only"
            )
        return length
