"""A request as handlers see it, and the reply they make of it. No framework's: two small values over ASGI."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from partage.http.admission import Admission
from partage.http.options import EdgeOptions
from partage.http.server.body import RequestBody
from partage.http.server.threads import Threads
from partage.model.caller import Caller
from partage.operations.service import Service

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What every handler is handed besides the request."""

    service: Service
    threads: Threads
    options: EdgeOptions
    uploads: Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request whose bearer is known. `headers` have lower-case names; repeated ones are one, with commas.

    `origin` is scheme and authority by which the client reached the service, without a slash at the end;
    `path` holds the decoded values of the route's parameters, `peer` the address that the connection comes from.
    """

    edge: Edge
    caller: Caller
    method: str
    path: Mapping[str, str]
    query: bytes
    headers: Mapping[bytes, bytes]
    body: RequestBody
    origin: str
    request_id: str
    peer: str | None = None

    def header(self, name: bytes) -> str | None:
        """Return a header's text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Bytes that are sent as they are read. `length_bytes` is promised to the client: anything less breaks the connection.

    `ended` is told at the end how many bytes went out, whole or not; in the event loop's thread, so that it may not wait.
    `is_remote`: reading may wait for a server elsewhere. `reopen` begins to read again so many bytes after the first one, so that
    nothing need be held for a client that does not read; None: there is no beginning again. `is_short` says whether what is held
    for all streams is so much that those whose clients do not read should hold nothing.
    """

    pieces: Iterator[bytes]
    length_bytes: int
    ended: Callable[[int], None]
    is_remote: bool = False
    reopen: Callable[[int], Iterator[bytes]] | None = None
    is_short: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is sent back. `status` None is the one that the route promises for success."""

    body: bytes | Stream = b""
    content_type: bytes | None = None
    headers: tuple[Header, ...] = ()
    status: HTTPStatus | None = None
    etag: bytes | None = None
