"""The one table from kinds of problems to statuses, and the headers of a problem. Each API renders the words in its own form."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

from partage import problems
from partage.http.messages import Header

_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """A status and its title. Source: Glance, where some titles are older than the standard library's."""

    status: HTTPStatus
    title: str


KINDS: Mapping[type[problems.Problem], Kind] = MappingProxyType(
    {
        problems.Invalid: Kind(HTTPStatus(400), "Bad Request"),
        problems.Unauthenticated: Kind(HTTPStatus(401), "Unauthorized"),
        problems.Forbidden: Kind(HTTPStatus(403), "Forbidden"),
        problems.NotFound: Kind(HTTPStatus(404), "Not Found"),
        problems.MethodNotAllowed: Kind(HTTPStatus(405), "Method Not Allowed"),
        problems.ClientGone: Kind(HTTPStatus(408), "Request Timeout"),
        problems.Conflict: Kind(HTTPStatus(409), "Conflict"),
        problems.Gone: Kind(HTTPStatus(410), "Gone"),
        problems.TooLarge: Kind(HTTPStatus(413), "Request Entity Too Large"),
        problems.MediaTypeUnsupported: Kind(HTTPStatus(415), "Unsupported Media Type"),
        problems.RangeUnsatisfiable: Kind(HTTPStatus(416), "Request Range Not Satisfiable"),
        problems.ClaimsExceeded: Kind(HTTPStatus(429), "Too Many Requests"),
        problems.Unavailable: Kind(HTTPStatus(503), "Service Unavailable"),
    },
)
"""The only table from problems to statuses. A problem has the status of its nearest ancestor in the table."""

UNEXPECTED = Kind(HTTPStatus(500), "Internal Server Error")
UNAUTHENTICATED_WORDS = (
    "This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong "
    "credentials (e.g., bad password), or your browser does not understand how to supply the credentials required."
)
PATCH_TYPES = ("application/openstack-images-v2.0-json-patch", "application/openstack-images-v2.1-json-patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRequest:
    """The parts of a failed request on which the error reply depends."""

    method: str
    accept: str | None
    content_type: str | None
    www_authenticate_uri: str


def kind_of(problem: type[problems.Problem]) -> Kind:
    """Find the status of a class of problems."""
    return next(KINDS[ancestor] for ancestor in problem.__mro__ if ancestor in KINDS)


def headers_of(problem: problems.Problem, request: FailedRequest) -> tuple[Header, ...]:
    """Build the headers of a problem, which are the same in every form."""
    if isinstance(problem, problems.Unauthenticated):
        return ((b"www-authenticate", f'Keystone uri="{request.www_authenticate_uri}"'.encode()),)
    if isinstance(problem, problems.MethodNotAllowed):
        return ((b"allow", ", ".join(problem.allowed).encode()),)
    if isinstance(problem, problems.PatchTypeUnsupported):
        return ((b"accept-patch", ", ".join(PATCH_TYPES).encode()),)
    if isinstance(problem, problems.RangeUnsatisfiable):
        return ((b"content-range", b"bytes */%d" % problem.size_bytes),)
    if isinstance(problem, problems.Unavailable | problems.ClaimsExceeded):
        seconds = problem.retry_seconds if isinstance(problem, problems.ClaimsExceeded) else _RETRY_SECONDS
        return ((b"retry-after", b"%d" % seconds),)
    return _headers_of_upload(problem)


def _headers_of_upload(problem: problems.Problem) -> tuple[Header, ...]:
    """Say that the upload can go on, and where. Source: draft-ietf-httpbis-resumable-upload-12, "Problem Types"."""
    if isinstance(problem, problems.OffsetMismatch):
        return ((b"upload-offset", b"%d" % problem.expected_offset), (b"upload-complete", b"?0"))
    return ((b"upload-complete", b"?0"),) if isinstance(problem, problems.LengthInconsistent) else ()
