"""Every way in which a request can fail, as exception classes with fields.

    Problem
    ├── Invalid                 the request is invalid for every caller
    │   ├── BodyInvalid         the document does not match its schema
    │   ├── QueryInvalid        a filter, sort key, marker or limit is malformed
    │   ├── SizeMismatch        fewer or more bytes were received than announced
    │   ├── FormatMissing       image data before disk_format and container_format are set
    │   ├── StoreUnknown        no store with that name is configured
    │   ├── UriRefused          a URL that the service does not open
    │   ├── FetchFailed         the download from a URL failed
    │   ├── RegionUnknown       no image service of that region and interface is in the catalog
    │   ├── RemoteImageRefused  an image of another region cannot be read or copied
    │   ├── ArchiveRefused      compressed image data that cannot be unpacked
    │   ├── ConversionFailed    image data that cannot be converted to another disk format
    │   ├── DigestMismatch      the bytes do not have the promised digest
    │   ├── TermsRefused        terms of a share that the operator forbids, or that are worse than the accepted ones
    │   ├── LengthInconsistent  a resumable upload would get a length other than the announced one
    │   └── SignatureRefused    the image's signature does not match the bytes, or cannot be verified
    ├── Unauthenticated         no token, or an invalid one
    ├── Forbidden               the caller may see the resource, but not do this to it
    │   ├── PolicyForbids       a policy rule denies it
    │   ├── AttributeReadOnly   the attribute is read-only or reserved
    │   ├── ImageProtected      deletion is refused while `protected` is set
    │   ├── NamespaceProtected  deletion of metadata definitions is refused while `protected` is set
    │   ├── ImageNotShared      members exist on shared images only
    │   ├── ImageDeactivated    image data of a deactivated image
    │   └── StatusForbids       the image's status does not allow the action
    ├── NotFound                there is no such resource, or the caller may not see it
    │   ├── ImageNotFound
    │   ├── MemberNotFound
    │   ├── ShareNotFound
    │   ├── WebhookNotFound
    │   ├── RecipientNotFound   no project of that id or name
    │   ├── TrustRuleNotFound   the project has no such trust rule
    │   ├── ClaimCodeNotFound   no claim code that can be used, or that the image has
    │   ├── TagNotFound
    │   ├── UploadNotFound      the image has no resumable upload, or it has expired
    │   ├── TaskNotFound
    │   ├── MetadefNotFound     a namespace, object, property, tag or resource type
    │   ├── RouteNotFound
    │   └── FeatureOff          the feature is not enabled
    ├── MethodNotAllowed
    ├── Conflict                the state of the resource prevents it; a retry may succeed
    │   ├── ImageExists
    │   ├── MemberExists
    │   ├── ShareConflict       the share is not in the state that the action needs
    │   ├── ImageGuarded        projects that use the image would lose access within the cool-down
    │   ├── ImageFrozen         the image stays as it is for members whose notice runs
    │   ├── RecipientRefused    an image is not shared with its owner
    │   ├── OffersRefused       all or nothing was asked for, and some image cannot be offered to some project
    │   ├── RequestRepeated     an Idempotency-Key came before, with another request
    │   ├── MetadefExists
    │   ├── PropertyConflict    a patch adds an existing property or changes a missing one
    │   ├── UploadExists        the image has a resumable upload already
    │   ├── UploadUnderWay      another request writes to the resumable upload
    │   ├── UploadTakenOver     a later request has ended this one's upload
    │   ├── OffsetMismatch      a resumable upload is at another offset than the request
    │   ├── StatusConflict      the image's status is not the one that the action needs
    │   ├── ManifestAbsent      the image has no data in a store, so that it has no chunks
    │   └── TaskLost            another worker has claimed the task; this run must stop
    ├── Gone
    │   ├── ImageGone           the image was deleted while its data was being written
    │   └── StoreReadOnly       the store accepts no new image data
    ├── TooLarge
    │   ├── ImageTooLarge       one image above the size cap
    │   ├── QuotaExceeded       a project's images exceed its quota, in number or bytes
    │   ├── TooMany             tags, properties, members, locations or uses of one image
    │   └── StoreFull           no space is left in the store
    ├── ClaimsExceeded          too many failed claims of the project, or from the address
    ├── MediaTypeUnsupported
    │   ├── PatchTypeUnsupported
    │   └── FormatRefused       the bytes do not have the declared format, or are unsafe
    ├── RangeUnsatisfiable
    ├── ClientGone              the client disconnected before its request was complete
    └── Unavailable             not the client's fault; a retry may succeed
        ├── StoreUnavailable
        ├── DatabaseUnavailable
        ├── IdentityUnavailable
        ├── KeyManagerUnavailable
        ├── UploadCompleting    a resumable upload is being completed
        ├── UploadsFull         the maximum number of uploads is running
        └── ContentCorrupt      stored bytes no longer have their digest

A problem knows nothing of HTTP: `http/errors.py` has the one table from class to status. Fields are data; `sentence()` returns the
message. Messages that clients show to users are Glance's.
"""

