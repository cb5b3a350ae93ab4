"""Every way a request can fail, as classes with fields.

    Problem
    ├── Invalid                 what was asked makes no sense, whoever asks
    │   ├── BodyInvalid         the document does not fit its schema
    │   ├── QueryInvalid        a filter, sort key, marker or limit is malformed
    │   ├── SizeMismatch        fewer or more bytes arrived than were announced
    │   ├── FormatMissing       image data before disk_format and container_format are set
    │   ├── StoreUnknown        a store of that name is not configured
    │   ├── UriRefused          a URL that the service does not open on anybody's behalf
    │   ├── FetchFailed         what is at a URL could not be had, for whatever reason
    │   ├── RegionUnknown       no image service of that region and interface is in the catalog
    │   ├── RemoteImageRefused  the image service of another region does not give an image, or not one that can be taken
    │   ├── ArchiveRefused      compressed image data that cannot be unpacked
    │   ├── ConversionFailed    image data that cannot be converted to another disk format
    │   ├── DigestMismatch      the bytes do not have the digest that was promised
    │   ├── TermsRefused        terms of a share that its owner may not promise, or may not take back
    │   └── SignatureRefused    the bytes are not those that the image's signature is over, or that cannot be verified
    ├── Unauthenticated         no token, or not one that the identity service vouches for
    ├── Forbidden               the caller may see the thing, but not do this to it
    │   ├── PolicyForbids       a policy rule says no
    │   ├── AttributeReadOnly   the attribute belongs to the service
    │   ├── ImageProtected      deletion is refused while `protected` is set
    │   ├── NamespaceProtected  deletion of metadata definitions is refused while `protected` is set
    │   ├── ImageNotShared      members exist on shared images only
    │   ├── ImageDeactivated    image data of a deactivated image
    │   └── StatusForbids       the image's status does not allow the action
    ├── NotFound                no such thing, or none that the caller may know of
    │   ├── ImageNotFound
    │   ├── MemberNotFound
    │   ├── ShareNotFound
    │   ├── RecipientNotFound   no project of that id or name
    │   ├── TagNotFound
    │   ├── TaskNotFound
    │   ├── MetadefNotFound     a namespace, object, property, tag or resource type
    │   ├── RouteNotFound
    │   └── FeatureOff          the operator has not switched this on
    ├── MethodNotAllowed
    ├── Conflict                the state of things stands in the way; a retry may succeed
    │   ├── ImageExists
    │   ├── MemberExists
    │   ├── ShareConflict       the share is not in the state that the action needs
    │   ├── RecipientRefused    an image is not shared with its owner
    │   ├── RequestRepeated     an Idempotency-Key came before, with another request
    │   ├── MetadefExists
    │   ├── PropertyConflict    a patch adds what is there or changes what is not
    │   ├── StatusConflict      the image is in another status than the action needs
    │   └── TaskLost            another worker took the task over; this run must stop
    ├── Gone
    │   ├── ImageGone           the image was deleted while its data was being written
    │   └── StoreReadOnly       the store takes no new image data
    ├── TooLarge
    │   ├── ImageTooLarge       one image above the size cap
    │   ├── QuotaExceeded       all images of a project together, or their number
    │   ├── TooMany             tags, properties, members or locations of one image
    │   └── StoreFull           no space left where the bytes rest
    ├── MediaTypeUnsupported
    │   ├── PatchTypeUnsupported
    │   └── FormatRefused       the bytes are not of the declared format, or are unsafe
    ├── RangeUnsatisfiable
    ├── ClientGone              the client went away before its request was complete
    └── Unavailable             not the client's fault; worth retrying
        ├── StoreUnavailable
        ├── DatabaseUnavailable
        ├── IdentityUnavailable
        ├── KeyManagerUnavailable
        ├── UploadsFull         as many uploads are under way as are taken at a time
        └── ContentCorrupt      stored bytes no longer have their digest

A problem knows what happened, never how HTTP says it: `http/errors.py` holds the one table from kind to status.
Fields are data; `sentence()` makes the words. Where clients show users Glance's wording, the words are Glance's.
"""

from dataclasses import dataclass, field


@dataclass(eq=False)
class Problem(Exception):
    """Something that stops a request, in words a client may read."""

    def sentence(self) -> str:
        """Say what was asked, what stood in the way, and what would help."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.sentence()


@dataclass(eq=False)
class Explained(Problem):
    """A problem whose sentence is written where it is noticed, because only that place knows the details."""

    reason: str

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return self.reason


class Invalid(Explained):
    """What was asked makes no sense, whoever asks."""


class BodyInvalid(Invalid):
    """The document does not fit its schema."""


class QueryInvalid(Invalid):
    """A filter, sort key, marker or limit is malformed."""


@dataclass(eq=False)
class SizeMismatch(Invalid):
    """Fewer or more bytes arrived than were announced."""

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
    """A store of that name is not configured."""


class UriRefused(Invalid):
    """The URL is malformed, ambiguous, or leads where the service does not go on anybody's behalf."""


@dataclass(eq=False)
class FetchFailed(Invalid):
    """What is at a URL could not be had. `detail` is for the operator's log: told to users, it would make a port scanner.

    `status` is that of the answer, if one came and it was not 200. It is to be told only of URLs that the operator named.
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
    """The image service of another region does not give an image, or not one that can be taken. `detail` is for the log."""

    detail: str = ""


class ArchiveRefused(Invalid):
    """Compressed image data that cannot be unpacked: damaged, encrypted, or an archive of something other than one file."""


@dataclass(eq=False)
class ConversionFailed(Invalid):
    """Image data could not be converted, or not within what one conversion may use. `detail` is for the operator's log."""

    detail: str = ""


