"""A request whose request line and headers are read, but whose caller is not known."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from partage.http.exchange import Exchange
from partage.http.options import EdgeOptions
from partage.http.server.body import RequestBody

Scope = Mapping[str, Any]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AUTHORITY = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_SCHEMES = ("http", "https")
_SMALL_BODY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose caller is not known yet. `path` is decoded; "" if that is impossible. `exchange` records how it ends."""

    scope: Scope
    method: str
    headers: Mapping[bytes, bytes]
    body: RequestBody
    origin: str
    request_id: str
    path: str
    exchange: Exchange = field(default_factory=Exchange)

    def header(self, name: bytes) -> str | None:
        """Return a header's text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether the request has a body. Source: Glance, where a chunked body counts only with a method that may have a body."""
        return bool(self.body.length_bytes) or (self.body.is_chunked and self.method in {"POST", "PUT", "PATCH"})

    @property
    def must_close(self) -> bool:
        """Whether the connection cannot be used again, because part of this request's body is still to come.

        The server receives and discards a small rest. But a client that sent `Expect` and got the final answer may or may not send
        the body: the next bytes on the connection could be the body or a request.
        """
        if self.body.is_finished:
            return False
        return self.body.length_bytes is None or self.body.length_bytes > _SMALL_BODY_BYTES or b"expect" in self.headers


def join_headers(sent: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Join the values of a repeated header, so that no reader sees only one of them. Source: RFC 9110, 5.3."""
    found = dict(sent)
    if len(found) == len(sent):
        return found
    joined: dict[bytes, bytes] = {}
    for name, value in sent:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def decode_path(scope: Scope) -> str | None:
    """Decode the path of a request. None if it is not UTF-8, or has a NUL character, which databases cannot store."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    try:
        path = unquote_to_bytes(raw).decode() if b"%" in raw else raw.decode()
    except UnicodeDecodeError:
        return None
    return None if "\x00" in path else path


def read_start_of_path(scope: Scope) -> str:
    """Return a path that cannot be decoded with replacement characters: it says which API the client called, and nothing else."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return unquote_to_bytes(raw).decode(errors="replace")


def origin_of(scope: Scope, headers: Mapping[bytes, bytes], options: EdgeOptions) -> str:
    """Return scheme and authority by which the client reached the service, without a slash at the end."""
    if options.public_endpoint:
        return options.public_endpoint.rstrip("/")
    authority = headers.get(b"host", b"").decode("latin-1")
    if not _AUTHORITY.fullmatch(authority):
        host, port = scope.get("server") or ("localhost", None)
        authority = f"{host}:{port}" if port else host
    # Source: uWSGI, which runs Glance. A proxy that terminates TLS sets this; a client that sets it changes only its own links.
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1")
    return f"{scheme if scheme in _SCHEMES else scope.get('scheme', 'http')}://{authority}"


def choose_request_id(headers: Mapping[bytes, bytes]) -> str:
    """Use the client's id, so that one action has the same id in every service's log, or create one."""
    given = find_global_id(headers)
    if not given:
        return f"req-{uuid.uuid4()}"
    return given if given.startswith("req-") else f"req-{given}"


def find_global_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the id that the client gave to its action; empty without one."""
    given = headers.get(b"x-openstack-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else ""
