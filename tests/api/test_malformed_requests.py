"""Requests that no parser likes: documents, changes, queries, addresses and headers. Each is answered, quickly, and not by a 5xx.

T-38, T-90 and T-92 of the list of advisories that every release is tested with.
"""

import json
import time

import pytest

from tests.api.connection import Connection, head
from tests.api.oddities import CHANGES, DOCUMENTS, HEADERS, QUERIES, TARGETS, add
from tests.api.personas import PATCH, Cast

KIB = 1 << 10


# Documents


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_that_cannot_be_read_is_refused(kind: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    for method, path in (
        ("POST", "/v2/images"),
        ("PATCH", f"/v2/images/{image}"),
        ("POST", f"/v2/images/{image}/members"),
        ("PUT", f"/v2/images/{image}/members/{cast.member.project_id}"),
        ("POST", f"/v2/images/{image}/import"),
    ):
        answer = cast.owner.call(method, path, data=DOCUMENTS[kind], headers={"Content-Type": PATCH, "Accept": "application/json"})
        assert answer.status_code in (400, 403) or (answer.status_code, kind, method) == (200, "list", "PATCH")
        assert len(answer.content) < 4 * KIB
        assert answer.headers["X-Openstack-Request-Id"]
    assert cast.owner.shows(image).json() == before


@pytest.mark.parametrize("kind", CHANGES)
def test_invalid_change_is_refused(kind: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    for patch in ([CHANGES[kind]], [add("first"), CHANGES[kind]]):
        answer = cast.owner.call("PATCH", f"/v2/images/{image}", data=json.dumps(patch), headers={"Content-Type": PATCH})
        assert answer.status_code in (400, 403)
        assert cast.owner.shows(image).json() == before


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:40])
def test_no_query_makes_the_service_fail_or_finds_more(query: str, cast: Cast) -> None:
    private = cast.owner.has_an_image(None, visibility="private")
    answer = cast.outsider.call("GET", f"/v2/images?{query}&limit=1000" if "limit" not in query else f"/v2/images?{query}")
    assert answer.status_code in (200, 400)
    assert private not in answer.text


# Addresses (T-38 and its like), methods


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_no_address_makes_the_service_fail(target: str, cast: Cast) -> None:
    for method in ("GET", "POST", "DELETE"):
        with Connection(cast.owner.endpoint) as wire:
            wire.send(head(cast.owner, method, target, "Content-Length: 0"))
            assert wire.answer().status < 500


@pytest.mark.parametrize("method", ["FOO", "get", "CONNECT", "PROPFIND", "PRI", "TRACE", "A" * 500, "G\x00T"])
def test_no_method_makes_the_service_fail(method: str, cast: Cast) -> None:
    for target in ("/v2/images", "/", "evil.example:80"):
        with Connection(cast.owner.endpoint) as wire:
            wire.send(head(cast.owner, method, target))
            assert wire.answer().status in (300, 400, 404, 405)


@pytest.mark.parametrize(
    "host", ["evil.example/x", "a b", "evil\\", "<script>", "x" * 300, "[::1", "evil.example:99999999999999999999", "", "a@b", "é"]
)
def test_a_forged_host_goes_no_further_than_links(host: str, cast: Cast) -> None:
    with Connection(cast.owner.endpoint) as wire:
        wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        answer = wire.answer()
    assert answer.status in (300, 400)
    for wrong in ("<", "\\", " b", "/x/", "@", "é"):
        assert wrong not in answer.body.decode()


# Headers of any size and kind (T-90)


@pytest.mark.parametrize("name", HEADERS)
def test_no_header_keeps_the_service_busy(name: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(b"data")
    for value in HEADERS[name]:
        for method, path in (("GET", f"/v2/images/{image}/file"), ("PUT", f"/v2/images/{image}/file"), ("GET", "/v2/none")):
            lines = [
                line for line in head(cast.owner, method, path).decode().split("\r\n") if line and not line.startswith(f"{name}:")
            ]
            request = "\r\n".join([*lines, f"{name}: {value}", "", ""]).encode()
            with Connection(cast.owner.endpoint) as wire:
                begun = time.monotonic()
                wire.send(request)
                assert wire.answer().status < 500
                assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "lines", [["X-A: " + "x" * 70_000], [f"X-{number}: x" for number in range(10_000)], ["X-" + "a" * 70_000 + ": x"]]
)
def test_headers_above_64_kib_are_refused(lines: list[str], cast: Cast) -> None:
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", "/v2/images", *lines))
        answer = wire.answer()
        assert answer.status == 400
        assert b"longer than 65536 bytes" in answer.body


def test_an_expensive_filter_is_still_answered_at_once(cast: Cast) -> None:
    for value in ('"' + "\\" * 30_000, '"a",' * 7000, "," * 30_000, '"' * 30_000, "\\" * 30_000, '"' + 'a\\"' * 9000):
        begun = time.monotonic()
        assert cast.owner.call("GET", "/v2/images", params={"name": f"in:{value}"}).status_code in (200, 400)
        assert time.monotonic() - begun < 5


def test_an_expensive_pointer_is_still_answered_at_once(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for path in (
        "/" + " " * 500_000,
        "/" + "~1" * 250_000,
        "/a" * 250_000,
        "/" + " /" * 250_000,
        "~" * 500_000,
        "/" + "\t" * 500_000 + "x",
    ):
        begun = time.monotonic()
        assert cast.owner.patches(image, {"op": "add", "path": path, "value": "x"}).status_code in (200, 400)
        assert time.monotonic() - begun < 5
