"""Requests whose end two readers could find in different places, over the real server: refused, and the connection closed (T-89).

Behind each of them stands a second request, with the owner's token, that a front end would have taken for a part of the first one's
body. It must never be carried out.
"""

import os
import time

import pytest

from tests.api.conftest import World
from tests.api.connection import Answer, Connection, chunk, head
from tests.api.personas import DATA, Cast

AMBIGUOUS = {
    "length and chunks": "Content-Length: {length}\r\nTransfer-Encoding: chunked",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: {length}",
    "no length and chunks": "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "two lengths": "Content-Length: 5\r\nContent-Length: {length}",
    "two equal lengths": "Content-Length: 5\r\nContent-Length: 5",
    "list of lengths": "Content-Length: 5, {length}",
    "list of equal lengths": "Content-Length: 5, 5",
    "signed length": "Content-Length: +5",
    "negative length": "Content-Length: -5",
    "hexadecimal length": "Content-Length: 0x5",
    "length in letters": "Content-Length: five",
    "length with a space inside": "Content-Length: 1 5",
    "length above 64 bits": "Content-Length: 18446744073709551621",
    "unknown coding": "Transfer-Encoding: xchunked",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "chunked, identity": "Transfer-Encoding: chunked, identity",
    "chunked is not the last": "Transfer-Encoding: chunked, gzip",
    "identity": "Transfer-Encoding: identity",
    "quoted": 'Transfer-Encoding: "chunked"',
    "null": "Transfer-Encoding: chun\x00ked",
    "vertical tab": "Transfer-Encoding: \x0bchunked",
    "space before the colon": "Transfer-Encoding : chunked",
    "length with a space before the colon": "Content-Length : 5",
    "tab before the colon": "Transfer-Encoding\t: chunked",
    "folded": "X-Folded: a\r\n b\r\nTransfer-Encoding:\r\n chunked",
    "folded length": "Content-Length:\r\n 5",
    "line without a colon": "Transfer-Encoding\r\nContent-Length: 5",
    "empty name": ": x\r\nContent-Length: 5",
    "carriage return alone": "X-A: b\rTransfer-Encoding: chunked",
    "line feed alone": "X-A: b\nTransfer-Encoding: chunked",
    "null in a name": "Transfer\x00-Encoding: chunked",
    "name with spaces": "Transfer Encoding: chunked\r\nContent-Length: 5",
}


def smuggles(cast: Cast, framing: str, victim: str, path: str = "/v2/images") -> tuple[list[Answer], bool]:
    """Send an ambiguous request with another one inside; return the answers, and whether the connection was closed."""
    inner = head(cast.owner, "DELETE", f"/v2/images/{victim}")
    body = b"0\r\n\r\n" + inner
    lines = framing.format(length=len(body))
    answers = []
    with Connection(cast.owner.endpoint, seconds=3) as wire:
        wire.send(head(cast.outsider, "POST", path, lines) + body)
        try:
            while True:
                answers.append(wire.answer())
        except (EOFError, ConnectionResetError):
            return answers, True
        except TimeoutError:
            return answers, False


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguous_length_is_refused_and_pipelined_requests_dropped(kind: str, cast: Cast) -> None:
    victim = cast.owner.has_an_image(None)
    answers, closed = smuggles(cast, AMBIGUOUS[kind], victim)
    assert closed
    assert [each.status for each in answers] == [400]
    assert cast.owner.shows(victim).status_code == 200


CHUNKS = {
    "no digits": b"\r\nabc\r\n",
    "negative": b"-3\r\nabc\r\n",
    "signed": b"+3\r\nabc\r\n",
    "prefix": b"0x3\r\nabc\r\n",
    "above 64 bits": b"10000000000000003\r\nabc\r\n",
    "spaces": b"3 3\r\nabc\r\n",
    "longer than said": b"3\r\nabcdef\r\n",
    "line feed alone": b"3\nabc\n0\n\n",
    "no line end": b"3\r\nabc0\r\n\r\n",
    "null": b"3\x00\r\nabc\r\n",
}


