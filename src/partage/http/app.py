"""The ASGI application: one request in, one reply out. What middleware would do is here, in order, in one place.

Request id; version; caller; route; body; handler; problem to reply; reply to the wire.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from partage import problems
from partage.http import caller as callers
from partage.http import errors
from partage.http.admission import Admission
from partage.http.caller import Identity
from partage.http.messages import Edge, Header, Reply, Request, Stream
from partage.http.openapi import document
from partage.http.options import EdgeOptions
from partage.http.server import body as bodies
from partage.http.server import conditions, direct, sending, socket_handoff
from partage.http.server.body import Channel, Receive, RequestBody, Send
from partage.http.server.sending import Source
from partage.http.server.server import DRAINING
from partage.http.server.socket_handoff import SocketHandoff
from partage.http.server.threads import Threads
from partage.http.v2 import discovery, routes
from partage.operations.service import Service

Scope = Mapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LONGEST_HEADERS = 65_536
_READING = frozenset({"GET", "HEAD"})
_SMALL_BODY_BYTES = 65_536
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AUTHORITY = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_SCHEMES = ("http", "https")
_MEDIA_TYPE_VERSION = "application/vnd.openstack.images-"
_TYPE_OF_NOTHING = b"text/html; charset=UTF-8"
"""Source: Glance says so of nearly every answer that is empty."""
_UNREADABLE = "Error decoding your request. The URL contained characters that could not be decoded by this service"
_NO_ROUTE = "The resource could not be found."
_STOPPED = "The service stops, and could not finish this request in time; send it again"
_NO_BODY = "A body is not expected with this request."


def application(*, service: Service, identity: Identity, options: EdgeOptions) -> Application:
    """Build the application. It opens nothing before the first request and closes its threads when the server stops."""
    threads = Threads(
        reading=options.reading_threads,
        listing=options.listing_threads,
        metadata=options.metadata_threads,
        upload=options.upload_threads,
        download=options.download_threads,
        remote=options.remote_threads,
        validation=options.validation_threads,
        data_thread_begins=options.data_thread_begins,
    )
    edge = Edge(service=service, threads=threads, options=options, uploads=Admission(options.uploads_at_once))
    return _Application(edge, identity, routes.tree(routes.ROWS))


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A request of which nothing is known but its first line and headers."""

    scope: Scope
    method: str
    headers: Mapping[bytes, bytes]
    body: RequestBody
    origin: str
    request_id: str

    def text(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _Application:
    """One process's edge. Lives in the event loop's thread; holds nothing that changes."""

    def __init__(self, edge: Edge, identity: Identity, root: routes.Node) -> None:
        self._edge = edge
        options = edge.options
        self._callers = callers.Callers(
            identity, edge.threads, waiting=options.validations_waiting, anonymous=options.allow_anonymous
        )
        self._root = root
        self._described = document.reply(routes.ROWS, edge.options.formats)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                self._edge.threads.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        options = self._edge.options
        headers = _headers(scope["headers"])
        arrived = _Arrived(
            scope=scope,
            method=scope["method"],
            headers=headers,
            body=RequestBody(
                receive,
                headers,
                stall_seconds=options.stall_seconds,
                handoff=_find_handoff(scope),
                slowest_bytes_per_second=options.slowest_bytes_per_second,
                window_seconds=options.window_seconds,
            ),
            origin=_origin(scope, headers, options),
            request_id=_request_id(headers),
        )
        try:
            reply = await self._reply(arrived)
        except problems.Problem as problem:
            reply = self._refuse(problem, arrived)
        except asyncio.CancelledError:
            reply = self._stopped(arrived)
        except Exception as error:  # noqa: BLE001 - the one renderer of what nobody foresaw
            reply = errors.reply_to_unexpected(error, arrived.request_id, self._asked(arrived))
        arrived.body.return_socket()
        if _find_handoff(scope) is None:
            send = sending.TimeoutSend(send, options.stall_seconds)
        try:
            await self._send(reply, arrived, Channel(receive, send, options.stall_seconds))
        except problems.ClientGone:
            return  # the server closes the connection of an answer that is not whole
        except asyncio.CancelledError:
            return  # the server stops, and has broken the connection off

    def _stopped(self, arrived: _Arrived) -> Reply:
        """Tell a client that the server stops; only the server cancels requests, and counts them in its log."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return errors.reply_to(problems.Unavailable(_STOPPED), self._asked(arrived))

    async def _reply(self, arrived: _Arrived) -> Reply:
        if sum(len(name) + len(value) for name, value in arrived.scope["headers"]) > _LONGEST_HEADERS:
            raise problems.Invalid(f"The request's headers are longer than {_LONGEST_HEADERS} bytes; send fewer or shorter ones")
        path = _path(arrived.scope)
        outside = self._outside(arrived, path)
        if outside is not None:
            return outside
        first, _, rest = path.lstrip("/").partition("/")
        with_cache = self._edge.options.has_cache
        if first == "versions":
            return discovery.versions(arrived.origin, HTTPStatus.OK, with_cache=with_cache)
        accept = arrived.text(b"accept") or ""
        if accept.startswith(_MEDIA_TYPE_VERSION):
            first, rest = accept.removeprefix(_MEDIA_TYPE_VERSION), path.removeprefix("/")
        if not discovery.is_version(first, with_cache=with_cache):
            return discovery.versions(arrived.origin, HTTPStatus.MULTIPLE_CHOICES, with_cache=with_cache)
        # A token that is not valid is refused all the same: its bearer should know.
        caller = await self._callers.find(arrived.headers, reads=arrived.method in _READING)
        if path == f"/{first}":
            whole = ((b"location", f"{arrived.origin}/v2/".encode()),)
            return Reply(status=HTTPStatus.FOUND, content_type=b"text/plain; charset=utf8", headers=whole)
        row, values = self._route(arrived, rest)
        request = Request(
            edge=self._edge,
            caller=caller,
            method=arrived.method,
            path=values,
            query=arrived.scope["query_string"],
            headers=arrived.headers,
            body=arrived.body,
            origin=arrived.origin,
            request_id=arrived.request_id,
            peer=(arrived.scope.get("client") or (None,))[0],
        )
        return _settled(await row.handler(request), row, request)

    def _outside(self, arrived: _Arrived, path: str) -> Reply | None:
        """Answer what does not belong to the Image API."""
        if path == "/healthcheck" or path.startswith("/healthcheck/"):
            is_draining = DRAINING in arrived.scope.get("state", ())
            return discovery.health(arrived.method, arrived.text(b"accept"), is_draining=is_draining)
        if arrived.method == "OPTIONS":
            # Source: Glance. What lets browsers ask from other pages answers this before anything else is looked at.
            return Reply(status=HTTPStatus.OK)
        return _document(self._described, arrived) if path == document.PATH else None

    def _route(self, arrived: _Arrived, rest: str) -> tuple[routes.Row, Mapping[str, str]]:
        found = routes.find(self._root, rest.split("/"))
        if found is None:
            raise problems.RouteNotFound(_NO_ROUTE)
        node, values = found
        row = node.rows.get(arrived.method)
        if row is None:
            raise problems.MethodNotAllowed(node.allowed)
        if row.body is routes.Body.REFUSED and _has_body(arrived):
            raise problems.Invalid(_NO_BODY)
        return row, values

    def _refuse(self, problem: problems.Problem, arrived: _Arrived) -> Reply:
        """Answer with a problem, and log it when a dependency failed: the answer does not tell why."""
        self._edge.service.failures.note(problem, arrived.request_id)
        return errors.reply_to(problem, self._asked(arrived))

    def _asked(self, arrived: _Arrived) -> errors.Asked:
        return errors.Asked(
            method=arrived.method,
            accept=arrived.text(b"accept"),
            content_type=arrived.text(b"content-type"),
            www_authenticate_uri=self._edge.options.www_authenticate_uri,
        )

    async def _send(self, reply: Reply, arrived: _Arrived, channel: Channel) -> None:
        if isinstance(reply.body, Stream):
            await self._send_stream(reply, reply.body, arrived, channel)
            return
        closes = _must_close(arrived)
        await channel.send(_start(reply, arrived, len(reply.body), closes=closes))
        await channel.send({"type": "http.response.body", "body": reply.body, "more_body": closes})
        if closes:
            # The client is still sending. Closing at once would reset the connection and the reply with it.
            if arrived.headers.get(b"expect") is None:
                await arrived.body.drain()
            await channel.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_stream(self, reply: Reply, stream: Stream, arrived: _Arrived, channel: Channel) -> None:
        call = self._edge.threads.call_remote if stream.is_remote else self._edge.threads.call_download
        source = Source(stream.pieces, reopen=stream.reopen, is_short=stream.is_short)
        if arrived.method == "HEAD":
            await channel.send(_start(reply, arrived, stream.length_bytes, closes=False))
            await channel.send({"type": "http.response.body", "body": b"", "more_body": False})
            await call(source.close)
            return
        try:
            first = await call(source.next_pieces, 0)
        except problems.Problem as problem:
            await self._send(self._refuse(problem, arrived), arrived, channel)
            return
        except asyncio.CancelledError:
            await self._send(self._stopped(arrived), arrived, channel)
            return
        counted = sending.CountingSend(channel.send)
        channel = replace(channel, send=counted)
        outbox: direct.Outbox | None = None
        try:
            await channel.send(_start(reply, arrived, stream.length_bytes, closes=False))
            handoff = _find_handoff_for(stream, arrived)
            send_socket = None
            if handoff is not None:
                send_socket = await handoff.acquire_send_socket(sending.MOMENT_SECONDS)
                if send_socket is None or source.should_release:
                    first.clear()
                    await call(source.release)
                    send_socket = send_socket or await handoff.acquire_send_socket(channel.stall_seconds)
            if send_socket is None:
                whole = await sending.send_pieces(source, first, call=call, channel=channel)
            else:
                outbox = direct.Outbox(source, first, send_socket)
                whole = await direct.send_pieces(outbox, call=call, channel=channel)
            if whole:
                await channel.send({"type": "http.response.body", "body": b"", "more_body": False})
        except problems.Problem as problem:
            # Headers are out: all that is left is to break the connection, so that the client does not take this for the whole.
            self._edge.service.failures.note(problem, f"{arrived.request_id}: image data broken off")
        finally:
            stream.ended(counted.bytes + (outbox.bytes if outbox is not None else 0))


def _find_handoff(scope: Scope) -> SocketHandoff | None:
    found: SocketHandoff | None = scope.get("extensions", {}).get(socket_handoff.EXTENSION)
    return found


def _find_handoff_for(stream: Stream, arrived: _Arrived) -> SocketHandoff | None:
    """Find the hand-off of the connection's socket, if the response is long enough and can be read again."""
    return None if stream.reopen is None or stream.length_bytes <= bodies.BLOCK_BYTES else _find_handoff(arrived.scope)


def _document(reply: Reply, arrived: _Arrived) -> Reply:
    """Give a document that is the same for everybody, or say that the client has it."""
    if arrived.method not in ("GET", "HEAD"):
        raise problems.MethodNotAllowed(("GET", "HEAD"))
    if reply.etag is not None and conditions.matches_etag(arrived.text(b"if-none-match"), reply.etag):
        return Reply(status=HTTPStatus.NOT_MODIFIED, etag=reply.etag)
    return reply


def _settled(reply: Reply, row: routes.Row, request: Request) -> Reply:
    """Give a handler's reply its status, and say "not modified" instead where the client has these very bytes."""
    if reply.status is not None:
        return reply
    etag = reply.etag if row.method == "GET" else None
    if etag is not None and conditions.matches_etag(request.header(b"if-none-match"), etag):
        return Reply(status=HTTPStatus.NOT_MODIFIED, etag=etag)
    kind = reply.content_type or (_TYPE_OF_NOTHING if reply.body == b"" else None)
    return Reply(status=row.status, body=reply.body, content_type=kind, headers=reply.headers, etag=etag)


def _start(reply: Reply, arrived: _Arrived, length_bytes: int, *, closes: bool) -> dict[str, Any]:
    status = reply.status or HTTPStatus.OK
    headers: list[Header] = [(b"x-openstack-request-id", arrived.request_id.encode())]
    if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append((b"content-length", b"%d" % length_bytes))
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type))
    if reply.etag is not None:
        headers += ((b"etag", reply.etag), (b"vary", b"x-auth-token"))
    if closes:
        headers.append((b"connection", b"close"))
    headers += reply.headers
    return {"type": "http.response.start", "status": status.value, "headers": headers}


