"""Connections that wait: one deadline for a head whatever arrives, and a bound on how many there are."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from partage.http.server.connections import Connections
from partage.http.server.protocol import BoundedProtocol
from tests.unit.http.test_http_server import running

SHORT_SECONDS = 0.5
LONG_SECONDS = 3600.0
LARGE_BYTES = 8 << 20
"""More than the kernel takes of an answer that nobody reads."""
PATIENCE_SECONDS = 20.0
"""Far above SHORT_SECONDS, because machines are busy; nothing here waits so long unless it fails."""


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once, without looking at a body; what `/hold` is asked for waits until its client goes, `/large` is 8 MiB."""
    if scope["path"] == "/hold":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    body = b"x" * LARGE_BYTES if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(**bounds: Any) -> Iterator[tuple[str, int]]:
    with running(answering, state=Connections(**bounds)) as address:
        yield address


@contextlib.contextmanager
def connected(address: tuple[str, int], *sent: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        for piece in sent:
            connection.sendall(piece)
        yield connection


def dripping(connection: socket.socket, piece: bytes) -> float:
    """Send a piece every now and then until the other side closes; say after how long it did."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < PATIENCE_SECONDS:
        with contextlib.suppress(TimeoutError):
            try:
                if not connection.recv(65_536):
                    return time.monotonic() - began
                connection.sendall(piece)
            except ConnectionError:
                return time.monotonic() - began
        with contextlib.suppress(ConnectionError):
            connection.sendall(piece)
    return PATIENCE_SECONDS


ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BEGINNINGS = {
    "nothing": (b"", b""),
    "empty lines": (b"\r\n", b"\r\n"),
    "one empty line": (b"\r\n", b""),
    "a slow first line": (b"G", b"a"),
    "slow headers": (b"GET / HTTP/1.1\r\nX: ", b"x"),
    "empty lines behind a request": (ASKED + b"\r\n", b"\r\n"),
    "a slow head behind a request": (ASKED + b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
    "empty lines behind two requests": (ASKED + ASKED + b"\r\n", b"\r\n"),
    "a slow body that nobody wants": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nx", b"x"),
    "a slow body in chunks that nobody wants": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_head_has_one_deadline_whatever_arrives(kind: str) -> None:
    beginning, piece = BEGINNINGS[kind]
    with serving(head_seconds=SHORT_SECONDS, idle_seconds=LONG_SECONDS) as address, connected(address, beginning) as connection:
        assert dripping(connection, piece) < PATIENCE_SECONDS


def test_connection_that_is_idle_is_closed_after_its_time() -> None:
    with serving(head_seconds=LONG_SECONDS, idle_seconds=SHORT_SECONDS) as address, connected(address, ASKED) as connection:
        assert connection.recv(1000).endswith(b"ok")
        assert connection.recv(1) == b""


def test_head_may_take_longer_than_a_connection_may_be_idle() -> None:
    """What has begun is not idle: only the head's own deadline counts."""
    with serving(head_seconds=LONG_SECONDS, idle_seconds=SHORT_SECONDS) as address, connected(address, ASKED) as connection:
        assert connection.recv(1000).endswith(b"ok")
        connection.sendall(b"\r\nGET / HTTP/1.1\r\n")
        connection.settimeout(3 * SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.sendall(b"Host: x\r\n\r\n")
        assert connection.recv(1000).endswith(b"ok")


def test_request_under_way_has_no_deadline_of_a_head() -> None:
    """A part of the next head is here already, but the client waits for an answer: that is not its fault."""
    hold = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
    short = {"head_seconds": SHORT_SECONDS, "idle_seconds": SHORT_SECONDS}
    with serving(**short) as address, connected(address, hold + b"GET / HT") as connection:
        connection.settimeout(4 * SHORT_SECONDS)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def closed(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", ASKED], ids=["silent", "empty line", "half a head", "idle"])
def test_connection_that_waits_longest_makes_room(sent: bytes) -> None:
    """However many connections wait, somebody who asks gets an answer."""
    with serving(most=10, head_seconds=LONG_SECONDS) as address, contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(10):
            waiting.append(stack.enter_context(connected(address, sent)))
            if sent == ASKED:
                waiting[-1].recv(1000)
        for number in range(20):
            with connected(address, ASKED) as connection:
                assert connection.recv(1000).endswith(b"ok"), number
        assert until(lambda: closed(waiting[0]))


def test_connection_is_refused_while_all_others_have_a_request() -> None:
    hold = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(most=5, head_seconds=LONG_SECONDS) as address, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(address, hold)) for _ in range(5)]

        def is_refused() -> bool:
            with connected(address, ASKED) as connection:
                found = connection.recv(1000)
            if found.endswith(b"ok"):
                return False
            assert found.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 2\r\n" in found
            assert b"connection: close\r\n" in found
            return True

        assert until(is_refused)
        held[0].close()
        assert until(lambda: not is_refused())
        assert not any(closed(each) for each in held[1:])


def test_many_refused_at_once_leave_nothing_behind() -> None:
    state = Connections(most=3, head_seconds=LONG_SECONDS)
    hold = b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(answering, state=state) as address:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connected(address, hold))
            for _ in range(200):
                stack.enter_context(connected(address))
            assert until(lambda: len(state.connections) <= 3)
            assert state.lingering == 0
        assert until(lambda: not state.connections)


