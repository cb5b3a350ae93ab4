"""A request as handlers see it, and the reply that they return: small values over ASGI, without a framework."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Concatenate, ParamSpec, TypeVar

from partage.http import json_documents
from partage.http.admission import Admission
from partage.http.client_address import find_address
from partage.http.options import EdgeOptions
from partage.http.server.body import RequestBody
from partage.http.server.sending import Piece
from partage.http.server.threads import Threads
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.operations.service import Service

Header = tuple[bytes, bytes]
NOT_STORED: Header = (b"cache-control", b"no-store")
"""Keeps a reply with a secret out of caches."""
Given = ParamSpec("Given")
Result = TypeVar("Result")
Operation = Callable[Concatenate[Service, Caller, Given], Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the requests of one process share."""

    service: Service
    threads: Threads
    options: EdgeOptions
    uploads: Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request whose caller is known. `headers` have lower-case names; repeated headers are joined by commas.

    `origin` is the scheme and authority by which the client reached the service, without a slash at the end;
    `path` has the decoded values of the route's parameters; `peer` is the address of the connection's other end.
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

    @property
    def image_id(self) -> ImageID:
        """The image that the path names."""
        return ImageID(self.path["image_id"])

    @property
    def client_address(self) -> str:
        """The client's address, as far as trusted proxies name it; empty if the connection has none."""
        return find_address(self.peer, self.header(b"x-forwarded-for"), self.edge.options.trusted_proxies)

    @property
    def token(self) -> str:
        """The caller's token; empty for an anonymous caller."""
        return self.header(b"x-auth-token") or ""

    @property
    def media_type(self) -> str:
        """The media type of the body, without parameters; empty without one. Source: Glance's comparison is case-sensitive."""
        return (self.header(b"content-type") or "").partition(";")[0].strip()

    async def read_body(self) -> bytes:
        """Read the whole body, which may have as many bytes as a document may.

        Raises:
            TooLarge: the body has more bytes.
            ClientGone: the client did not send the whole body.
        """
        return await self.body.read(self.edge.options.document_bytes)

    async def document(self) -> dict[str, Any] | list[Any]:
        """Read the body and parse it as JSON.

        Raises:
            BodyInvalid: see `json_documents.parse`.
            TooLarge, ClientGone: see `read_body`.
        """
        return json_documents.parse(await self.read_body())

    def run(self, operation: Operation[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation in a thread, for this request's caller."""
        return self.edge.threads.call(operation, self.edge.service, self.caller, *given, **named)

    def run_reading(self, operation: Operation[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that only reads documents."""
        return self.edge.threads.call_reading(operation, self.edge.service, self.caller, *given, **named)

    def run_listing(self, operation: Operation[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that lists documents."""
        return self.edge.threads.call_listing(operation, self.edge.service, self.caller, *given, **named)

    def run_remote(self, operation: Operation[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that waits for another server."""
        return self.edge.threads.call_remote(operation, self.edge.service, self.caller, *given, **named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Bytes that are sent as they are read. `length_bytes` is announced to the client: if fewer follow, the connection is closed.

    `ended` is called at the end with the number of sent bytes, in the event loop's thread, so it must not wait. `is_remote`:
    reading may wait for another server. `reopen` reads again from an offset, so that no read-ahead is held for a client that does
    not read; None if that is impossible. `is_short` says whether memory is so short that such streams must release theirs.
    """

    pieces: Iterator[Piece]
    length_bytes: int
    ended: Callable[[int], None]
    is_remote: bool = False
    reopen: Callable[[int], Iterator[Piece]] | None = None
    is_short: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply. `status` None stands for the route's success status."""

    body: bytes | Stream = b""
    content_type: bytes | None = None
    headers: tuple[Header, ...] = ()
    status: HTTPStatus | None = None
    etag: bytes | None = None


def json_reply(document: object) -> Reply:
    """Build the reply that carries a document as JSON, with a strong ETag: the digest of exactly these bytes."""
    body = json_documents.encode(document)
    return Reply(body=body, content_type=json_documents.CONTENT_TYPE, etag=json_documents.etag_of(body))
