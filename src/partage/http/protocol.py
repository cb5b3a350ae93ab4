"""uvicorn's HTTP/1.1 protocol with bounds on what it takes, and for how long it waits, before the application sees a request.

httptools takes first lines and headers of any length, and waits for them for ever: without bounds one client could fill the memory
or hold every connection. It also puts headers that follow a chunked body among those that came before it.
"""

import asyncio
import os
import socket
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from partage.http import lending

LONGEST_HEAD_BYTES = 131_072
"""Above the application's own bound, so that a client just above that one still gets an answer in its form."""

HEAD_SECONDS = 60.0
"""How long a new connection may be silent, and a head may take from its first byte to its last."""

_WORDS = "The request's first line and headers are too long."
_VERSIONS = ("1.0", "1.1")


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What `uvicorn.Config(http=...)` takes."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        """Make what uvicorn makes for each connection."""
        super().__init__(*given, **named)
        self._in_head = True
        self._has_begun = False
        self._patience: asyncio.TimerHandle | None = None
        self._moved_on = False
        self._head_bytes = 0
        self._field_bytes = 0
        self._unanswered: list[RequestResponseCycle] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        self._answer_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and give the connection up when a head still is not complete after too many bytes.

        Only data that lies in one head from its first byte to its last is counted: the data that ends a body, or begins a head,
        may be mostly body.
        """
        self._moved_on = False
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._in_head and not self._moved_on else 0
        if self._head_bytes > LONGEST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(_WORDS)
        if self._has_begun and self._patience is None:
            self._wait()
        elif not self._has_begun:
            self._stop_waiting()

    def send_400_response(self, msg: str) -> None:
        """Refuse what came; but not in the middle of an answer, where the words would be taken for a part of it."""
        newest = cast("RequestResponseCycle | None", self.cycle)
        if self.pipeline or (newest is not None and newest.response_started and not newest.response_complete):
            self._close()
        else:
            self._answer_no_more()
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._move_on(in_head=True)
        self._has_begun = True
        self._field_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count headers; the parser turns errors into a 400.

        Nobody who stands before the service looks at trailers, so what they say (another token, say) must not count as a header.
        """
        if not self._in_head:
            raise ValueError("headers after the body are not taken")
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > LONGEST_HEAD_BYTES:
            raise ValueError(_WORDS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting."""
        if self.parser.get_http_version() not in _VERSIONS:
            raise ValueError("only HTTP/1.0 and HTTP/1.1 are spoken here")
        self._move_on(in_head=False)
        self._has_begun = False
        super().on_headers_complete()
        self._unanswered = [each for each in self._unanswered if not each.response_complete]
        newest = cast("RequestResponseCycle | None", self.cycle)
        if newest is not None and newest not in self._unanswered:
            self._unanswered.append(newest)
            cast("dict[str, Any]", self.scope)["extensions"] = {lending.EXTENSION: _Lender(self, newest)}

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._move_on(in_head=True)
        super().on_message_complete()

    def begin_anew(self) -> None:
        """Expect the next head, now that the rest of this request's body has been received by somebody else."""
        self.on_message_complete()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own: the answer before may still go out

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(self.head_seconds, self._close)

    def _close(self) -> None:
        self._answer_no_more()
        self.transport.close()

    def _answer_no_more(self) -> None:
        """Tell every request that has no whole answer yet that its client is gone; uvicorn tells the newest one, and later.

        uvloop refuses what is written to a connection that has been closed, and the refusal would be taken for a failure.
        """
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _move_on(self, *, in_head: bool) -> None:
        self._in_head = in_head
        self._moved_on = True


class _Lender:
    """Lends the socket below one request's connection: a `lending.Lender`."""

    def __init__(self, protocol: BoundedProtocol, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        self._cycle = cycle

    async def outlet(self, stall_seconds: float) -> lending.Outlet | None:
        """See `lending.Lender`."""
        # With limits of zero the transport calls its buffer full as long as there is anything in it.
        self._limit_buffer(0)
        try:
            async with asyncio.timeout(stall_seconds):
                await self._cycle.flow.drain()
        except TimeoutError:
            return None
        finally:
            self._limit_buffer(None)
        own = self._own_socket()
        return None if own is None else lending.Outlet(own, self._note_sent)

    def inlet(self) -> lending.Inlet | None:
        """See `lending.Lender`."""
        own = self._own_socket() if self._cycle.more_body else None
        if own is None:
            return None
        self._cycle.flow.pause_reading()
        early, self._cycle.body = bytes(self._cycle.body), bytearray()
        return lending.Inlet(own, early, self._go_on, self._read_on)

    def _own_socket(self) -> socket.socket | None:
        """Make a descriptor of the borrower's own: the transport may close its one, and the number then mean another connection."""
        below = self._transport.get_extra_info("socket")
        if below is None or self._transport.get_extra_info("sslcontext") is not None or self._transport.is_closing():
            return None
        return socket.socket(fileno=os.dup(below.fileno()))

    def _limit_buffer(self, high: int | None) -> None:
        if not self._transport.is_closing():  # uvloop refuses to limit what nothing can leave
            self._transport.set_write_buffer_limits(high)

    def _note_sent(self, size_bytes: int) -> None:
        self._cycle.expected_content_length -= size_bytes

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._protocol.begin_anew()
        self._read_on()

    def _read_on(self) -> None:
        if not self._transport.is_closing():  # uvloop refuses to read on where nothing can come
            self._cycle.flow.resume_reading()
