"""uvicorn's HTTP/1.1 protocol with limits on size and time before the application sees a request.

httptools accepts request lines and headers of any length, and has no timeout: without limits one client could fill the memory or
hold every connection. It also merges trailers into the headers, accepts transfer codings other than `chunked` without decoding
them, and ends a request that offers an upgrade after its head
(docs/decisions/0044-upgrade-is-ignored.md).
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from partage.http import exchange
from partage.http.client_address import find_exact_address
from partage.http.options import STALL_SECONDS
from partage.http.server import socket_handoff
from partage.http.server.connections import HEAD_SECONDS, Connections
from partage.http.server.send_timeout import SendTimeout, count_acknowledged, reset_on_close
from partage.measures import Unmetered

LONGEST_HEAD_BYTES = 131_072
"""Higher than the application's limit, so that a client just above that limit still gets the application's error response."""

_HEAD_TOO_LONG = "The request's first line and headers are too long."
_MALFORMED = "Invalid HTTP request received."
_TRUNCATED = "The body ended before its last chunk."
_VERSIONS = ("1.0", "1.1")
_CODING = b"transfer-encoding"
_UPGRADE = b"upgrade"
_RETRY_SECONDS = 2
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1 << 20
_LAST_HEAD_SECONDS = 2.0


class _RefusedError(Exception):
    """A request that is refused before it reaches the application."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What `uvicorn.Config(http=...)` takes."""

    head_seconds = HEAD_SECONDS
    stall_seconds = STALL_SECONDS

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make the protocol of one connection; uvicorn calls this."""
        super().__init__(config, server_state, app_state, _loop)
        self._shared = server_state if isinstance(server_state, Connections) else None
        self._head_seconds = self.head_seconds if self._shared is None else self._shared.head_seconds
        self._idle_seconds = float(self.timeout_keep_alive) if self._shared is None else self._shared.idle_seconds
        self._in_head = True
        self._has_begun = False
        self._deadline: asyncio.TimerHandle | None = None
        self._is_idle = False
        self._part_switched = False
        self._head_bytes = 0
        self._field_bytes = 0
        self._codings: list[bytes] = []
        self._last_chunk_is_empty = False
        self._offers_upgrade = False
        self._discarded_bytes: int | None = None
        self._unanswered: list[RequestResponseCycle] = []
        self._send_timeout: SendTimeout | None = None
        self._meter = Unmetered() if self._shared is None else self._shared.meter
        self.is_aborted = False

    # Called by the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head, or respond at once that there are too many connections."""
        super().connection_made(transport)
        self._send_timeout = SendTimeout(transport, self.loop, self.stall_seconds)
        if self._shared is not None and not self._shared.admit():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are under way on other connections; try again soon.")
        else:
            self._start_timeout(self._head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timeouts and end all requests."""
        if self._send_timeout is not None:
            self._send_timeout.stop()
        self._cancel_timeout()
        self._disconnect_requests()
        if self._shared is not None:
            self._shared.forget(self)
        if self._discarded_bytes is not None and self._shared is not None:
            self._shared.lingering -= 1
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse a head that is not complete after too many bytes.

        Only data that is part of one head from its first byte to its last is counted: data that ends a body or begins a head may
        be mostly body.
        """
        if self._discarded_bytes is not None:
            self._discard(data)
            return
        self._part_switched = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            refused = cause if isinstance(cause, _RefusedError) else _RefusedError(HTTPStatus.BAD_REQUEST, _MALFORMED)
            self._refuse(refused.status, str(refused))
            return
        self._head_bytes = self._head_bytes + len(data) if self._in_head and not self._part_switched else 0
        if self._head_bytes > LONGEST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, _HEAD_TOO_LONG)
        elif self._is_idle:
            # Any byte, even an empty line, begins a head. Later bytes do not extend the timeout.
            self._start_timeout(self._head_seconds)

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Start counting the bytes of a head."""
        self._switch_part(in_head=True)
        self._has_begun = True
        self._field_bytes = 0
        self._codings = []
        self._last_chunk_is_empty = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of headers; `data_received` turns the error into a refusal.

        A proxy does not check trailers, so a trailer (a token, for example) must not count as a header.
        """
        if not self._in_head:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "Headers after the body are not taken.")
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > LONGEST_HEAD_BYTES:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, _HEAD_TOO_LONG)
        if len(name) == len(_CODING) and name.lower() == _CODING:
            self._codings.append(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting, and pass the request to the application."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        if self._codings:
            _check_codings(self._codings, version)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "The method CONNECT is for proxies, and this is none.")
            self._offers_upgrade = True  # the parser ends the message here; `_feed` parses the head again without the offer
            return
        self._switch_part(in_head=False)
        self._has_begun = False
        self._cancel_timeout()
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1: an HTTP/1.0 client would take the 100 for the response
        super().on_headers_complete()
        self._unanswered = [each for each in self._unanswered if not each.response_complete]
        newest = cast("RequestResponseCycle | None", self.cycle)
        if newest is not None and newest not in self._unanswered:
            self._unanswered.append(newest)
            cast("dict[str, Any]", self.scope)["extensions"] = {socket_handoff.EXTENSION: _ConnectionHandoff(self, newest)}
            if self._shared is not None and self._shared.is_draining:
                newest.keep_alive = False

    def on_chunk_header(self) -> None:
        """Note that a chunk begins. The last chunk of a body is empty."""
        self._last_chunk_is_empty = True

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._last_chunk_is_empty = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        if self._offers_upgrade:
            return
        if self._codings and not self._last_chunk_is_empty:
            # The parser never does this today. If it did, a truncated body must not count as complete.
            raise _RefusedError(HTTPStatus.BAD_REQUEST, _TRUNCATED)
        self._switch_part(in_head=True)
        super().on_message_complete()

    # Called by the server and by the request's own cycle.

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or wait for one."""
        self.server_state.total_requests += 1
        if self._shared is not None:
            self._shared.limit_unsent(self)
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._has_begun or self.cycle.more_body:
            # A part of a head has arrived, or the rest of an unread body is still to come: both get the same timeout.
            self._start_timeout(self._head_seconds)
        elif self._shared is not None and self._shared.is_closing:
            self.transport.close()
        else:
            self._start_timeout(self._idle_seconds, is_idle=True)

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request; uvicorn calls this."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def start_next_message(self) -> None:
        """Expect the next head: the rest of this request's body was received on the handed-off socket."""
        self.on_message_complete()
        self.parser = self._new_parser()

    @property
    def unsent_bytes(self) -> int:
        """See `ClientConnection`."""
        return int(self.transport.get_write_buffer_size())

    @property
    def acknowledged_bytes(self) -> int:
        """See `ClientConnection`."""
        return count_acknowledged(self.transport.get_extra_info("socket"), self.unsent_bytes)

    def reset(self) -> None:
        """Reset the connection, and discard unsent data, also in the kernel."""
        self._cancel_timeout()
        self._disconnect_requests()
        reset_on_close(self.transport.get_extra_info("socket"))
        self.transport.abort()

    def close_idle(self) -> None:
        """Close the connection, which is idle, to admit another one."""
        self._close()

    def announce_close(self) -> None:
        """Send `Connection: close` with the last response, unless that response has begun."""
        for cycle in self._unanswered[-1:]:
            if not cycle.response_started:
                cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection when no request is running. A new connection without a request gets a short time to send one."""
        if self._discarded_bytes is not None:
            return
        if self._is_busy():
            self.announce_close()
        elif self._is_idle:
            self.transport.close()
        else:
            self._start_timeout(min(self._head_seconds, _LAST_HEAD_SECONDS))

    def abort(self) -> bool:
        """Abort a response that has begun, or close an idle connection; say whether a response was aborted."""
        begun = [cycle for cycle in self._unanswered if cycle.response_started and not cycle.response_complete]
        if not begun and self._is_busy():
            self.announce_close()
            return False
        self.is_aborted = True
        self._disconnect_requests()
        self.transport.abort()
        return bool(begun)

    def has_unanswered(self) -> bool:
        """Return whether a request is running whose response has not begun."""
        return self._is_busy() and not self.cycle.response_started

    # Private.

    def _feed(self, data: bytes) -> None:
        """Feed the parser; parse a head that offers an upgrade a second time, without the offer.

        Source: RFC 9110, 7.8: a server may ignore `Upgrade`. The parser has no option for that.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                rest = memoryview(rest)[offer.args[0] :]
                self._offers_upgrade = False
                head = self._head_without_offer()
                self.parser = self._new_parser()
            else:
                return
            self.parser.feed_data(head)

    def _head_without_offer(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += (b"%s: %s" % header for header in self.headers if header[0] != _UPGRADE)
        return b"\r\n".join((*lines, b"", b""))

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn: the response before may still be sent
        return parser

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        """Refuse a request; during a response only close, since the text would become a part of that response."""
        address = find_exact_address((self.client or (None,))[0], None, ())
        exchange.record_refused(self._meter, status.value, words, address=address)
        newest = cast("RequestResponseCycle | None", self.cycle)
        if self.pipeline or (newest is not None and newest.response_started and not newest.response_complete):
            self._close()
            return
        self._cancel_timeout()
        self._disconnect_requests()
        if self.transport.is_closing():
            return
        headers = [b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(words), b"connection: close"]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(b"retry-after: %d" % _RETRY_SECONDS)
        self.transport.write(STATUS_LINE[status] + b"\r\n".join((*headers, b"", words.encode("ascii"))))
        self._close_gracefully()

    def _close_gracefully(self) -> None:
        """Send FIN, then read for a moment before closing: a close with unread data would reset it and lose the text."""
        if not self.transport.can_write_eof() or (self._shared is not None and not self._shared.may_linger()):
            self.transport.close()
            return
        self._discarded_bytes = 0
        if self._shared is not None:
            self._shared.lingering += 1
        self.flow.resume_reading()
        self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _discard(self, data: bytes) -> None:
        self._discarded_bytes = (self._discarded_bytes or 0) + len(data)
        if self._discarded_bytes > _LINGER_BYTES:
            self.transport.abort()

    def _is_busy(self) -> bool:
        newest = cast("RequestResponseCycle | None", self.cycle)
        return newest is not None and not newest.response_complete

    def _start_timeout(self, seconds: float, *, is_idle: bool = False) -> None:
        """Start the timeout after which the connection is closed unless a complete head has arrived."""
        self._cancel_timeout()
        self._is_idle = is_idle
        self._deadline = self.loop.call_later(seconds, self._close)
        if self._shared is not None:
            self._shared.mark_idle(self)

    def _cancel_timeout(self) -> None:
        self._is_idle = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._shared is not None:
            self._shared.mark_busy(self)

    def _close(self) -> None:
        self._cancel_timeout()
        self._disconnect_requests()
        self.transport.close()

    def _disconnect_requests(self) -> None:
        """Mark every unanswered request as disconnected; uvicorn marks only the newest, and later.

        uvloop raises an error on a write to a closed connection, which would be logged as a failure.
        """
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _switch_part(self, *, in_head: bool) -> None:
        self._in_head = in_head
        self._part_switched = True


def _check_codings(values: list[bytes], version: str) -> None:
    """Accept the transfer coding `chunked` and no other. Source: RFC 9112, 6.1 and 6.3."""
    said = b",".join(values)
    if version == "1.0":
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "HTTP/1.0 knows no Transfer-Encoding; send a Content-Length.")
    if said.lower() == b"chunked":
        return
    codings = [each.strip().lower() for each in said.split(b",")]
    if codings[-1] == b"chunked" and codings.count(b"chunked") == 1 and all(codings):
        words = "Of transfer codings only chunked is understood; send the body as it is, in chunks or with a Content-Length."
        raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED, words)
    raise _RefusedError(HTTPStatus.BAD_REQUEST, "The Transfer-Encoding does not end in chunked, once: the body has no certain end.")


