"""Image data on its way out: whole, in ranges, not at all when it is known already, and right whatever happens meanwhile."""

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.api.conftest import World, cast_of
from tests.api.connection import Connection, head
from tests.api.personas import Cast, Persona, at_once

MIB = 1 << 20
Everybody = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Stored:
    """An image with the bytes that it must have."""

    image: str
    data: bytes


@pytest.fixture(scope="module")
def stored(world: World, everybody: Everybody) -> Stored:
    """Several chunks, some of them zeros, with an odd end."""
    data = os.urandom(5 * MIB + 17) + bytes(2 * MIB) + os.urandom(MIB + 1)
    return Stored(cast_of(world, everybody).owner.has_an_image(data), data)


def test_full_download_has_every_header(stored: Stored, cast: Cast) -> None:
    answer = cast.owner.downloads(stored.image)
    document = cast.owner.shows(stored.image).json()
    assert answer.status_code == 200
    assert answer.content == stored.data
    assert answer.headers["Content-Length"] == str(len(stored.data))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-MD5"] == document["checksum"] == hashlib.md5(stored.data).hexdigest()
    assert answer.headers["ETag"] == f'"{document["os_hash_value"]}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "Content-Range" not in answer.headers


def test_head_has_the_headers_of_get_without_data(stored: Stored, cast: Cast) -> None:
    answer = cast.owner.call("HEAD", f"/v2/images/{stored.image}/file")
    assert answer.status_code == 200
    assert answer.content == b""
    whole = cast.owner.downloads(stored.image).headers
    for name in ("Content-Length", "Content-Type", "Content-MD5", "ETag", "Accept-Ranges"):
        assert answer.headers[name] == whole[name]


def test_an_image_without_data_has_nothing_to_send(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for answer in (
        cast.owner.downloads(image),
        cast.owner.downloads(image, Range="bytes=0-0"),
        cast.owner.call("HEAD", f"/v2/images/{image}/file"),
    ):
        assert (answer.status_code, answer.content) == (204, b"")


# Ranges


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=5-9", 5, 10),
        ("bytes=100-", 100, None),
        ("bytes=-1", -1, None),
        ("bytes=-4097", -4097, None),
        ("bytes=-99999999999", 0, None),
        ("bytes=0-99999999999", 0, None),
        ("bytes=5242880-7340100", 5 * MIB, 7340101),
        ("BYTES=7-8", 7, 9),
        ("bytes = 7 - 8", 7, 9),
        ("bytes=007-0008", 7, 9),
    ],
)
def test_range_returns_exactly_those_bytes(asked: str, start: int, stop: int | None, stored: Stored, cast: Cast) -> None:
    expected = stored.data[start:stop]
    first = start if start >= 0 else len(stored.data) + start
    answer = cast.owner.downloads(stored.image, Range=asked)
    assert answer.status_code == 206
    assert answer.content == expected
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(stored.data)}"
    assert answer.headers["Content-Length"] == str(len(expected))
    assert "Content-MD5" not in answer.headers


def test_random_ranges_are_slices_of_the_data(stored: Stored, cast: Cast) -> None:
    chance = random.Random(7)
    for _ in range(60):
        start = chance.randrange(len(stored.data))
        last = min(len(stored.data) - 1, start + chance.choice((0, 1, 4095, 4096, 65_536, 3 * MIB)))
        assert cast.owner.downloads(stored.image, Range=f"bytes={start}-{last}").content == stored.data[start : last + 1]


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=99999999-",
        "bytes=9-5",
        "bytes=-0",
        "bytes=-",
        "bytes=x-y",
        "bytes=1",
        "lines=1-2",
        "bytes",
        "",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=0x1-0x2",
        "bytes=" + "9" * 5000 + "-",
        "bytes=1e3-",
    ],
)
def test_a_range_that_cannot_be_served_says_how_long_the_image_is(asked: str, stored: Stored, cast: Cast) -> None:
    answer = cast.owner.downloads(stored.image, Range=asked)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(stored.data)}"
    assert f"the image data has {len(stored.data)} bytes" in answer.text


