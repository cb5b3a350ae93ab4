"""Requests that no parser likes: documents, changes, queries, addresses and headers. Each is answered, quickly, and not by a 5xx.

T-38, T-90 and T-92 of the list of advisories that every release is tested with.
"""

import json
import time
from typing import Any

import pytest

from tests.api.connection import Connection, head
from tests.api.personas import PATCH, Cast

KIB = 1 << 10


def add(name: str, value: Any = "x") -> dict[str, Any]:
    return {"op": "add", "path": f"/{name}", "value": value}


# Documents

DEEP = 100_000
DOCUMENTS = {
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists without end": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep value": b'{"name":' + b"[" * 500 + b"]" * 500 + b"}",
    "not a number": b'{"min_ram": NaN}',
    "infinite": b'{"min_ram": Infinity}',
    "infinite by exponent": b'{"min_ram": 1e999}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone surrogate as a name": b'{"\\udfff": "x"}',
    "nul": b'{"name": "a\\u0000b"}',
    "nul as a name": b'{"a\\u0000": "x"}',
    "nul in a tag": b'{"tags": ["\\u0000"]}',
    "nul in an owner": b'{"owner": "\\u0000"}',
    "raw nul": b'{"name": "\x00"}',
    "control characters": b'{"name": "\n"}',
    "10^5 digits": b'{"min_ram": ' + b"9" * 100_000 + b"}",
    "2^31": b'{"min_ram": 2147483648}',
    "2^63": b'{"min_disk": 9223372036854775808}',
    "minus 2^63": b'{"min_disk": -9223372036854775809}',
    "fraction": b'{"min_disk": 1.5}',
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "UTF-32": '{"name": "x"}'.encode("utf-32"),
    "Latin-1": b'{"name": "\xfc"}',
    "overlong UTF-8": b'{"name": "\xc0\x80"}',
    "encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "4-byte character": '{"name": "\U0001f600"}'.encode(),
    "4-byte character as a name": '{"\U0001f600": "x"}'.encode(),
    "4-byte character in a tag": '{"tags": ["\U0001f600"]}'.encode(),
    "long name": b'{"name": "' + b"x" * 256 + b'"}',
    "long tag": b'{"tags": ["' + b"x" * 256 + b'"]}',
    "long owner": b'{"owner": "' + b"x" * 256 + b'"}',
    "long value": b'{"a": "' + b"x" * 65_536 + b'"}',
    "number": b"5",
    "text": b'"x"',
    "null": b"null",
    "true": b"true",
    "nothing": b"",
    "spaces": b"   ",
    "list": b"[]",
    "two documents": b"{}{}",
    "trailing comma": b'{"name": "x",}',
    "comment": b"{/**/}",
    "single quotes": b"{'name': 'x'}",
    "XML": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><image>&e;</image>',
    "form": b"name=x",
    "python": b"{'a': __import__('os')}",
}


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