from dataclasses import dataclass, field


@dataclass(eq=False)
class Problem(Exception):
    """A failure of a request, with a message for the client."""

    def sentence(self) -> str:
        """Return the message: what was requested, what prevented it, and what would help."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.sentence()


@dataclass(eq=False)
class Explained(Problem):
    """A problem whose message is written where it is raised, because only that code knows the details."""

    reason: str

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return self.reason


class Invalid(Explained):
    """The request is invalid for every caller."""


class BodyInvalid(Invalid):
    """The document does not match its schema."""


class QueryInvalid(Invalid):
    """A filter, sort key, marker or limit is malformed."""


@dataclass(eq=False)
class SizeMismatch(Invalid):
    """Fewer or more bytes were received than announced."""

    reason: str = field(init=False, default="")
    announced_bytes: int = 0
    received_bytes: int = 0

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return (
            f"Announced size {self.announced_bytes} bytes, but the image data is {self.received_bytes} bytes; "
            "the image is back in queued and can be uploaded again"
        )


class FormatMissing(Invalid):
    """Image data was sent before disk_format and container_format are set."""


class StoreUnknown(Invalid):
    """No store with that name is configured."""


class UriRefused(Invalid):
    """The URL is malformed, ambiguous, or not permitted."""


@dataclass(eq=False)
class FetchFailed(Invalid):
    """The download from a URL failed. `detail` is for the operator's log only: users could scan ports with it.

    `status` is the status of the response if it was not 200. It may be shown only for URLs that the operator configured.
    """

    reason: str = field(init=False, default="")
    detail: str = ""
    status: int | None = None

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return (
            "The image data could not be fetched from the URL; check that anybody can download all of it there, that its server "
            "answers in time and directly, and that the server's certificate is valid"
        )


class RegionUnknown(Invalid):
    """No image service of that region and interface is in the identity service's catalog."""


@dataclass(eq=False)
class RemoteImageRefused(Invalid):
    """An image of another region cannot be read or copied. `detail` is for the operator's log."""

    detail: str = ""


class ArchiveRefused(Invalid):
    """Compressed image data that cannot be unpacked: damaged, encrypted, or an archive of something other than one file."""


@dataclass(eq=False)
class ConversionFailed(Invalid):
    """Image data could not be converted, or not within the limits of a conversion. `detail` is for the operator's log."""

    detail: str = ""


class DigestMismatch(Invalid):
    """The bytes do not have the promised digest."""


class LengthInconsistent(Invalid):
    """A resumable upload would get a length other than the one that was announced."""


class SignatureRefused(Invalid):
    """The image's signature does not match the bytes, or cannot be verified."""


class TermsRefused(Invalid):
    """The owner may not promise these terms, or may not take back what a member has accepted."""


class Unauthenticated(Explained):
    """There is no token, or an invalid one."""


class Forbidden(Explained):
    """The caller may see the resource, but not do this to it."""


@dataclass(eq=False)
class PolicyForbids(Forbidden):
    """A policy rule denies it."""

    reason: str = field(init=False, default="")
    rule: str = ""

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return f"You are not authorized to complete {self.rule} action."


class AttributeReadOnly(Forbidden):
    """The attribute is read-only or reserved."""


class ImageProtected(Forbidden):
    """Deletion is refused while `protected` is set."""


class NamespaceProtected(Forbidden):
    """Deletion of metadata definitions is refused while their namespace is protected."""


class ImageNotShared(Forbidden):
    """Members exist on shared images only."""


class ImageDeactivated(Forbidden):
    """The image is deactivated, so its data cannot be downloaded."""


class StatusForbids(Forbidden):
    """The image's status does not allow the action."""


class NotFound(Explained):
    """There is no such resource, or the caller may not see it. Callers must not be able to distinguish the two."""


class ImageNotFound(NotFound):
    """There is no image with that id, or the caller may not see it."""


class MemberNotFound(NotFound):
    """There is no such member, or the caller may not see it."""


class WebhookNotFound(NotFound):
    """The caller's project has no such webhook."""


class ShareNotFound(NotFound):
    """There is no share of that image with that project, or the caller may not see it."""


class RecipientNotFound(NotFound):
    """No project of that id or name."""


class TrustRuleNotFound(NotFound):
    """The project has no trust rule for that project or domain."""


class ClaimCodeNotFound(NotFound):
    """No claim code that can be used, or that the image has."""


class MetadefNotFound(NotFound):
    """There is no such metadata definition, or the caller may not see it."""


class TaskNotFound(NotFound):
    """There is no task with that id."""


class UploadNotFound(NotFound):
    """The image has no resumable upload, or it has expired."""


class TagNotFound(NotFound):
    """The image does not have that tag."""


class RouteNotFound(NotFound):
    """There is no resource at that path."""


class FeatureOff(NotFound):
    """The feature is not enabled."""