def _has_body(arrived: _Arrived) -> bool:
    """Say whether the request carries a body, by the rule of Glance: chunks count only where a method may have a body."""
    return bool(arrived.body.length_bytes) or (arrived.body.is_chunked and arrived.method in {"POST", "PUT", "PATCH"})


def _must_close(arrived: _Arrived) -> bool:
    """Say whether the connection cannot be used again, because part of this request's body is still to come.

    A little of it the server receives and forgets by itself. But a client that asked whether to send a body, and got its answer
    instead, may or may not send it: what comes next on the connection could be taken for either.
    """
    body = arrived.body
    if body.is_finished:
        return False
    return body.length_bytes is None or body.length_bytes > _SMALL_BODY_BYTES or b"expect" in arrived.headers


def _headers(sent: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Make one value of a header that came more than once, so that nobody reads one of two. Source: RFC 9110, 5.3."""
    found = dict(sent)
    if len(found) == len(sent):
        return found
    joined: dict[bytes, bytes] = {}
    for name, value in sent:
        joined[name] = joined[name] + b"," + value if name in joined else value
    return joined


def _path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    try:
        path = unquote_to_bytes(raw).decode() if b"%" in raw else raw.decode()
    except UnicodeDecodeError as error:
        raise problems.Invalid(_UNREADABLE) from error
    if "\x00" in path:
        raise problems.Invalid(_UNREADABLE)
    return path


def _origin(scope: Scope, headers: Mapping[bytes, bytes], options: EdgeOptions) -> str:
    if options.public_endpoint:
        return options.public_endpoint.rstrip("/")
    authority = headers.get(b"host", b"").decode("latin-1")
    if not _AUTHORITY.fullmatch(authority):
        host, port = scope.get("server") or ("localhost", None)
        authority = f"{host}:{port}" if port else host
    # Source: uWSGI, below Glance. A proxy that ends TLS says so; a client that says so itself changes its own links alone.
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1")
    return f"{scheme if scheme in _SCHEMES else scope.get('scheme', 'http')}://{authority}"


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """Take the client's id, so that one action has one id in every service's log, or make one."""
    given = headers.get(b"x-openstack-request-id", b"").decode("latin-1")
    if not _REQUEST_ID.fullmatch(given):
        return f"req-{uuid.uuid4()}"
    return given if given.startswith("req-") else f"req-{given}"