CHANGES: dict[str, Any] = {
    "a list": [add("a")],
    "a text": "add",
    "null": None,
    "a number": 5,
    "no op": {"path": "/a", "value": "x"},
    "no path": {"op": "add", "value": "x"},
    "no value": {"op": "add", "path": "/a"},
    "op a list": {"op": ["add"], "path": "/a", "value": "x"},
    "path a list": {"op": "add", "path": ["/a"], "value": "x"},
    "path an object": {"op": "add", "path": {"a": "/a"}, "value": "x"},
    "value an object": add("a", {"b": "c"}),
    "value a list": add("a", ["b"]),
    "value null": add("a", None),
    "value a number": add("a", 5),
    "empty path": {"op": "add", "path": "", "value": "x"},
    "deep path": add("a/b/c"),
    "tilde": add("a~2"),
    "tilde at the end": add("a~"),
    "two slashes": add("a//b"),
    "slash at the end": add("a/"),
    "tags/-": add("tags/-"),
    "tags of lists": add("tags", [["a"]]),
    "tags an object": add("tags", {"a": "b"}),
    "name a list": add("name", ["n"]),
    "protected text": add("protected", "true"),
    "huge min_ram": add("min_ram", 2**31),
    "float min_ram": add("min_ram", 1e308),
    "negative min_disk": add("min_disk", -1),
    "nul": add("a", "\x00"),
    "nul as a name": add("\x00"),
    "4 bytes": add("a", "\U0001f600"),
    "unknown format": add("disk_format", "exe"),
    "unknown visibility": add("visibility", "all"),
    "owner null": add("owner", None),
    "locations far away": add(f"locations/{10**30}", {"url": "x", "metadata": {}}),
    "locations text": add("locations/-", "x"),
    "copy": {"op": "copy", "from": "/name", "path": "/a"},
    "move": {"op": "move", "from": "/name", "path": "/a"},
    "test": {"op": "test", "path": "/name", "value": None},
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_that_makes_no_sense_is_refused(kind: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    before = cast.owner.shows(image).json()
    for patch in ([CHANGES[kind]], [add("first"), CHANGES[kind]]):
        answer = cast.owner.call("PATCH", f"/v2/images/{image}", data=json.dumps(patch), headers={"Content-Type": PATCH})
        assert answer.status_code in (400, 403)
        assert cast.owner.shows(image).json() == before


QUERIES = [
    "created_at=9999-12-31T23:59:59Z",
    "created_at=gt:9999-12-31T23:59:59.999999Z",
    "updated_at=0001-01-01T00:00:00Z",
    "created_at=lt:0001-01-01",
    "created_at=0001-01-01T00:00:00%2B14:00",
    "created_at=9999-12-31T23:59:59-14:00",
    "size=9223372036854775808",
    "size_min=-" + "9" * 40,
    "min_ram=2147483648",
    "min_disk_max=-9223372036854775809",
    "limit=" + "9" * 4000,
    "limit=1e3",
    "limit=%D9%A3",
    "marker=%F0%9F%98%80",
    "marker=" + "x" * 5000,
    "name=%ED%A0%80",
    "name=%C0%80",
    "name=%",
    "%=%",
    "=",
    "&&&&",
    "%00=x",
    "x=%00",
    "name=in:",
    "name=in:,,,",
    'name=in:"',
    'name=in:"\\',
    "id=in:" + "," * 400,
    "name=in:" + ",".join(["x"] * 501),
    "tag=" + "x" * 4000,
    "sort=" + ",".join(["name"] * 300),
    "sort_key=" + "x" * 1000,
    "sort=name:asc:desc",
    "sort=:",
    "visibility=%F0%9F%98%80",
    "member_status=%00",
    "os_hidden=%C4%B0",
    "protected=",
    "owner=" + "x" * 4000,
    "a" * 4000 + "=x",
    "__class__=x",
    "x;y=z",
    "name=;DROP TABLE images",
    "name=' OR 1=1 --",
    "tag=')) UNION SELECT 1--",
    "x' OR '1'='1=1",
    "sort=name:asc, (select 1)",
    "checksum=x%27",
    "name=%25%25%s%s%n",
    "a[]=1",
    "a.b=c",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:40])
def test_no_query_makes_the_service_fail_or_finds_more(query: str, cast: Cast) -> None:
    private = cast.owner.has_an_image(None, visibility="private")
    answer = cast.outsider.call("GET", f"/v2/images?{query}&limit=1000" if "limit" not in query else f"/v2/images?{query}")
    assert answer.status_code in (200, 400)
    assert private not in answer.text


# Addresses (T-38 and its like), methods


TARGETS = [
    "/v2/images/%",
    "/v2/images/%zz",
    "/v2/images/%ff",
    "/v2/images/%00",
    "/v2/images/%2e%2e/%2e%2e/etc/passwd",
    "/v2/images/..;/x",
    "/v2/images/a%0d%0aX: y",
    "/v2/images/" + "x" * 60_000,
    "/v2/images/" + "/" * 1000,
    "//v2//images",
    "/v2/./images",
    "/v2/../../etc/passwd",
    "/v2\\images",
    "/v2%2fimages%2f",
    "/;/",
    "/%",
    "/v2/images?%",
    "/v2/images#fragment",
    "/v2.999999999999/images",
    "/v2." + "1" * 5000,
    "/v",
    "/v2.1.1/images",
    "http://a\\@127.0.0.1/v2/images",
    "http://user:pass@evil.example/v2/images",
    "http://[::1/v2/images",
    "http://evil.example:99999/v2/images",
    "http:///v2/images",
    "http://x:-1/",
    "*",
    "v2/images",
    "/v2/images/x/tags/" + "%20" * 300,
    "/v2/images/x/members/%2F",
    "/v2/images/x/../x/file",
    "/healthcheck/../v2/images",
    "/v2/images/%e2%80%8b",
    "?",
    "/?",
]


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


LONG = 60_000
HEADERS = {
    "Accept": [
        "a," * (LONG // 2),
        "text/html;q=" * 5000,
        ";" * LONG,
        "application/json" + ";q=0.1" * 9000,
        "*/*," * 9000,
        "a/b;" + " " * LONG + "x",
    ],
    "Accept-Encoding": ["gzip," * 10_000],
    "Range": [
        "bytes=" + "0" * LONG,
        "bytes=" + "1-2," * 10_000,
        "bytes" + " " * LONG + "=0-1",
        "bytes=0-" + "9" * LONG,
        "bytes=" + "-" * LONG,
    ],
    "If-None-Match": ['"' * LONG, 'W/"x",' * 9000, "," * LONG, " " * LONG + "x"],
    "If-Range": ['"' * LONG],
    "Content-Type": ["application/octet-stream" + ";" * LONG, "a/" * 20_000, " " * LONG + "x"],
    "X-OpenStack-Image-Size": ["9" * LONG, " " * LONG + "1"],
    "X-Image-Meta-Store": ["x" * LONG],
    "X-Openstack-Request-Id": ["a" * LONG, "req-" + "-" * LONG],
    "Host": ["a." * 20_000, ":" * LONG, "[" * LONG],
    "X-Auth-Token": ["x" * LONG, "gAAAAA" + "=" * LONG],
    "X-Service-Token": ["x" * LONG],
    "Cookie": ["a=b;" * 15_000],
}


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
