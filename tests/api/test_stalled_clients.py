"""Clients that do not read what they asked for: they hold a socket and nothing else, and after a while not even that."""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from partage.http.server import sending
from partage.http.server.protocol import BoundedProtocol
from partage.main.process import memory
from tests.api.conftest import World, cast_of
from tests.api.connection import Connection, head
from tests.api.personas import Persona

MIB = 1 << 20
Everybody = dict[str, tuple[str, str]]


class WithoutHandoff(BoundedProtocol):
    """A server without the socket hand-off."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.scope is not None:
            self.scope["extensions"] = {}


@pytest.fixture(params=[BoundedProtocol, WithoutHandoff], ids=["socket hand-off", "event loop"])
def server(request: pytest.FixtureRequest, another_world: Callable[..., World]) -> Iterator[World]:
    """Give a service that sends image data on the connection's own socket, and one that sends it through the event loop."""
    running = another_world({"protocol": request.param})
    yield running
    running.service.close()


@pytest.fixture(scope="module")
def large() -> bytes:
    """More than all buffers between the store and a client hold."""
    return os.urandom(24 * MIB)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def until(holds: Callable[[], bool]) -> None:
    """Poll, for as long as a loaded machine may take."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def was_reset(wire: Connection) -> bool:
    """Say whether the other side has reset the connection, without reading any of what it has sent."""
    events = select.poll()
    events.register(wire.socket, 0)
    return any(event & select.POLLERR for _, event in events.poll(0))


def begins_to_read(who: Persona, image: str) -> Connection:
    wire = Connection(who.endpoint, seconds=60)
    wire.send(head(who, "GET", f"/v2/images/{image}/file"))
    assert wire.socket.recv(5) == b"HTTP/"
    return wire


def rest_of(wire: Connection) -> bytes:
    """Read on until all of the body is there; the first five bytes of the head have been read."""
    got = bytearray()
    while b"\r\n\r\n" not in got:
        got += wire.socket.recv(MIB)
    headers, _, body = bytes(got).partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in headers.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    got = bytearray(body)
    while len(got) < length:
        piece = wire.socket.recv(MIB)
        assert piece, f"closed after {len(got)} of {length} bytes"
        got += piece
    return bytes(got)


def test_stalled_readers_hold_no_threads_or_buffers(server: World, everybody: Everybody, large: bytes) -> None:
    owner, read_ahead = cast_of(server, everybody).owner, server.service.stores.read_ahead
    image = owner.has_an_image(large)
    assert owner.downloads(image).content == large

    def crowd(count: int) -> tuple[int, int]:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(begins_to_read(owner, image))
            until(lambda: read_ahead.held_bytes == 0)
            time.sleep(2)  # what is held for a client is released after a second
            assert read_ahead.held_bytes == 0
            return resident_bytes(), threading.active_count()

    crowd(40)  # so that every pool has its threads and its buffers
    few_bytes, few_threads = crowd(10)
    many_bytes, many_threads = crowd(40)
    assert many_bytes - few_bytes < 30 * MIB
    assert many_threads <= few_threads + 2


def test_readers_that_came_one_by_one_hold_no_image_data(
    server: World, everybody: Everybody, large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reader is alone when it begins, so the service reads ahead for it; it must keep none of that later."""
    monkeypatch.setattr(sending, "MOMENT_SECONDS", 0.1)
    owner, read_ahead = cast_of(server, everybody).owner, server.service.stores.read_ahead
    image = owner.has_an_image(large)

    def queue_of_readers(count: int) -> int:
        with ExitStack() as stack:
            for _ in range(count):
                stack.enter_context(begins_to_read(owner, image))
                until(lambda: read_ahead.held_bytes == 0)
            time.sleep(1)
            memory.return_free_memory()
            return resident_bytes()

    queue_of_readers(40)  # so that every pool has its threads and its buffers
    few_bytes = queue_of_readers(4)
    many_bytes = queue_of_readers(40)
    assert many_bytes - few_bytes < 24 * MIB  # a slice and the transport's buffer each; with their first blocks 36 MiB more


@pytest.mark.parametrize("event", ["nothing", "deleted", "deactivated"])
def test_reader_that_paused_goes_on_with_the_right_bytes(event: str, server: World, everybody: Everybody, large: bytes) -> None:
    """What was read ahead has been given up meanwhile, and whoever had begun to read may go on."""
    owner, read_ahead = cast_of(server, everybody).owner, server.service.stores.read_ahead
    image = owner.has_an_image(large)
    wires = [begins_to_read(owner, image) for _ in range(6)]
    time.sleep(2)
    until(lambda: read_ahead.held_bytes == 0)
    if event == "deleted":
        owner.deletes(image)
    elif event == "deactivated":
        owner.does("deactivate", image)
    for wire in wires:
        assert rest_of(wire) == large
        wire.close()


def test_connection_serves_the_next_request_after_a_pause(server: World, everybody: Everybody, large: bytes) -> None:
    owner, read_ahead = cast_of(server, everybody).owner, server.service.stores.read_ahead
    image = owner.has_an_image(large)
    with begins_to_read(owner, image) as wire:
        time.sleep(2)
        until(lambda: read_ahead.held_bytes == 0)
        assert rest_of(wire) == large
        wire.send(head(owner, "GET", f"/v2/images/{image}"))
        assert wire.answer().status == 200


def test_many_fast_readers_share_the_buffers(server: World, everybody: Everybody, large: bytes) -> None:
    """More of them than there are shares: each goes on, and nothing is held at the end."""
    owner, read_ahead = cast_of(server, everybody).owner, server.service.stores.read_ahead
    image = owner.has_an_image(large)
    wires = [begins_to_read(owner, image) for _ in range(24)]
    found: list[bool] = []
    readers = [threading.Thread(target=lambda wire=wire: found.append(rest_of(wire) == large)) for wire in wires]  # type: ignore[misc]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    for wire in wires:
        wire.close()
    assert found == [True] * 24
    until(lambda: read_ahead.held_bytes == 0)


def test_client_that_does_not_read_a_list_is_disconnected(stalling_world: World, everybody: Everybody) -> None:
    owner = cast_of(stalling_world, everybody).owner
    for number in range(100):
        owner.has_an_image(None, name=f"image-{number}", **{f"long_{each}": "x" * 60_000 for each in range(2)})
    path = "/v2/images?limit=1000"
    whole = len(owner.call("GET", path).content)
    assert whole > 3 * MIB
    pages = 4  # more than the kernel's buffers hold
    wires = [Connection(owner.endpoint, seconds=60) for _ in range(4)]
    for wire in wires:
        wire.send(head(owner, "GET", path) * pages)
    for wire in wires:
        until(lambda wire=wire: was_reset(wire))  # type: ignore[misc]
        wire.close()