@dataclass(eq=False)
class MethodNotAllowed(Problem):
    """The path does not have this method. `words` is a message with the reason, if there is one."""

    allowed: tuple[str, ...]
    words: str = ""

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return self.words or f"The method specified is not allowed for this resource; allowed: {', '.join(self.allowed)}"


class Conflict(Explained):
    """The state of the resource prevents the action; a retry after a change may succeed."""


class ImageExists(Conflict):
    """Another image has the id, or had it before it was deleted."""


class MemberExists(Conflict):
    """The project is a member already."""


class ShareConflict(Conflict):
    """The share, or its image, is not in the state that the action needs."""


class ImageGuarded(Conflict):
    """The image is guarded, and projects that use it would lose access within the cool-down."""


class ImageFrozen(Conflict):
    """A notice runs, and the change would alter what the member sees of the image."""


class RecipientRefused(Conflict):
    """An image is not shared with the project that owns it."""


@dataclass(eq=False)
class OffersRefused(Conflict):
    """All or nothing was asked for, and some image cannot be offered to some project. `outcomes`: one for each pair.

    `results`: the outcomes as they were rendered for the client; a repeated request has only them.
    """

    reason: str = field(init=False, default="")
    outcomes: tuple[object, ...] = ()
    results: str = ""

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return "No image was offered, because not all can be; correct the pairs that have a problem, or leave out all_or_nothing"


class RequestRepeated(Conflict):
    """An Idempotency-Key came before, with another request."""


class MetadefExists(Conflict):
    """A metadata definition with that name exists."""


class PropertyConflict(Conflict):
    """A patch adds an existing property, or changes a missing one."""


class UploadExists(Conflict):
    """The image has a resumable upload already."""


class UploadUnderWay(Conflict):
    """Another request writes to the resumable upload."""


class UploadTakenOver(Conflict):
    """A later request has ended the part of a resumable upload that this one was writing."""


@dataclass(eq=False)
class OffsetMismatch(Conflict):
    """A resumable upload is at another offset than the request says."""

    reason: str = field(init=False, default="")
    expected_offset: int = 0
    provided_offset: int = 0

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return (
            f"The upload is at byte {self.expected_offset}, and the request begins at {self.provided_offset}; "
            f"continue at byte {self.expected_offset}"
        )


class StatusConflict(Conflict):
    """The image's status is not the one that the action needs."""


class ManifestAbsent(Conflict):
    """The image has no chunks: it has no data yet, or its data is at an external location."""


class TaskLost(Conflict):
    """Another worker has claimed the task, because this worker's heartbeat was missing; this run must stop and change nothing."""


class Gone(Explained):
    """The resource no longer exists."""


class EventsGone(Gone):
    """Events after the cursor have been removed, or the cursor is not one of this database."""


class ImageGone(Gone):
    """The image was deleted while its data was being written."""


class StoreReadOnly(Gone):
    """The store accepts no new image data. Source: Glance returns 410 if adding to a store is disabled."""


class TooLarge(Explained):
    """The request exceeds a limit of the service or the project's quota."""


class ImageTooLarge(TooLarge):
    """One image is above the size cap."""


class QuotaExceeded(TooLarge):
    """The project's images would exceed its quota, in number or bytes."""


class TooMany(TooLarge):
    """An image would have too many tags, properties, members or locations."""


class StoreFull(TooLarge):
    """No space is left in the store."""


@dataclass(eq=False)
class ClaimsExceeded(Problem):
    """The project, or the client's address, has had too many failed claims within the last minutes."""

    retry_seconds: int

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return f"There were too many claims of codes that cannot be used; try again in {self.retry_seconds} seconds"


class MediaTypeUnsupported(Explained):
    """The call does not accept the request's media type."""


class PatchTypeUnsupported(MediaTypeUnsupported):
    """A patch has a media type other than the two of the Image API."""


class FormatRefused(MediaTypeUnsupported):
    """The bytes do not have the declared disk format, or are unsafe for a hypervisor."""


@dataclass(eq=False)
class RangeUnsatisfiable(Problem):
    """The requested range is outside of the image data, or malformed."""

    size_bytes: int

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return f"The requested range cannot be served; the image data has {self.size_bytes} bytes"


class ClientGone(Explained):
    """The client disconnected before its request was complete, so no response is possible."""


class Unavailable(Explained):
    """Not the client's fault; a retry may succeed."""


class StoreUnavailable(Unavailable):
    """The store cannot be read or written at the moment."""


class DatabaseUnavailable(Unavailable):
    """The database does not respond, or was busy for too long."""


class IdentityUnavailable(Unavailable):
    """The identity service does not respond, so the token cannot be validated."""


class KeyManagerUnavailable(Unavailable):
    """The key manager, which has the certificates of images' signatures, does not respond."""


class UploadsFull(Unavailable):
    """The maximum number of uploads is running, of a project or in this process."""


class UploadCompleting(Unavailable):
    """A resumable upload has all bytes, and the image is being made active."""


class ContentCorrupt(Unavailable):
    """Stored bytes no longer have their digest, so they are not served."""
