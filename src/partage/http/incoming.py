"""A request of which only the request line and the headers are known, and what is read from them."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from partage import problems
from partage.http.options import EdgeOptions
from partage.http.server.body import RequestBody

Scope = Mapping[str, Any]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AUTHORITY = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_SCHEMES = ("http", "https")
_SMALL_BODY_BYTES = 65_536
_UNREADABLE = "Error decoding your request. The URL contained characters that could not be decoded by this service"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose sender is not known yet. `path` is decoded, and "" until it has been read."""

    scope: Scope
    method: str
    headers: Mapping[bytes, bytes]
    body: RequestBody
    origin: str
    request_id: str
    path: str = ""

    def header(self, name: bytes) -> str | None:
        """Return a header's text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether the request carries a body, by the rule of Glance: chunks count only where a method may have a body."""
        return bool(self.body.length_bytes) or (self.body.is_chunked and self.method in {"POST", "PUT", "PATCH"})

    @property
    def must_close(self) -> bool:
        """Whether the connection cannot be used again, because part of this request's body is still to come.

        A little of it the server receives and forgets by itself. But a client that asked whether to send a body, and got its answer
        instead, may or may not send it: what comes next on the connection could be taken for either.
        """
        if self.body.is_finished:
            return False
        return self.body.length_bytes is None or self.body.length_bytes > _SMALL_BODY_BYTES or b"expect" in self.headers


def join_headers(sent: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Make one value of a header that came more than once, so that nobody reads one of two. Source: RFC 9110, 5.3."""
    found = dict(sent)
    if len(found) == len(sent):
        return found
    joined: dict[bytes, bytes] = {}
    for name, value in sent:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def decode_path(scope: Scope) -> str:
    """Decode the path of a request.

    Raises:
        Invalid: it is not UTF-8, or has a NUL character, which no database keeps.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    try:
        path = unquote_to_bytes(raw).decode() if b"%" in raw else raw.decode()
    except UnicodeDecodeError as error:
        raise problems.Invalid(_UNREADABLE) from error
    if "\x00" in path:
        raise problems.Invalid(_UNREADABLE)
    return path


def origin_of(scope: Scope, headers: Mapping[bytes, bytes], options: EdgeOptions) -> str:
    """Return scheme and authority by which the client reached the service, without a slash at the end."""
    if options.public_endpoint:
        return options.public_endpoint.rstrip("/")
    authority = headers.get(b"host", b"").decode("latin-1")
    if not _AUTHORITY.fullmatch(authority):
        host, port = scope.get("server") or ("localhost", None)
        authority = f"{host}:{port}" if port else host
    # Source: uWSGI, below Glance. A proxy that ends TLS says so; a client that says so itself changes its own links alone.
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1")
    return f"{scheme if scheme in _SCHEMES else scope.get('scheme', 'http')}://{authority}"


def choose_request_id(headers: Mapping[bytes, bytes]) -> str:
    """Take the client's id, so that one action has one id in every service's log, or make one."""
    given = headers.get(b"x-openstack-request-id", b"").decode("latin-1")
    if not _REQUEST_ID.fullmatch(given):
        return f"req-{uuid.uuid4()}"
    return given if given.startswith("req-") else f"req-{given}"
