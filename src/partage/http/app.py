"""The ASGI application: one request in, one reply out. There is no middleware: all steps are in this module.

`_serve` and `_reply` are the list of steps. Each API is a `Surface` with its own prefix, routes and form of errors.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from partage import problems
from partage.http import caller as callers
from partage.http import exchange as exchanges
from partage.http import health
from partage.http.admission import Admission
from partage.http.caller import Identity
from partage.http.client_address import find_exact_address
from partage.http.errors import FailedRequest
from partage.http.exchange import Ending
from partage.http.incoming import (
    Incoming,
    Scope,
    choose_request_id,
    decode_path,
    find_global_id,
    join_headers,
    origin_of,
    read_start_of_path,
)
from partage.http.messages import Edge, Header, Reply, Request, Stream
from partage.http.options import EdgeOptions
from partage.http.partage import surface as sharing_api
from partage.http.routing import Body, Node, Row, find
from partage.http.server import body as bodies
from partage.http.server import conditions, direct, sending, socket_handoff
from partage.http.server.body import Channel, Receive, RequestBody, Send
from partage.http.server.sending import Source
from partage.http.server.server import DRAINING
from partage.http.server.socket_handoff import SocketHandoff
from partage.http.server.threads import Threads
from partage.http.surface import Surface
from partage.http.v2 import surface as image_api
from partage.http.v2.surface import list_versions
from partage.measures import TRANSFERS, Activity, Trace
from partage.model.caller import Caller
from partage.operations.service import Service
from partage.stores.cache.copies import FilePart

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger(__name__)

_VERSIONS = "/versions"
"""The route of every path that belongs to no surface: the response is the list of versions."""
_LONGEST_HEADERS = 65_536
_READING = frozenset({"GET", "HEAD"})
_TYPE_OF_NOTHING = b"text/html; charset=UTF-8"
"""Source: Glance, of nearly every empty answer."""
_UNREADABLE = "Error decoding your request. The URL contained characters that could not be decoded by this service"
_NO_ROUTE = "The resource could not be found."
_STOPPED = "The service is stopping and could not finish this request in time; send it again"
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
        meter=service.process.meter,
    )
    edge = Edge(service=service, threads=threads, options=options, uploads=Admission(options.uploads_at_once))
    return _Application(edge, identity, (sharing_api.build(service), image_api.build(options)))


class _Application:
    """The application of one process. Lives in the event loop's thread; holds nothing that changes.

    The last of the surfaces is the Image API: requests that belong to no surface are answered as Glance does.
    """

    def __init__(self, edge: Edge, identity: Identity, surfaces: Sequence[Surface]) -> None:
        self._edge = edge
        options = edge.options
        self._callers = callers.Callers(
            identity, edge.threads, waiting=options.validations_waiting, anonymous=options.allow_anonymous
        )
        self._surfaces = surfaces
        self._image_api = surfaces[-1]
        self._documents = {path: answer for surface in surfaces for path, answer in surface.documents.items()}

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
        decoded = decode_path(scope)
        incoming = self._read(scope, receive, decoded or "")
        traceparent = incoming.headers.get(b"traceparent", b"").decode("latin-1")
        trace = self._edge.service.process.meter.trace(Activity.REQUEST, traceparent)
        try:
            await self._respond(incoming, decoded, receive, send)
        finally:
            self._record(incoming, trace)

    def _read(self, scope: Scope, receive: Receive, path: str) -> Incoming:
        options = self._edge.options
        headers = join_headers(scope["headers"])
        body = RequestBody(
            receive,
            headers,
            stall_seconds=options.stall_seconds,
            handoff=_find_handoff(scope),
            slowest_bytes_per_second=options.slowest_bytes_per_second,
            window_seconds=options.window_seconds,
        )
        return Incoming(
            scope=scope,
            method=scope["method"],
            headers=headers,
            body=body,
            origin=origin_of(scope, headers, options),
            request_id=choose_request_id(headers),
            path=path,
        )

    async def _respond(self, incoming: Incoming, decoded: str | None, receive: Receive, send: Send) -> None:
        surface, exchange, handoff = self._image_api, incoming.exchange, _find_handoff(incoming.scope)
        stall_seconds = self._edge.options.stall_seconds
        try:
            _require_short_headers(incoming)
            readable = incoming if decoded is not None else replace(incoming, path=read_start_of_path(incoming.scope))
            surface, path = self._find_surface(readable)
            _require_decoded(decoded)
            reply = await self._reply(incoming, surface, path)
        except problems.Problem as problem:
            reply = self._refuse(problem, incoming, surface)
        except asyncio.CancelledError:
            reply = self._refuse_stopped(incoming, surface)
        except Exception as error:  # noqa: BLE001 - the one place where unexpected errors are rendered
            _LOG.error("%s: unexpected failure", incoming.request_id, exc_info=error)
            reply = surface.render_unexpected(self._summarise(incoming))
        incoming.body.return_socket()
        if handoff is None:
            send = sending.TimeoutSend(send, stall_seconds)
        try:
            await self._send(reply, incoming, surface, Channel(receive, send, stall_seconds))
        except problems.ClientGone:
            exchange.end(Ending.CLIENT_GONE)  # the server closes the connection of an answer that is not whole
        except asyncio.CancelledError:
            exchange.end(Ending.STOPPED)  # the server stops, and has broken the connection off
        if handoff is not None and handoff.is_disconnected:
            exchange.end(Ending.CLIENT_GONE)
        if handoff is not None and handoff.is_aborted:
            exchange.ending = Ending.STOPPED

    def _record(self, incoming: Incoming, trace: Trace) -> None:
        """Log and measure a request that has ended, and end its trace."""
        exchanges.measure(
            incoming.exchange,
            self._edge.service.process.meter,
            method=incoming.method,
            received_bytes=incoming.body.received_bytes,
        )
        client = incoming.scope.get("client") or (None,)
        exchanges.record(
            incoming.exchange,
            trace,
            method=incoming.method,
            received_bytes=incoming.body.received_bytes,
            request_id=incoming.request_id,
            global_id=find_global_id(incoming.headers),
            address=find_exact_address(client[0], incoming.header(b"x-forwarded-for"), self._edge.options.trusted_proxies),
        )

    async def _reply(self, incoming: Incoming, surface: Surface, path: str | None) -> Reply:
        """Take a request through its steps; the first step that has a reply ends them."""
        for step in (self._check_health, self._answer_options, self._answer_document):
            reply = step(incoming)
            if reply is not None:
                return reply
        if path is None:
            incoming.exchange.route = _VERSIONS
            return list_versions(incoming, self._edge.options)
        # Before a path without a route is refused: an invalid token is the first error to report.
        found = find(surface.tree, path.split("/"))
        if found is not None:
            incoming.exchange.route = found[0].path
        caller = await self._callers.find(incoming.headers, reads=incoming.method in _READING)
        incoming.exchange.caller = caller
        root = surface.answer_root(incoming)
        if root is not None:
            incoming.exchange.route = incoming.path  # one of the listed versions
            return root
        row, parameters = _require_row(found, incoming)
        request = self._build_request(incoming, caller, parameters)
        return _finish_reply(await row.handler(request), row, request)

    def _find_surface(self, incoming: Incoming) -> tuple[Surface, str | None]:
        for surface in self._surfaces:
            path = surface.find_path(incoming)
            if path is not None:
                return surface, path
        return self._image_api, None

    def _check_health(self, incoming: Incoming) -> Reply | None:
        is_draining = DRAINING in incoming.scope.get("state", ())
        if incoming.path == health.READINESS:
            incoming.exchange.route = health.READINESS
            return health.report_readiness(self._edge.options.readiness.report(), is_draining=is_draining)
        if incoming.path != health.HEALTH and not incoming.path.startswith(f"{health.HEALTH}/"):
            return None
        incoming.exchange.route = health.HEALTH
        disabled_by = self._edge.options.disabled_by
        return health.check(incoming.method, incoming.header(b"accept"), is_draining=is_draining, disabled_by=disabled_by)

    def _answer_options(self, incoming: Incoming) -> Reply | None:
        """Answer OPTIONS of any path. Source: Glance; its CORS middleware answers before anything else is looked at."""
        if incoming.method != "OPTIONS":
            return None
        surface, path = self._find_surface(incoming)
        return Reply(status=HTTPStatus.OK, headers=surface.describe_options(path or ""))

    def _answer_document(self, incoming: Incoming) -> Reply | None:
        """Answer a document that is the same for every client, or say that the client has it."""
        answer = self._documents.get(incoming.path)
        if answer is None:
            return None
        incoming.exchange.route = incoming.path
        if incoming.method not in _READING:
            raise problems.MethodNotAllowed(("GET", "HEAD"))
        reply = answer(incoming)
        if reply.etag is not None and conditions.matches_etag(incoming.header(b"if-none-match"), reply.etag):
            return Reply(status=HTTPStatus.NOT_MODIFIED, etag=reply.etag)
        return reply

    def _build_request(self, incoming: Incoming, caller: Caller, parameters: Mapping[str, str]) -> Request:
        return Request(
            edge=self._edge,
            caller=replace(caller, request_id=incoming.request_id),
            method=incoming.method,
            path=parameters,
            query=incoming.scope["query_string"],
            headers=incoming.headers,
            body=incoming.body,
            origin=incoming.origin,
            request_id=incoming.request_id,
            peer=(incoming.scope.get("client") or (None,))[0],
        )

    def _refuse(self, problem: problems.Problem, incoming: Incoming, surface: Surface) -> Reply:
        """Answer with a problem, and log it when a dependency failed: the answer does not say why."""
        self._edge.service.process.failures.note(problem, incoming.request_id)
        if isinstance(problem, problems.ClientGone):
            incoming.exchange.end(Ending.CLIENT_GONE)
        return surface.render(problem, self._summarise(incoming))

    def _refuse_stopped(self, incoming: Incoming, surface: Surface) -> Reply:
        """Answer that the server stops; only the server cancels requests, and counts them in its log."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        incoming.exchange.end(Ending.STOPPED)
        return surface.render(problems.Unavailable(_STOPPED), self._summarise(incoming))

    def _summarise(self, incoming: Incoming) -> FailedRequest:
        return FailedRequest(
            method=incoming.method,
            accept=incoming.header(b"accept"),
            content_type=incoming.header(b"content-type"),
            www_authenticate_uri=self._edge.options.www_authenticate_uri,
        )

    async def _send(self, reply: Reply, incoming: Incoming, surface: Surface, channel: Channel) -> None:
        if isinstance(reply.body, Stream):
            await self._send_stream(reply, reply.body, incoming, surface, channel)
            return
        closes = incoming.must_close
        await channel.send(_start(reply, incoming, len(reply.body), closes=closes))
        await channel.send({"type": "http.response.body", "body": reply.body, "more_body": closes})
        if incoming.method != "HEAD":
            incoming.exchange.sent_bytes = len(reply.body)
        if closes:
            # The client is still sending. To close now would reset the connection, and the client would lose the reply.
            if incoming.headers.get(b"expect") is None:
                await incoming.body.drain()
            await channel.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_stream(self, reply: Reply, stream: Stream, incoming: Incoming, surface: Surface, channel: Channel) -> None:
        call = self._edge.threads.call_remote if stream.is_remote else self._edge.threads.call_download
        source = Source(stream.pieces, reopen=stream.reopen, is_short=stream.is_short)
        if incoming.method == "HEAD":
            await channel.send(_start(reply, incoming, stream.length_bytes, closes=False))
            await channel.send({"type": "http.response.body", "body": b"", "more_body": False})
            await call(source.close)
            return
        handoff = _find_handoff_for(stream, incoming)
        try:
            first: list[sending.Piece] = [] if handoff is None else await call(source.next_pieces, 0)
            in_memory: list[bytes] = await call(source.next_bytes, 0) if handoff is None else []
        except problems.Problem as problem:
            await self._send(self._refuse(problem, incoming, surface), incoming, surface, channel)
            return
        except asyncio.CancelledError:
            await self._send(self._refuse_stopped(incoming, surface), incoming, surface, channel)
            return
        counted = sending.CountingSend(channel.send)
        channel = replace(channel, send=counted)
        outbox: direct.Outbox | None = None
        self._edge.service.process.meter.change(TRANSFERS, "download", by=1)
        try:
            await channel.send(_start(reply, incoming, stream.length_bytes, closes=False))
            send_socket = None
            if handoff is not None:
                send_socket = await handoff.acquire_send_socket(sending.MOMENT_SECONDS)
                if send_socket is None or source.should_release:
                    first.clear()
                    await call(source.release)
                    send_socket = send_socket or await handoff.acquire_send_socket(channel.stall_seconds)
            if send_socket is None:
                whole = await sending.send_pieces(source, in_memory, call=call, channel=channel)
            else:
                if first and isinstance(first[0], FilePart):
                    call = self._edge.threads.call_sending
                outbox = direct.Outbox(source, first, send_socket)
                whole = await direct.send_pieces(outbox, call=call, channel=channel)
            if whole:
                await channel.send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                incoming.exchange.end(Ending.CLIENT_GONE)
        except problems.Problem as problem:
            # The headers are sent: only closing the connection tells the client that the data is incomplete.
            incoming.exchange.end(Ending.BROKEN_OFF)
            self._edge.service.process.failures.note(problem, f"{incoming.request_id}: image data broken off")
        finally:
            self._edge.service.process.meter.change(TRANSFERS, "download", by=-1)
            incoming.exchange.sent_bytes = counted.bytes + (outbox.bytes if outbox is not None else 0)
            stream.ended(incoming.exchange.sent_bytes)