class _ConnectionHandoff:
    """Hands off the socket of one request's connection: a `socket_handoff.SocketHandoff`."""

    def __init__(self, protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._cycle = cycle

    @property
    def is_disconnected(self) -> bool:
        """See `SocketHandoff`."""
        return self._cycle.disconnected

    @property
    def is_aborted(self) -> bool:
        """See `SocketHandoff`."""
        return self._protocol.is_aborted and self._cycle.disconnected

    def send_interim(self, status_line: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """See `SocketHandoff`."""
        cycle = self._cycle
        if self._transport.is_closing() or cycle.disconnected or cycle.response_started or cycle.scope["http_version"] != "1.1":
            return
        lines = [b"HTTP/1.1 " + status_line, *(b"%s: %s" % header for header in headers), b"", b""]
        self._transport.write(b"\r\n".join(lines))

    async def acquire_send_socket(self, stall_seconds: float) -> socket_handoff.SendSocket | None:
        """See `SocketHandoff`."""
        # With limits of zero the transport calls its buffer full as long as there is anything in it.
        self._limit_buffer(0)
        try:
            async with asyncio.timeout(stall_seconds):
                await self._cycle.flow.drain()
        except TimeoutError:
            return None
        finally:
            self._limit_buffer(None)
        own = self._duplicate_socket()
        return None if own is None else socket_handoff.SendSocket(own, self._note_sent)

    def acquire_receive_socket(self) -> socket_handoff.ReceiveSocket | None:
        """See `SocketHandoff`."""
        own = self._duplicate_socket() if self._cycle.more_body else None
        if own is None:
            return None
        self._cycle.flow.pause_reading()
        early, self._cycle.body = bytes(self._cycle.body), bytearray()
        return socket_handoff.ReceiveSocket(own, early, self._finish, self._resume_reading)

    def _duplicate_socket(self) -> socket.socket | None:
        """Duplicate the descriptor: the transport may close its own, and the number may be reused for another connection."""
        below = self._transport.get_extra_info("socket")
        if below is None or self._transport.get_extra_info("sslcontext") is not None:
            return None
        if self._transport.is_closing() or self._cycle.disconnected:
            return None
        return socket.socket(fileno=os.dup(below.fileno()))

    def _limit_buffer(self, high: int | None) -> None:
        if not self._transport.is_closing():  # uvloop raises an error for a closing transport
            self._transport.set_write_buffer_limits(high)

    def _note_sent(self, size_bytes: int) -> None:
        self._cycle.expected_content_length -= size_bytes

    def _finish(self) -> None:
        if not self._transport.is_closing():
            self._protocol.start_next_message()
        self._resume_reading()

    def _resume_reading(self) -> None:
        if not self._transport.is_closing():  # uvloop raises an error for a closing transport
            self._cycle.flow.resume_reading()
