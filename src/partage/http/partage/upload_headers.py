"""The headers of resumable uploads: structured fields. Source: draft-ietf-httpbis-resumable-upload-12, "State"; RFC 9651."""

import re
from datetime import datetime

from partage import problems
from partage.http.messages import NOT_STORED, Header, Request
from partage.model.partial_upload import Addition, PartialUpload, PartialUploadRules

INTEROP_VERSION = b"8"
"""What clients and the service must share for interim responses. Source: the draft, "Draft Version Identification"."""

# Nothing is tried a second time: a value may end with spaces and a parameter begin with them, so that n parameters could be
# split in 2ⁿ ways.
_PARAMETERS = r"(?: *+; *+[a-z*][a-z0-9_.*-]*+(?:=[^;,]*+)?+)*+"
_INTEGER = re.compile(rf"([0-9]{{1,15}}){_PARAMETERS}")
_BOOLEAN = re.compile(rf"\?([01]){_PARAMETERS}")


def parse_beginning(request: Request) -> Addition:
    """Parse the headers of a request that begins an upload.

    Raises:
        Invalid: Upload-Complete is missing or malformed.
    """
    return _parse(request, offset_bytes=0)


def parse_continuation(request: Request) -> Addition:
    """Parse the headers of a request that continues an upload.

    Raises:
        Invalid: Upload-Offset or Upload-Complete is missing or malformed.
    """
    offset_bytes = parse_integer(request.header(b"upload-offset"))
    if offset_bytes is None:
        raise problems.Invalid("Upload-Offset is missing or no integer; send the offset that HEAD of this path returns")
    return _parse(request, offset_bytes=offset_bytes)


def parse_integer(text: str | None) -> int | None:
    """Parse a non-negative integer; None without one: a malformed field is ignored. Source: "Offset", "Length"."""
    found = _INTEGER.fullmatch(text or "")
    return None if found is None else int(found[1])


def parse_boolean(text: str | None) -> bool | None:
    """Parse a boolean; None without one."""
    found = _BOOLEAN.fullmatch(text or "")
    return None if found is None else found[1] == "1"


def supports_interim(request: Request) -> bool:
    """Return whether the client understands interim responses of this version of the draft."""
    return request.headers.get(b"upload-draft-interop-version", b"").strip() == INTEROP_VERSION


def describe_limits(most_bytes: int, left_seconds: int | None = None) -> Header:
    """Write the limits of an upload, which has `left_seconds` unless bytes are added."""
    age = "" if left_seconds is None else f", max-age={left_seconds}"
    return (b"upload-limit", f"max-size={most_bytes}{age}".encode())


def describe_state(upload: PartialUpload, rules: PartialUploadRules, most_bytes: int, now: datetime) -> tuple[Header, ...]:
    """Write the state of an upload."""
    left = max(0, int((upload.expires_at(rules) - now).total_seconds()))
    length: tuple[Header, ...] = ()
    if upload.length_bytes is not None:
        length = ((b"upload-length", b"%d" % upload.length_bytes),)
    return (
        describe_offset(upload.offset_bytes),
        describe_completeness(is_complete=upload.is_complete),
        *length,
        describe_limits(most_bytes, left),
        NOT_STORED,
    )


def describe_offset(offset_bytes: int) -> Header:
    """Write an offset."""
    return (b"upload-offset", b"%d" % offset_bytes)


def describe_completeness(*, is_complete: bool) -> Header:
    """Write whether the response is the one to the image data as a whole."""
    return (b"upload-complete", b"?1" if is_complete else b"?0")


def _parse(request: Request, *, offset_bytes: int) -> Addition:
    is_last = parse_boolean(request.header(b"upload-complete"))
    if is_last is None:
        raise problems.Invalid("Upload-Complete must be ?1 if the body has the end of the image data, or ?0 if more follows")
    return Addition(
        offset_bytes=offset_bytes,
        is_last=is_last,
        length_bytes=parse_integer(request.header(b"upload-length")),
        content_bytes=None if request.body.is_chunked else request.body.length_bytes or 0,
    )