def test_body_in_chunks_that_a_parser_ends_early_is_not_whole() -> None:
    """The parser does not do this; if it ever did, as with offers of other protocols, nothing may come of it."""
    messages: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, send
        messages.append(await receive())

    async def arrive() -> list[Any]:
        config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None)
        config.load()
        protocol = BoundedProtocol(config, Connections(), {}, asyncio.get_running_loop())
        transport = asyncio.Transport({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        protocol.connection_made(transport)
        protocol.data_received(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        with pytest.raises(Exception, match="before its last chunk"):
            protocol.on_message_complete()
        return [protocol.cycle.more_body]

    assert asyncio.run(arrive()) == [True]


LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def not_reading(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Ask for a large answer with a small window, and read nothing of it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(address)
        connection.sendall(LARGE)
        yield connection


def unsent_bytes(state: Connections) -> int:
    return sum(each.transport.get_write_buffer_size() for each in list(state.connections))


def test_answers_that_nobody_reads_do_not_evade_the_bound() -> None:
    """A connection that would close only when its client has read makes no room: its descriptor and memory would stay."""
    state = Connections(most=5, head_seconds=LONG_SECONDS, unsent_bytes=1 << 40)
    with running(answering, state=state) as address, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(not_reading(address))
        with connected(address, ASKED) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 503")
        assert until(lambda: state.lingering == 0)
        assert len(state.connections) <= 5


def test_answers_that_nobody_reads_take_bounded_memory() -> None:
    bound = 3 * LARGE_BYTES
    state = Connections(head_seconds=LONG_SECONDS, unsent_bytes=bound)
    with running(answering, state=state) as address, contextlib.ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(not_reading(address))
        assert until(lambda: state.total_requests == 12)
        assert until(lambda: unsent_bytes(state) <= bound)
        assert unsent_bytes(state) > 0
        with connected(address, ASKED) as connection:
            assert connection.recv(1000).endswith(b"ok")


class Reader:
    """A connection whose client has taken so much of its answer."""

    unsent_bytes = 10
    acknowledged_bytes = 0
    is_given_up = False

    def close_idle(self) -> None:
        """Do nothing: nobody asks for it here."""

    def reset(self) -> None:
        """Note that it happened."""
        self.is_given_up = True


def test_client_that_takes_its_answer_slowest_is_disconnected() -> None:
    now = [0.0]
    state = Connections(unsent_bytes=35, clock=lambda: now[0])
    steady, stalled, slow, new = (Reader() for _ in range(4))
    for each in (steady, stalled, slow):
        state.limit_unsent(each)
    now[0] = 60.0
    steady.acknowledged_bytes, stalled.acknowledged_bytes, slow.acknowledged_bytes = 6000, 0, 60
    state.limit_unsent(new)
    assert [each.is_given_up for each in (steady, stalled, slow, new)] == [False, True, False, False]
    stalled.unsent_bytes = 0
    state.limit_unsent(Reader())
    assert [each.is_given_up for each in (steady, slow, new)] == [False, True, False]


def test_answers_that_were_taken_count_for_nothing() -> None:
    state = Connections(unsent_bytes=35)
    readers = [Reader() for _ in range(10)]
    for each in readers:
        state.limit_unsent(each)
        each.unsent_bytes = 0
    assert not any(each.is_given_up for each in readers)


@pytest.mark.parametrize(("version", "said"), [(b"1.0", False), (b"1.1", True)])
def test_only_http_1_1_clients_get_100_continue(version: bytes, said: bool) -> None:
    """A client of HTTP/1.0 takes "100 Continue" for the answer. Source: RFC 9110, 10.1.1."""

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answering(scope, receive, send)

    asked = b"POST / HTTP/%s\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n" % version
    with running(reading, state=Connections()) as address, connected(address, asked) as connection:
        connection.settimeout(PATIENCE_SECONDS if said else 3 * SHORT_SECONDS)
        try:
            assert connection.recv(1000).startswith(b"HTTP/1.1 100") is said
        except TimeoutError:
            assert not said
        connection.settimeout(PATIENCE_SECONDS)
        connection.sendall(b"{}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