def _find_handoff(scope: Scope) -> SocketHandoff | None:
    found: SocketHandoff | None = scope.get("extensions", {}).get(socket_handoff.EXTENSION)
    return found


def _find_handoff_for(stream: Stream, incoming: Incoming) -> SocketHandoff | None:
    """Find the hand-off of the connection's socket, if the response is long enough and can be read again."""
    return None if stream.reopen is None or stream.length_bytes <= bodies.BLOCK_BYTES else _find_handoff(incoming.scope)


def _require_short_headers(incoming: Incoming) -> None:
    if sum(len(name) + len(value) for name, value in incoming.scope["headers"]) > _LONGEST_HEADERS:
        raise problems.Invalid(f"The request's headers are longer than {_LONGEST_HEADERS} bytes; send fewer or shorter ones")


def _require_decoded(path: str | None) -> None:
    if path is None:
        raise problems.Invalid(_UNREADABLE)


def _require_row(found: tuple[Node, Mapping[str, str]] | None, incoming: Incoming) -> tuple[Row, Mapping[str, str]]:
    if found is None:
        raise problems.RouteNotFound(_NO_ROUTE)
    node, parameters = found
    row = node.rows.get(incoming.method)
    if row is None:
        raise problems.MethodNotAllowed(node.allowed)
    if row.body is Body.REFUSED and incoming.has_body:
        raise problems.Invalid(_NO_BODY)
    return row, parameters


def _finish_reply(reply: Reply, row: Row, request: Request) -> Reply:
    """Complete a handler's reply with the route's status, or reply 304 if the client has the same bytes."""
    if reply.status is not None:
        return reply
    etag = reply.etag if row.method == "GET" else None
    if etag is not None and conditions.matches_etag(request.header(b"if-none-match"), etag):
        return Reply(status=HTTPStatus.NOT_MODIFIED, etag=etag)
    kind = reply.content_type or (_TYPE_OF_NOTHING if reply.body == b"" else None)
    return Reply(status=row.status, body=reply.body, content_type=kind, headers=reply.headers, etag=etag)


def _start(reply: Reply, incoming: Incoming, length_bytes: int, *, closes: bool) -> dict[str, Any]:
    status = reply.status or HTTPStatus.OK
    incoming.exchange.status = status.value
    headers: list[Header] = [(b"x-openstack-request-id", incoming.request_id.encode())]
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
