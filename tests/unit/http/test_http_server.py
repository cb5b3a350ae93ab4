"""The application under its server, spoken to byte by byte: heads without end, and messages with two readings."""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from partage.http.app import application
from partage.http.options import EdgeOptions
from partage.http.server import socket_handoff
from partage.http.server.protocol import BoundedProtocol
from partage.model.caller import Caller
from partage.model.ids import ProjectID, UserID
from partage.operations.service import Process, Service


class Anybody:
    def find_cached(self, token: str, service_token: str | None = None) -> Caller:
        del token, service_token
        return Caller(user_id=UserID("u"), project_id=ProjectID("p"), roles=frozenset({"member"}))

    validate = find_cached

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        del token, service_token
        return True


@contextlib.contextmanager
def running(
    app: Any,
    lifespan: Literal["on", "off"] = "off",
    *,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    state: ServerState | None = None,
    buffer_bytes: int = 0,
) -> Iterator[tuple[str, int]]:
    """Serve an application; give the address. `buffer_bytes`: what the kernel holds of an answer, if not the usual."""
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, loop="uvloop", ws="none", lifespan=lifespan, log_config=None))
    server.server_state = state or server.server_state
    listener = socket.create_server(("127.0.0.1", 0))
    if buffer_bytes:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    app = application(
        service=cast(Service, SimpleNamespace(process=Process(worker="this", worker_lives=lambda _worker: True))),
        identity=Anybody(),
        options=EdgeOptions(www_authenticate_uri="https://id"),
    )
    with running(app, lifespan="on") as found:
        yield found