def test_one_range_at_a_time(stored: Stored, cast: Cast) -> None:
    answer = cast.owner.downloads(stored.image, Range="bytes=0-1,4-5")
    assert answer.status_code == 400
    assert "Requests with multiple ranges are not supported" in answer.text


def test_head_of_a_range_tells_of_the_range(stored: Stored, cast: Cast) -> None:
    answer = cast.owner.call("HEAD", f"/v2/images/{stored.image}/file", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (206, "3")


def test_an_interrupted_download_is_resumed(stored: Stored, cast: Cast) -> None:
    begun = cast.owner.call("GET", f"/v2/images/{stored.image}/file", stream=True)
    got = begun.raw.read(MIB)
    begun.close()
    rest = cast.owner.downloads(stored.image, **{"Range": f"bytes={len(got)}-", "If-Range": begun.headers["ETag"]})
    assert rest.status_code == 206
    assert got + rest.content == stored.data


# Conditions


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_data_that_the_client_has_is_not_sent_again(form: str, stored: Stored, cast: Cast) -> None:
    etag = cast.owner.downloads(stored.image, Range="bytes=0-0").headers["ETag"]
    for method in ("GET", "HEAD"):
        for more in ({}, {"Range": "bytes=0-0"}):
            headers = {"If-None-Match": form.format(etag), **more}
            answer = cast.owner.call(method, f"/v2/images/{stored.image}/file", headers=headers)
            assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
            assert "Content-Length" not in answer.headers


def test_changed_etag_sends_the_data(stored: Stored, cast: Cast) -> None:
    for other in ('"x"', '""', "x", cast.owner.shows(stored.image).headers["ETag"]):
        assert cast.owner.downloads(stored.image, **{"If-None-Match": other}).status_code == 200


@pytest.mark.parametrize("other", ['"x"', "Tue, 24 Nov 2026 08:00:00 GMT", "W/{}"])
def test_if_range_with_another_etag_sends_the_whole(other: str, stored: Stored, cast: Cast) -> None:
    etag = cast.owner.downloads(stored.image, Range="bytes=0-0").headers["ETag"]
    answer = cast.owner.downloads(stored.image, **{"Range": "bytes=0-0", "If-Range": other.format(etag)})
    assert (answer.status_code, answer.content) == (200, stored.data)


def test_equal_data_has_equal_etags_and_other_data_has_others(cast: Cast) -> None:
    etags = [cast.owner.downloads(cast.owner.has_an_image(data)).headers["ETag"] for data in (b"same", b"same", b"other")]
    assert etags[0] == etags[1] != etags[2]


# While other things happen


def test_many_readers_at_once_all_get_the_right_bytes(stored: Stored, cast: Cast) -> None:
    answers = at_once(cast.owner, *[lambda who: who.downloads(stored.image)] * 12)
    assert {hashlib.sha256(each.content).hexdigest() for each in answers} == {hashlib.sha256(stored.data).hexdigest()}


def reads_slowly(who: Persona, image: str, then: Callable[[], object]) -> bytes:
    """Begin to read, let something happen, and read on."""
    answer = who.call("GET", f"/v2/images/{image}/file", stream=True)
    assert answer.status_code == 200
    got = answer.raw.read(1000)
    then()
    return bytes(got + answer.raw.read())


@pytest.fixture
def large() -> bytes:
    """More than all buffers between the store and a reader hold."""
    return os.urandom(24 * MIB)


@pytest.mark.parametrize("event", ["delete", "deactivate", "remove", "private"])
def test_a_download_that_has_begun_ends_with_the_right_bytes(event: str, large: bytes, cast: Cast) -> None:
    owner, member = cast.owner, cast.member
    image = owner.has_an_image(large)
    owner.shares_with(image, member.project_id)
    happens = {
        "delete": lambda: owner.deletes(image),
        "deactivate": lambda: owner.does("deactivate", image),
        "remove": lambda: owner.removes_member(image, member.project_id),
        "private": lambda: owner.sets(image, "visibility", "private"),
    }[event]
    assert reads_slowly(member, image, happens) == large
    assert member.downloads(image).status_code == (403 if event == "deactivate" else 404)
    assert member.downloads(image, Range="bytes=1000-").status_code == (403 if event == "deactivate" else 404)


def files_and_threads() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def test_disconnected_readers_hold_no_resources(large: bytes, cast: Cast) -> None:
    """Many more of them than the service has threads for downloads: the second crowd finds all that the first one used."""
    image = cast.owner.has_an_image(large)

    def crowd() -> tuple[int, int]:
        for _ in range(30):
            with Connection(cast.owner.endpoint) as wire:
                wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file"))
                wire.socket.recv(1000)
        answers = at_once(cast.owner, *[lambda who: who.downloads(image)] * 4)
        assert {each.content == large for each in answers} == {True}
        return files_and_threads()

    before = crowd()
    begun = time.monotonic()
    crowd()
    assert time.monotonic() - begun < 20
    end = time.monotonic() + 10
    while files_and_threads() > before and time.monotonic() < end:
        time.sleep(0.05)
    files, threads = files_and_threads()
    assert files <= before[0] + 4
    assert threads <= before[1] + 2


def test_stalled_readers_are_disconnected(large: bytes, everybody: Everybody, stalling_world: World) -> None:
    owner = cast_of(stalling_world, everybody).owner
    image = owner.has_an_image(large)
    wires = [Connection(owner.endpoint) for _ in range(12)]
    for wire in wires:
        wire.send(head(owner, "GET", f"/v2/images/{image}/file"))
    assert owner.downloads(image).content == large
    time.sleep(1.2)  # longer than the half second for which this service waits
    for wire in wires:
        got = 0
        try:
            while piece := wire.socket.recv(MIB):
                got += len(piece)
        except ConnectionResetError:
            pass
        assert got < len(large)
        wire.close()


def test_slow_readers_do_not_keep_others_waiting(large: bytes, cast: Cast) -> None:
    image = cast.owner.has_an_image(large)
    wires = [Connection(cast.owner.endpoint) for _ in range(12)]
    for wire in wires:
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file"))
        wire.socket.recv(1000)
    begun = time.monotonic()
    assert cast.owner.downloads(image).content == large
    assert cast.owner.shows(image).status_code == 200
    assert time.monotonic() - begun < 10
    for wire in wires:
        wire.close()


def test_a_connection_serves_many_requests(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    with Connection(cast.owner.endpoint) as wire:
        for method, lines, status in (
            ("GET", (), 200),
            ("HEAD", (), 200),
            ("GET", ("Range: bytes=1-2",), 206),
            ("GET", ("Range: bytes=9-",), 416),
            ("GET", ("If-None-Match: *",), 304),
            ("DELETE", (), 405),
            ("GET", (), 200),
        ):
            wire.send(head(cast.owner, method, f"/v2/images/{image}/file", *lines))
            assert wire.answer(to=method).status == status


SMALL_AND_LARGE = pytest.mark.parametrize("data", [b"data", random.Random(4).randbytes(5 * MIB)], ids=["small", "large"])
"""Large data is sent from a thread of its own, on the connection's socket."""


@SMALL_AND_LARGE
def test_requests_may_be_sent_without_waiting_for_answers(data: bytes, cast: Cast) -> None:
    image = cast.owner.has_an_image(data)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file") * 5 + head(cast.outsider, "GET", f"/v2/images/{image}/file"))
        assert {wire.answer().body == data for _ in range(5)} == {True}
        assert wire.answer().status == 404


@SMALL_AND_LARGE
def test_a_reader_with_the_oldest_protocol_gets_the_bytes_too(data: bytes, cast: Cast) -> None:
    image = cast.owner.has_an_image(data)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert wire.answer().body == data
        assert wire.is_closed()


def test_digest_filter_finds_only_visible_images(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"secret bytes")
    document = cast.owner.shows(image).json()
    for digest in (document["os_hash_value"], document["checksum"]):
        answer: requests.Response = cast.outsider.downloads(digest)
        assert answer.status_code == 404
    assert document["os_hash_value"] not in cast.outsider.call("GET", "/v2/images?limit=1000&visibility=all").text