@pytest.mark.parametrize("kind", CHUNKS)
def test_invalid_chunk_aborts_the_upload(kind: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        lines = (f"Content-Type: {DATA}", "Transfer-Encoding: chunked")
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", *lines))
        while cast.owner.shows(image).json()["status"] != "saving":
            time.sleep(0.01)
        wire.send(chunk(b"good") + CHUNKS[kind] + b"0\r\n\r\n" + head(cast.owner, "DELETE", f"/v2/images/{image}"))
        assert wire.answer().status == 400
        assert wire.is_closed()
    end = time.monotonic() + 10
    while cast.owner.shows(image).json()["status"] == "saving" and time.monotonic() < end:
        time.sleep(0.01)
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_trailers_are_ignored(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, visibility="private")
    with Connection(cast.outsider.endpoint) as wire:
        body = chunk(b'[{"op": "replace", "path": "/name", "value": "n"}]')
        media_type = "Content-Type: application/openstack-images-v2.1-json-patch"
        trailers = f"0\r\nX-Auth-Token: {cast.owner.token}\r\nX-Roles: admin\r\n\r\n".encode()
        wire.send(head(cast.outsider, "PATCH", f"/v2/images/{image}", media_type, "Transfer-Encoding: chunked") + body + trailers)
        assert wire.answer().status == 400
        assert wire.is_closed()
    assert cast.owner.shows(image).json()["name"] is None


def test_each_of_several_requests_on_a_connection_has_its_own_token(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, visibility="private")
    public = cast.admin.has_an_image(None, visibility="public")
    with Connection(cast.owner.endpoint) as wire:
        wire.send(
            head(cast.owner, "GET", f"/v2/images/{image}")
            + head(cast.outsider, "GET", f"/v2/images/{image}")
            + head(cast.anonymous, "GET", f"/v2/images/{public}")
            + head(cast.admin, "GET", f"/v2/images/{image}")
            + head(cast.outsider, "DELETE", f"/v2/images/{image}")
        )
        assert [wire.answer().status for _ in range(5)] == [200, 404, 401, 200, 404]


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("case", ["anonymous", "outsider", "owner"])
def test_a_body_that_was_not_wanted_is_never_read_as_a_request(framing: str, case: str, cast: Cast) -> None:
    """The refusal comes before the body. What the client then sends as the body must not be carried out."""
    image, victim = cast.owner.has_an_image(b"data"), cast.owner.has_an_image(None)
    body = head(cast.owner, "DELETE", f"/v2/images/{victim}") * 5
    with Connection(cast.owner.endpoint, seconds=0.7) as wire:
        wire.send(head(cast.people[case], "PUT", f"/v2/images/{image}/file", f"Content-Type: {DATA}", framing))
        assert wire.answer().status in (401, 404, 409)
        try:
            wire.send(body)
            while True:
                assert wire.answer().status >= 400
        except (EOFError, ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    assert cast.owner.shows(victim).status_code == 200


def test_a_small_body_that_was_not_wanted_leaves_the_connection_usable(cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "DELETE", f"/v2/images/{image}", "Content-Length: 2") + b"{}")
        assert wire.answer().status == 400
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}"))
        assert wire.answer().status == 200


@pytest.mark.parametrize(
    "start",
    [
        "GET /v2/images HTTP/0.9",
        "GET /v2/images",
        "GET /v2/images HTTP/2.0",
        "GET /v2/images HTTP/1.1 x",
        "GET\t/v2/images\tHTTP/1.1",
        "GET /v2/ images HTTP/1.1",
        " GET / HTTP/1.1",
    ],
)
def test_invalid_request_line_is_refused(start: str, cast: Cast) -> None:
    with Connection(cast.owner.endpoint, seconds=3) as wire:
        wire.send(f"{start}\r\nHost: x\r\nX-Auth-Token: {cast.owner.token}\r\n\r\n".encode())
        assert wire.answer().status == 400
        assert wire.is_closed()


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0"])
def test_no_other_protocol_is_spoken_on_request(upgrade: str, cast: Cast) -> None:
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", "/v2/schemas/member", f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings"))
        assert wire.answer().status == 200


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_garbage_behind_a_request_is_no_part_of_the_answer(before: bytes, cast: Cast) -> None:
    """Of the image data that is on its way the client gets all or less, and never anything else in its place."""
    data = os.urandom(24 << 20)
    image = cast.owner.has_an_image(data)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", f"/v2/images/{image}/file"))
        got = wire.socket.recv(1000)
        wire.send(before)
        wire.send(b"\x00garbage\r\n\r\n")
        while piece := wire.socket.recv(1 << 20):
            got += piece
    body = got.partition(b"\r\n\r\n")[2]
    assert data.startswith(body[: len(data)])


@pytest.mark.parametrize("begin", [b"", b"GE", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /"])
def test_incomplete_head_times_out(begin: bytes, stalling_world: World) -> None:
    with Connection(stalling_world.endpoint, seconds=5) as wire:
        wire.send(begin)
        if begin.endswith(b"GET /"):
            assert wire.answer().status == 300
        for letter in b"X-Slow: abcdefgh":
            try:
                wire.send(bytes([letter]))
            except ConnectionError:
                break
            if not wire.is_silent(0.1):
                break
        else:
            pytest.fail("a second and more, and it still waits")