def talk(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Send pieces for as long as they are taken; return what is answered until the server is silent or closes."""
    with socket.create_connection(address, timeout=5) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass
        connection.settimeout(0.5)
        answer = b""
        try:
            while more := connection.recv(65_536):
                answer += more
        except OSError:
            pass
        return answer


HEAD = b"GET /v2/schemas/member HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\n"


def test_an_ordinary_request_is_answered_and_the_connection_kept(address: tuple[str, int]) -> None:
    assert talk(address, HEAD + b"\r\n", HEAD + b"\r\n").count(b"HTTP/1.1 200 OK") == 2


class Wire(asyncio.Transport):
    """Keeps what a protocol writes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def test_a_body_whose_end_arrives_in_one_large_piece_is_no_long_head() -> None:
    """A fast client's last read is up to 256 KiB: twice what a head may have."""

    async def arrive() -> bytes:
        async def app(scope: object, receive: object, send: object) -> None:
            del scope, receive, send

        config = uvicorn.Config(cast("Any", app), http=BoundedProtocol, lifespan="off", log_config=None)
        config.load()
        wire = Wire()
        protocol = BoundedProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(wire)
        protocol.data_received(b"PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n" + b"x" * 100_000)
        protocol.data_received(b"x" * 250_000)
        protocol.data_received(b"x" * 250_000)
        return wire.written

    assert asyncio.run(arrive()) == b""


@pytest.mark.parametrize(
    "piece",
    [b"X-Long: " + b"y" * 1000 + b"\r\n", b"y" * 1000],
    ids=["many headers", "one header"],
)
def test_a_head_without_end_is_given_up(address: tuple[str, int], piece: bytes) -> None:
    beginning = HEAD if b"\r\n" in piece else HEAD + b"X-Long: "
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(beginning)
        with pytest.raises(OSError):  # noqa: PT011 -- whichever the system says when the other side has closed
            for _ in range(20_000):
                connection.sendall(piece)


def test_a_first_line_without_end_is_given_up(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(b"GET /")
        with pytest.raises(OSError):  # noqa: PT011 -- as above
            for _ in range(20_000):
                connection.sendall(b"y" * 1000)


def test_a_long_head_below_the_bound_is_refused_in_the_clients_form(address: tuple[str, int]) -> None:
    answer = talk(address, HEAD + b"Accept: application/json\r\nX-Long: " + b"y" * 70_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"title":"Bad Request"' in answer


POST = b"POST /v2/images HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\n"
TWO_READINGS = [
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: +2\r\n\r\n{}",
    b"Content-Length: 2\r\n X: y\r\n\r\n{}",
    b"Transfer-Encoding: chunked\r\n\r\n2;\nx\r\n{}\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    b"X\x00Y: z\r\nContent-Length: 2\r\n\r\n{}",
]


@pytest.mark.parametrize("rest", TWO_READINGS)
def test_ambiguous_message_is_refused_and_pipelined_data_ignored(address: tuple[str, int], rest: bytes) -> None:
    answer = talk(address, POST + rest + HEAD + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 200" not in answer


def test_refusal_of_expect_100_continue_closes_the_connection(address: tuple[str, int]) -> None:
    asked = b"PUT /v2/images/x/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    answer = talk(address, asked)
    assert answer.startswith(b"HTTP/1.1 415")
    assert b"100 Continue" not in answer
    assert b"connection: close" in answer


def test_a_refused_upload_gets_its_answer_although_it_is_still_sending(address: tuple[str, int]) -> None:
    begun = b"PUT /v2/images/x/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\nContent-Length: 20000000\r\n\r\n"
    answer = talk(address, begun, *([b"x" * 1_000_000] * 20))
    assert answer.startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("behind", [b"", HEAD + b"\r\n", HEAD + b"\r\n" + HEAD + b"\r\n"], ids=["one", "two", "three"])
def test_invalid_data_on_a_connection_closes_it_without_a_traceback(
    behind: bytes, address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Found by make fuzz: what was still to be sent was written to a closed connection, with a traceback in the log."""
    refused = b"POST /v2/none HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    for _ in range(20):
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(refused)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 404")
            connection.sendall(b"0\r\n\r\n" + behind + b"nonsense\r\n\r\n")
            while connection.recv(65_536):
                pass
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("sent_before", [0, 20_000_000], ids=["before it was asked for", "while what was sent before leaves"])
def test_closed_socket_is_not_handed_to_a_thread(sent_before: int) -> None:
    """Found by clients that were killed in mid download: a closed connection was asked for a limit, and the log had a traceback."""
    lent: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(sent_before or 1), "more_body": True})
        if not sent_before:
            await receive()
        try:
            lent.append(await scope["extensions"][socket_handoff.EXTENSION].acquire_send_socket(5))
        except RuntimeError as error:
            lent.append(error)

    with running(app) as address, socket.create_connection(address, timeout=5) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(100)
        connection.close()
        end = time.monotonic() + 10
        while not lent and time.monotonic() < end:
            time.sleep(0.01)
    assert lent == [None]


class Impatient(BoundedProtocol):
    stall_seconds = 1.0


def answering(size: int, status: int = 200) -> Any:
    """Make an application whose every answer is a new document of so many bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % size)]})
            await send({"type": "http.response.body", "body": b"x" * size})

    return app


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def small(address: tuple[str, int]) -> socket.socket:
    """Connect with the smallest buffer for what arrives."""
    connection = socket.socket()
    connection.settimeout(30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(address)
    return connection


def is_reset(connection: socket.socket) -> bool:
    """Read what was sent; say whether a reset ends it."""
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("head", [HEAD, HEAD + b"Connection: close\r\n"], ids=["kept", "closing"])
def test_document_of_a_client_that_does_not_read_is_released(head: bytes) -> None:
    size = 64 << 20
    with running(answering(size), protocol=Impatient) as address, contextlib.ExitStack() as stack:
        before = resident_bytes()
        clients = [stack.enter_context(small(address)) for _ in range(4)]
        for client in clients:
            client.sendall(head + b"\r\n")
        end = time.monotonic() + 30
        while resident_bytes() < before + 2 * size and time.monotonic() < end:
            time.sleep(0.01)
        assert resident_bytes() >= before + 2 * size
        while resident_bytes() > before + size // 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert resident_bytes() <= before + size // 2
        assert [is_reset(client) for client in clients] == [True] * 4


def test_last_bytes_of_a_small_answer_are_waited_for_no_longer() -> None:
    """Below the mark at which a server stops to take more, it takes an answer for sent."""
    with running(answering(48_000), protocol=Impatient, buffer_bytes=4096) as address, small(address) as client:
        client.sendall(HEAD + b"\r\n")
        time.sleep(3)
        assert is_reset(client)


def test_client_that_reads_slowly_gets_the_whole_document() -> None:
    size = 16 << 20
    with running(answering(size), protocol=Impatient) as address, small(address) as client:
        client.sendall(HEAD + b"\r\n")
        got = 0
        end = time.monotonic() + 3  # three times as long as this service waits for one that takes nothing
        while time.monotonic() < end:
            got += len(client.recv(4096))
            time.sleep(0.1)
        assert got < size // 4
        while got < size:
            piece = client.recv(1 << 20)
            assert piece
            got += len(piece)
