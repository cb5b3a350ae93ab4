"""A client that offers another protocol: the offer is ignored, and its body stays its own request's (RFC 9110, 7.8)."""

import pytest

from partage.http import routing
from partage.http.v2 import routes
from tests.api.connection import Connection, chunk, head
from tests.api.personas import DATA, PATCH, Cast

OFFERS = ("websocket", "h2c", "foo")
INNER = b"GET /healthcheck HTTP/1.1\r\nHost: inner.example\r\n\r\n"
"""What must stay a body: read as a request it would be answered with 200 without any token."""

WITH_BODY = [row for row in routes.ROWS if row.body is routing.Body.TAKEN]


def framed(framing: str, body: bytes) -> tuple[str, bytes]:
    """Give the header of a framing, and the body as it goes over the wire."""
    if framing == "chunked":
        return "Transfer-Encoding: chunked", chunk(body) + chunk(b"")
    return f"Content-Length: {len(body)}", body


def offering(protocol: str) -> tuple[str, str]:
    return f"Upgrade: {protocol}", "Connection: keep-alive, Upgrade, HTTP2-Settings"


def path_of(row: routing.Row, image: str) -> str:
    path = row.path.replace("{image_id}", image)
    while "{" in path:
        before, _brace, rest = path.partition("{")
        path = f"{before}x{rest.partition('}')[2]}"
    return path


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("row", WITH_BODY, ids=lambda row: f"{row.method} {row.path}")
def test_body_of_an_upgrade_request_is_never_read_as_a_request(row: routing.Row, framing: str, packets: int, cast: Cast) -> None:
    """The answer is the one to the same request without the offer, and the connection goes on behind the body."""
    said, body = framed(framing, INNER)
    media_type = {"PATCH": PATCH, "PUT": DATA}.get(row.method, "application/json")
    found = []
    for offer in ((), offering("h2c")):
        image = cast.owner.has_an_image(None)
        first = head(cast.owner, row.method, path_of(row, image), f"Content-Type: {media_type}", said, *offer)
        with Connection(cast.owner.endpoint) as wire:
            if packets == 1:
                wire.send(first + body)
            else:
                wire.send(first)
                wire.is_silent(0.05)
                wire.send(body)
            answer = wire.answer(to=row.method)
            assert answer.body != b"OK", "the inner request was answered"
            follows = answer.header("connection") != "close"
            if follows:
                wire.send(head(cast.owner, "GET", "/v2/schemas/member"))
                assert b"member" in wire.answer().body
        found.append((answer.status, follows))
    assert found[0] == found[1]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_with_upgrade_header_is_stored_whole(framing: str, offer: str, cast: Cast) -> None:
    image, data = cast.owner.has_an_image(None), INNER * 50_000
    said, body = framed(framing, data)
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", f"Content-Type: {DATA}", said, *offering(offer)))
        wire.is_silent(0.05)
        wire.send(body)
        assert wire.answer().status == 204
    assert cast.owner.shows(image).json()["size"] == len(data)
    assert cast.owner.downloads(image).content == data


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("sent", [0, 5])
def test_truncated_upload_with_upgrade_header_is_not_active(framing: str, sent: int, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    said = "Transfer-Encoding: chunked" if framing == "chunked" else "Content-Length: 10"
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", f"Content-Type: {DATA}", said, *offering("h2c")))
        wire.send((chunk(b"x" * sent) if framing == "chunked" else b"x" * sent) if sent else b"")
        assert wire.is_silent(0.3)
    answer = cast.owner.shows(image).json()
    assert (answer["status"], answer["size"]) in {("saving", None), ("queued", None)}


@pytest.mark.parametrize("offer", OFFERS)
def test_requests_after_one_with_upgrade_header_are_answered(offer: str, cast: Cast) -> None:
    """Each has its own token and its own answer, in order, however many of them offer something."""
    image = cast.owner.has_an_image(None, visibility="private")
    asked = [(cast.owner, 200), (cast.outsider, 404), (cast.owner, 200), (cast.outsider, 404)]
    with Connection(cast.owner.endpoint) as wire:
        wire.send(b"".join(head(who, "GET", f"/v2/images/{image}", *offering(offer)) for who, _status in asked))
        assert [wire.answer().status for _ in asked] == [status for _who, status in asked]


def test_document_posted_with_upgrade_header_is_created(cast: Cast) -> None:
    body = b'{"name": "offered", "disk_format": "raw", "container_format": "bare"}'
    with Connection(cast.owner.endpoint) as wire:
        said = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        wire.send(head(cast.owner, "POST", "/v2/images", *said, *offering("h2c")) + body)
        assert wire.answer().status == 201


def test_upgrade_header_over_http_1_0_is_ignored(cast: Cast) -> None:
    body = b'{"name": "offered", "disk_format": "raw", "container_format": "bare"}'
    said = ("Content-Type: application/json", f"Content-Length: {len(body)}", *offering("h2c"))
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "POST", "/v2/images", *said).replace(b"HTTP/1.1", b"HTTP/1.0") + body)
        assert wire.answer().status == 201


CODINGS = {
    "gzip, chunked": 501,
    "gzip,chunked": 501,
    "deflate, gzip, chunked": 501,
    "gzip\r\nTransfer-Encoding: chunked": 501,
    "x, CHUNKED": 501,
    "chunked, chunked": 400,
    "identity": 400,
    "gzip": 400,
    "chunked, gzip": 400,
    "chunked;q=1": 400,
    ", chunked": 400,
    "chunked,": 400,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_other_transfer_codings_than_chunked_are_refused(coding: str, method: str, cast: Cast) -> None:
    """Source: RFC 9112, 6.1 and 6.3: 501 for a coding that is not known, 400 where the body has no certain end."""
    image = cast.owner.has_an_image(None)
    path = f"/v2/images/{image}/file" if method == "PUT" else "/v2/images"
    victim = head(cast.owner, "DELETE", f"/v2/images/{image}")
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, method, path, f"Content-Type: {DATA}", f"Transfer-Encoding: {coding}"))
        answer = wire.answer()
        assert answer.status == CODINGS[coding]
        assert answer.header("connection") == "close"
        if answer.status == 501:
            assert b"only chunked is understood" in answer.body
        wire.send(chunk(b"data") + chunk(b"") + victim)
        assert wire.is_closed()
    found = cast.owner.shows(image).json()
    assert (found["status"], found["size"]) == ("queued", None)


def test_chunks_over_http_1_0_are_refused(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    first = head(cast.owner, "PUT", f"/v2/images/{image}/file", f"Content-Type: {DATA}", "Transfer-Encoding: chunked")
    with Connection(cast.owner.endpoint) as wire:
        wire.send(first.replace(b"HTTP/1.1", b"HTTP/1.0") + chunk(b"data") + chunk(b""))
        assert wire.answer().status == 400
        assert wire.is_closed()
    assert cast.owner.shows(image).json()["status"] == "queued"


def test_transfer_coding_is_case_insensitive(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    with Connection(cast.owner.endpoint) as wire:
        said = (f"Content-Type: {DATA}", "transfer-encoding: Chunked")
        wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", *said) + chunk(b"data") + chunk(b""))
        assert wire.answer().status == 204
    assert cast.owner.downloads(image).content == b"data"