class DigestMismatch(Invalid):
    """The bytes do not have the digest that was promised."""


class SignatureRefused(Invalid):
    """The bytes are not those that the image's signature is over, or that cannot be verified: nobody takes them on a guess."""


class TermsRefused(Invalid):
    """The owner may not promise these terms, or may not take back what a member has accepted."""


class Unauthenticated(Explained):
    """There is no token, or not one that the identity service vouches for."""


class Forbidden(Explained):
    """The caller may see the thing, but not do this to it."""


@dataclass(eq=False)
class PolicyForbids(Forbidden):
    """A policy rule says no."""

    reason: str = field(init=False, default="")
    rule: str = ""

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return f"You are not authorized to complete {self.rule} action."


class AttributeReadOnly(Forbidden):
    """The attribute belongs to the service, or to nobody."""


class ImageProtected(Forbidden):
    """Deletion is refused while `protected` is set."""


class NamespaceProtected(Forbidden):
    """Deletion of metadata definitions is refused while their namespace is protected."""


class ImageNotShared(Forbidden):
    """Members exist on shared images only."""


class ImageDeactivated(Forbidden):
    """Image data of a deactivated image is withheld."""


class StatusForbids(Forbidden):
    """The image's status does not allow the action."""


class NotFound(Explained):
    """There is no such thing, or none that the caller may know of: the two must not be told apart."""


class ImageNotFound(NotFound):
    """No image of that id that the caller may know of."""


class MemberNotFound(NotFound):
    """No such member, or one the caller may not see."""


class ShareNotFound(NotFound):
    """No share of that image with that project, or none that the caller may know of."""


class RecipientNotFound(NotFound):
    """No project of that id or name."""


class MetadefNotFound(NotFound):
    """No such metadata definition, or none that the caller may know of."""


class TaskNotFound(NotFound):
    """No task of that id."""


class TagNotFound(NotFound):
    """The image does not have that tag."""


class RouteNotFound(NotFound):
    """Nothing lives at that path."""


class FeatureOff(NotFound):
    """The operator has not switched this on."""


@dataclass(eq=False)
class MethodNotAllowed(Problem):
    """The path is known, the method is not. `words` say why, where that is more than that nobody thought of it."""

    allowed: tuple[str, ...]
    words: str = ""

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return self.words or f"The method specified is not allowed for this resource; allowed: {', '.join(self.allowed)}"


class Conflict(Explained):
    """The state of things stands in the way; a retry after a change may succeed."""


class ImageExists(Conflict):
    """The id is taken, now or by an image that was deleted."""


class MemberExists(Conflict):
    """The project is a member already."""


class ShareConflict(Conflict):
    """The share, or its image, is not in the state that the action needs."""


class RecipientRefused(Conflict):
    """An image is not shared with the project that owns it."""


class RequestRepeated(Conflict):
    """An Idempotency-Key came before, with another request."""


class MetadefExists(Conflict):
    """A metadata definition of that name is there already."""


class PropertyConflict(Conflict):
    """A patch adds what is there, or changes what is not."""


class StatusConflict(Conflict):
    """The image is in another status than the action needs."""


class TaskLost(Conflict):
    """Another worker took the task over, because this one was silent for too long; this run must stop and change nothing."""


class Gone(Explained):
    """It was there a moment ago."""


class ImageGone(Gone):
    """The image was deleted while its data was being written."""


class StoreReadOnly(Gone):
    """The store takes no new image data. Source: Glance answers 410 where adding to a store is disabled."""


class TooLarge(Explained):
    """More than the service or the project's quota takes."""


class ImageTooLarge(TooLarge):
    """One image is above the size cap."""


class QuotaExceeded(TooLarge):
    """All images of a project together, in number or bytes, would be above its quota."""


class TooMany(TooLarge):
    """Too many tags, properties, members or locations of one image."""


class StoreFull(TooLarge):
    """No space is left where the bytes rest."""


class MediaTypeUnsupported(Explained):
    """The request's media type is not one that this call takes."""


class PatchTypeUnsupported(MediaTypeUnsupported):
    """A patch came in a media type other than the two of the Image API."""


class FormatRefused(MediaTypeUnsupported):
    """The bytes are not of the declared disk format, or are unsafe to hand to a hypervisor."""


@dataclass(eq=False)
class RangeUnsatisfiable(Problem):
    """The range asked for lies outside the image data, or is malformed."""

    size_bytes: int

    def sentence(self) -> str:  # noqa: D102 -- keeps the promise of Problem.sentence
        return f"The requested range cannot be served; the image data has {self.size_bytes} bytes"


class ClientGone(Explained):
    """The client went away before its request was complete; nobody is left to answer."""


class Unavailable(Explained):
    """Not the client's fault; worth retrying."""


class StoreUnavailable(Unavailable):
    """The store does not take or give bytes at the moment."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or was busy for too long."""


class IdentityUnavailable(Unavailable):
    """The identity service does not answer: nobody is let in on a guess."""


class KeyManagerUnavailable(Unavailable):
    """The key manager, which has the certificates of images' signatures, does not answer."""


class UploadsFull(Unavailable):
    """As many uploads are under way as are taken at a time, of a project or by this process."""


class ContentCorrupt(Unavailable):
    """Stored bytes no longer have their digest; wrong bytes are never served."""
