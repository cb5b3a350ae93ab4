"""Requests, well-formed and not, whose answers are compared with those of Glance 33 (`glance.json` beside this file).

    python tests/golden/http/exchanges.py URL TOKEN            print the answers of a service
    python tests/golden/http/exchanges.py URL TOKEN --compare  print how they differ from the recorded ones

A request names images of its own by `{queued}`, `{active}` (ten bytes, raw) and `{private}`; they are made anew for each run.
Recorded of an answer: status, words of an error, names of a document's fields, and the headers that clients read.
"""

import html
import http.client
import json
import re
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("glance.json")
INTENDED = Path(__file__).with_name("intended.json")
"""The statuses that are meant to differ; docs/compatibility.md says why."""

OCTETS = "application/octet-stream"
PATCH_1 = "application/openstack-images-v2.1-json-patch"
PATCH_0 = "application/openstack-images-v2.0-json-patch"
READ_HEADERS = ("content-type", "content-range", "content-md5", "allow", "accept-patch", "location")
UNKNOWN = "5e1cd3a0-0d5b-4d5c-a9b8-3a6b6ab3a7f5"


@dataclass(frozen=True)
class Exchange:
    """One request of the table."""

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        said = " ".join(f"{name}: {value}" for name, value in self.headers.items())
        return " ".join(part for part in (self.method, self.path, said, repr(self.body)[2:-1] if self.body else "") if part)[:400]


def _get(path: str, **headers: str) -> Exchange:
    return Exchange("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _create(body: str) -> Exchange:
    return Exchange("POST", "/v2/images", body.encode())


def _patch(body: str, media_type: str = PATCH_1) -> Exchange:
    return Exchange("PATCH", "/v2/images/{queued}", body.encode(), {"Content-Type": media_type})


def _upload(body: bytes, **headers: str) -> Exchange:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Exchange("PUT", "/v2/images/{queued}/file", body, {"Content-Type": OCTETS, **named})


LISTS = [
    "limit=-1",
    "limit=x",
    "limit=0",
    "limit=",
    "limit=99999999999999999999",
    "limit=1&limit=2",
    f"marker={UNKNOWN}",
    "marker=",
    "marker=x%00y",
    "visibility=x",
    "visibility=",
    "visibility=all",
    "visibility=shared",
    "member_status=x",
    "member_status=all",
    "member_status=",
    "os_hidden=x",
    "os_hidden=TRUE",
    "protected=True",
    "protected=true",
    "protected=x",
    "sort=x",
    "sort=",
    "sort=name:x",
    "sort=name:asc,size",
    "sort=name:asc&sort_key=name",
    "sort=name,,id",
    "sort_key=x",
    "sort_key=name&sort_dir=x",
    "sort_key=name&sort_dir=asc&sort_dir=desc",
    "sort_dir=asc",
    "sort_key=name&sort_key=size&sort_dir=asc",
    "sort_key=",
    "size_min=x",
    "size_max=5",
    "size_min=99999999999999999999999",
    "min_ram_min=1",
    "foo=bar",
    "changes-since=x",
    "changes-since=",
    "name=a:b",
    "name=in:a,b",
    'name=in:"a,b",c',
    'name=in:a"b',
    'name=in:"a"b',
    'name=in:"a',
    "name=eq:a:b",
    "name=neq:a",
    "status=in:active,queued",
    "id=in:x",
    "name=2016-01-01T00:00:00",
    "created_at=x",
    "created_at=gt:x",
    "created_at=foo:2016-01-01T00:00:00Z",
    "created_at=gt:2016-01-01T00:00:00Z",
    "created_at=2016-01-01T00:00:00Z",
    "created_at=lte:2016",
    "updated_at=neq:2016-04-20T21:23:24Z",
    "created_at=",
    "owner=x",
    "checksum=x",
    "size=x",
    "min_ram=x",
    "tag=a&tag=b",
    "tag=",
    "%ff=x",
    "name=%ff",
    "a=%00",
]

EXCHANGES = [
    _get("/v2/images"),
    *(_get(f"/v2/images?{query}", Accept="application/json") for query in LISTS),
    _get("/v2/images?limit=-1", Accept=""),
    _get("/v2/images?limit=-1", Accept="text/plain"),
    _get("/v2/images?limit=-1", Accept="application/json, */*"),
    _get("/v2/images?limit=-1", Accept="application/json;q=0.5, text/html"),
    _get("/v2/images?limit=-1", Accept="application/*"),
    _get("/images", Accept="application/vnd.openstack.images-v2.1"),
    _get("/v2.1/images"),
    _get("/v2.99/images"),
    _get("/v3/images"),
    _get("/"),
    _get("/versions"),
    _get("/healthcheck"),
    _get("/v1"),
    _get("/v2/"),
    _get("/v2"),
    _get("/v2/images/"),
    _get("/v2/nope"),
    _get("/v2/images/{active}/nope"),
    _get("/v2/images//file"),
    Exchange("DELETE", "/v2/images"),
    Exchange("FOO", "/v2/images"),
    Exchange("PUT", "/v2/images/{active}"),
    Exchange("POST", "/v2/images/{active}/file"),
    Exchange("GET", "/v2/images/{active}/actions/deactivate"),
    Exchange("POST", "/v2/images/{active}/members/x"),
    Exchange("GET", "/v2/images/{active}/tags/x"),
    Exchange("POST", "/v2/schemas/image"),
    Exchange("PUT", "/v2/info/stores"),
    _get("/v2/images/{active}"),
    _get("/v2/images/x"),
    _get(f"/v2/images/{UNKNOWN}"),
    _get("/v2/images/%ff"),
    _get("/v2/images/a%2Fb"),
    Exchange("GET", "/v2/images/{active}", b"x"),
    Exchange("DELETE", "/v2/images/{active}", b"x"),
    Exchange("DELETE", f"/v2/images/{UNKNOWN}"),
    _create(""),
    _create("[]"),
    _create('"x"'),
    _create("{"),
    _create("null"),
    _create("5"),
    _create('{"name": NaN}'),
    Exchange("POST", "/v2/images", b"\xef\xbb\xbf{}"),
    Exchange("POST", "/v2/images", "{}".encode("utf-16")),
    Exchange("POST", "/v2/images", b'{"name": "\xff"}'),
    _create('{"name": "\\ud800"}'),
    _create('{"name": "a\\u0000"}'),
    _create('{"min_ram": ' + "9" * 5000 + "}"),
    _create("[" * 3000 + "]" * 3000),
    *(
        _create(json.dumps(document))
        for document in (
            {"name": 5},
            {"name": None},
            {"name": "x" * 256},
            {"owner": None},
            {"owner": "x"},
            {"owner": 5},
            {"id": "x"},
            {"id": None},
            {"id": 5},
            {"min_ram": -1},
            {"min_ram": 2**31},
            {"min_ram": 2**63},
            {"min_ram": 1.5},
            {"min_ram": True},
            {"min_ram": "1"},
            {"min_disk": None},
            {"status": "queued"},
            {"status": "x"},
            {"checksum": "x"},
            {"size": 1},
            {"created_at": "x"},
            {"stores": "x"},
            {"locations": []},
            {"locations": "x"},
            {"location": "x"},
            {"deleted": "x"},
            {"deleted_at": "x"},
            {"self": "x"},
            {"file": "x"},
            {"schema": "x"},
            {"direct_url": "x"},
            {"os_glance_x": "x"},
            {"visibility": "public"},
            {"visibility": "x"},
            {"protected": "x"},
            {"os_hidden": 1},
            {"disk_format": "x"},
            {"container_format": 5},
            {"tags": "x"},
            {"tags": [5]},
            {"tags": ["x" * 256]},
            {"tags": ["a", "a"]},
            {"tags": [str(number) for number in range(129)]},
            {str(number): "x" for number in range(129)},
            {"a": 5},
            {"a": None},
            {"a": ["x"]},
            {"x" * 256: "a"},
            {"name": "\U0001f600"},
            {"\U0001f600": "x"},
            {"a": "\U0001f600"},
            {"tags": ["\U0001f600"]},
            {"virtual_size": 5},
            {"os_hash_algo": "x"},
            {"disk_format": None},
            {"members": "a"},
        )
    ),
    _patch("["),
    _patch("[]"),
    _patch("{}"),
    _patch(""),
    _patch("[5]"),
    *(
        _patch(json.dumps([change]))
        for change in (
            {"path": "/a"},
            {"op": "test", "path": "/a"},
            {"op": ["x"], "path": "/a"},
            {"op": "add"},
            {"op": "add", "path": 5, "value": "x"},
            {"op": "add", "path": "/a"},
            {"op": "add", "path": "a", "value": "x"},
            {"op": "add", "path": "/a/b", "value": "x"},
            {"op": "add", "path": "/a//b", "value": "x"},
            {"op": "add", "path": "/a/", "value": "x"},
            {"op": "add", "path": "//", "value": "x"},
            {"op": "add", "path": "/a~2", "value": "x"},
            {"op": "add", "path": "/a~", "value": "x"},
            {"op": "add", "path": "/a~1b~0", "value": "x"},
            {"op": "add", "path": "", "value": "x"},
            {"op": "add", "path": "/tags/-", "value": "x"},
            {"op": "replace", "path": "/tags", "value": ["a"]},
            {"op": "add", "path": "/locations/-", "value": {"url": "x", "metadata": {}}},
            {"op": "add", "path": "/locations", "value": []},
            {"op": "add", "path": "/locations/-", "value": 5},
            {"op": "replace", "path": "/locations", "value": []},
            {"op": "replace", "path": "/locations", "value": [{"url": "x", "metadata": {}}]},
            {"op": "remove", "path": "/locations/0"},
            {"op": "replace", "path": "/id", "value": "x"},
            {"op": "remove", "path": "/id"},
            {"op": "add", "path": "/deleted", "value": "x"},
            {"op": "add", "path": "/os_glance_x", "value": "x"},
            {"op": "replace", "path": "/owner", "value": "x"},
            {"op": "add", "path": "/owner", "value": "x"},
            {"op": "remove", "path": "/name"},
            {"op": "remove", "path": "/tags"},
            {"op": "remove", "path": "/zzz"},
            {"op": "replace", "path": "/zzz", "value": "x"},
            {"op": "replace", "path": "/min_ram", "value": -1},
            {"op": "replace", "path": "/min_ram", "value": 2**31},
            {"op": "replace", "path": "/min_ram", "value": "x"},
            {"op": "replace", "path": "/name", "value": "\U0001f600"},
            {"op": "add", "path": "/b", "value": "\U0001f600"},
            {"op": "add", "path": "/b", "value": 5},
            {"op": "replace", "path": "/visibility", "value": "public"},
            {"op": "replace", "path": "/visibility", "value": "x"},
            {"op": "replace", "path": "/protected", "value": "x"},
            {"op": "replace", "path": "/disk_format", "value": "x"},
            {"op": "replace", "path": "/name", "value": None},
        )
    ),
    *(
        _patch(json.dumps([change]), PATCH_0)
        for change in (
            {"add": "/a", "value": "z"},
            {"add": "/name", "value": "z"},
            {"add": "/name", "remove": "/z"},
            {"x": "/name"},
            {"remove": "/zzz"},
            {"replace": "/a"},
            {"replace": "/a", "value": "c"},
            {"add": 5, "value": "x"},
        )
    ),
    _patch("[]", "application/json"),
    Exchange("PATCH", "/v2/images/{queued}", b"[]"),
    Exchange("PATCH", f"/v2/images/{UNKNOWN}", b'[{"op": "add", "path": "/a", "value": "b"}]', {"Content-Type": PATCH_1}),
    Exchange(
        "PATCH", "/v2/images/{active}", b'[{"op": "replace", "path": "/disk_format", "value": "raw"}]', {"Content-Type": PATCH_1}
    ),
    Exchange("PUT", "/v2/images/{queued}/tags/" + "x" * 256),
    Exchange("PUT", "/v2/images/{queued}/tags/a%20b"),
    Exchange("PUT", "/v2/images/{queued}/tags/x", b"{}"),
    Exchange("DELETE", "/v2/images/{queued}/tags/none"),
    Exchange("PUT", f"/v2/images/{UNKNOWN}/tags/x"),
    Exchange("PUT", "/v2/images/{queued}/tags/%F0%9F%98%80"),
    *(
        Exchange("POST", "/v2/images/{active}/members", body)
        for body in (
            b"",
            b"{",
            b"[]",
            b"5",
            b"{}",
            b'{"member": ""}',
            b'{"member": null}',
            b'{"member": 3}',
            b'{"member": ["x"]}',
            b'{"member": "one"}',
            b'{"member": "one"}',
            b'{"member": "' + b"x" * 256 + b'"}',
            b'{"member": "two", "status": "accepted"}',
        )
    ),
    Exchange("POST", "/v2/images/{private}/members", b'{"member": "one"}'),
    Exchange("POST", f"/v2/images/{UNKNOWN}/members", b'{"member": "one"}'),
    _get("/v2/images/{active}/members"),
    _get("/v2/images/{private}/members"),
    _get(f"/v2/images/{UNKNOWN}/members"),
    _get("/v2/images/{active}/members/one"),
    _get("/v2/images/{active}/members/none"),
    _get("/v2/images/{private}/members/one"),
    *(
        Exchange("PUT", "/v2/images/{active}/members/one", body)
        for body in (
            b"",
            b"[]",
            b"{}",
            b'{"status": "x"}',
            b'{"status": 5}',
            b'{"status": "accepted"}',
        )
    ),
    Exchange("PUT", "/v2/images/{active}/members/none", b'{"status": "accepted"}'),
    Exchange("PUT", "/v2/images/{private}/members/one", b'{"status": "accepted"}'),
    Exchange("DELETE", "/v2/images/{active}/members/none"),
    Exchange("DELETE", "/v2/images/{active}/members/one"),
    Exchange("DELETE", "/v2/images/{private}/members/one"),
    _get("/v2/images/{queued}/file"),
    _get(f"/v2/images/{UNKNOWN}/file"),
    Exchange("PUT", "/v2/images/{queued}/file", b"x", {"Content-Type": "text/plain"}),
    Exchange("PUT", "/v2/images/{queued}/file", b"x"),
    _upload(b"x", X_OpenStack_Image_Size="a"),
    _upload(b"x", X_OpenStack_Image_Size="5"),
    _upload(b"x", X_Image_Meta_Store="none"),
    Exchange("PUT", "/v2/images/{active}/file", b"x", {"Content-Type": OCTETS}),
    Exchange("PUT", f"/v2/images/{UNKNOWN}/file", b"x", {"Content-Type": OCTETS}),
    Exchange("PUT", "/v2/images/{private}/file", b"x", {"Content-Type": OCTETS}),
    _get("/v2/images/{active}/file"),
    *(
        _get("/v2/images/{active}/file", Range=value)
        for value in (
            "bytes=0-1",
            "bytes=-3",
            "bytes=-0",
            "bytes=-50",
            "bytes=5-",
            "bytes=10-",
            "bytes=3-1",
            "bytes=0-1,3-4",
            "x",
            "bytes=0-1x",
            "bytes = 2 - 3",
            "lines=0-1",
            "bytes=9-100",
            "bytes=0-99999999999999999999999",
        )
    ),
    Exchange("POST", "/v2/images/{queued}/actions/deactivate"),
    Exchange("POST", "/v2/images/{queued}/actions/reactivate"),
    Exchange("POST", "/v2/images/{active}/actions/deactivate", b"x"),
    Exchange("POST", "/v2/images/{active}/actions/reactivate"),
    Exchange("POST", "/v2/images/{active}/actions/deactivate"),
    _get("/v2/images/{active}/file"),
    _get("/v2/images/{active}"),
    Exchange("POST", f"/v2/images/{UNKNOWN}/actions/deactivate"),
    *(_get(f"/v2/schemas/{name}") for name in ("image", "images", "member", "members", "none")),
    _get("/v2/info/import"),
    _get("/v2/info/stores"),
    _get("/v2/info/stores/detail"),
    _get("/v2/info/usage"),
    _get("/v2/images/{active}/tasks"),
    _get(f"/v2/images/{UNKNOWN}/tasks"),
    Exchange("POST", "/v2/images/{queued}/import", b"{}"),
    Exchange("POST", "/v2/images/{queued}/import", b'{"method": {}}'),
    Exchange("POST", "/v2/images/{queued}/import", b'{"method": {"name": "x"}}'),
    Exchange(
        "PATCH", "/v2/images/{queued}", b'[{"op": "replace", "path": "/protected", "value": true}]', {"Content-Type": PATCH_1}
    ),
    Exchange("DELETE", "/v2/images/{queued}"),
]


def run(base: str, token: str) -> dict[str, Any]:
    """Send every request, in order, as the bearer of `token`; return what was answered by name of the request."""
    made = {
        "queued": _made(base, token, {"a": "b", "disk_format": "raw", "container_format": "bare"}),
        "active": _made(base, token, {"disk_format": "raw", "container_format": "bare"}),
        "private": _made(base, token, {"visibility": "private"}),
    }
    uploaded = Exchange("PUT", f"/v2/images/{made['active']}/file", b"0123456789", {"Content-Type": OCTETS})
    if _send(base, token, uploaded)[0] != http.client.NO_CONTENT:
        raise RuntimeError("the image of ten bytes could not be uploaded")
    answers: dict[str, Any] = {}
    for exchange in EXCHANGES:
        name = exchange.name
        while name in answers:
            name += " again"
        path = exchange.path
        for word, image_id in made.items():
            path = path.replace("{" + word + "}", image_id)
        answers[name] = _noted(_send(base, token, Exchange(exchange.method, path, exchange.body, exchange.headers)), made, base)
    return answers


def _made(base: str, token: str, document: dict[str, str]) -> str:
    status, _, body = _send(base, token, Exchange("POST", "/v2/images", json.dumps(document).encode()))
    if status != http.client.CREATED:
        raise RuntimeError(f"an image could not be created: {status} {body[:300]!r}")
    found: str = json.loads(body)["id"]
    return found


def _send(base: str, token: str, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
    parts = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    headers = {"X-Auth-Token": token, "Accept": "application/json", **exchange.headers}
    try:
        connection.putrequest(exchange.method, exchange.path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if exchange.body is not None:
            connection.putheader("Content-Length", str(len(exchange.body)))
        connection.endheaders(exchange.body)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    except (http.client.HTTPException, OSError) as error:
        return 0, {}, repr(error).encode()
    finally:
        connection.close()


def _noted(answer: tuple[int, dict[str, str], bytes], made: dict[str, str], base: str) -> dict[str, Any]:
    status, headers, body = answer
    noted: dict[str, Any] = {"status": status}
    for name in READ_HEADERS:
        if name in headers:
            noted[name] = _masked(headers[name], made, base)
    if status >= http.client.BAD_REQUEST or not status:
        noted["words"] = _masked(words_of(body), made, base)
    elif headers.get("content-type", "").startswith("application/json"):
        noted["document"] = _shape(json.loads(body), made, base)
    return noted


def words_of(body: bytes) -> str:
    """Return the words of an error in any of its forms, without markup and without the dump of a schema."""
    text = body.decode(errors="replace")
    if text.startswith("{"):
        document = json.loads(text)
        text = document.get("error", document)["message"]
    if text.startswith("<html>"):
        text = html.unescape(text[text.index("</h1>") : text.rindex("</body>")])
    text = re.sub(r"<[^>]*>", " ", text.partition("\n\nFailed validating")[0])
    return " ".join(text.split())


def _shape(value: Any, made: dict[str, str], base: str) -> Any:
    """Keep of a document the names of its fields, nulls, flags and numbers, and the links without ids."""
    if isinstance(value, dict):
        links = ("first", "next", "self", "file", "schema", "href")
        return {
            name: _masked(each, made, base) if name in links and isinstance(each, str) else _shape(each, made, base)
            for name, each in sorted(value.items())
            if not (name.endswith("versions") and isinstance(each, list))
        }
    if isinstance(value, list):
        return [_shape(value[0], made, base)] if value else []
    return "text" if isinstance(value, str) else value


def _masked(text: str, made: dict[str, str], base: str) -> str:
    for word, image_id in made.items():
        text = text.replace(image_id, "{" + word + "}")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "{id}", text)
    return text.replace(base, "{base}")


def differences(answers: dict[str, Any]) -> list[str]:
    """Compare with what Glance answered; one line for each field that differs."""
    recorded = json.loads(RECORDED.read_text())
    lines = []
    for name, expected in recorded.items():
        found = answers.get(name, {})
        lines += [
            f"{name}\n    {key}: Glance {expected.get(key)!r}\n    {' ' * len(key)}  here   {found.get(key)!r}"
            for key in sorted({*expected, *found})
            if expected.get(key) != found.get(key)
        ]
    return lines


def surprises(answers: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Find the requests whose status is neither Glance's nor meant to differ: what was expected, and what was answered."""
    expected = {name: answer["status"] for name, answer in json.loads(RECORDED.read_text()).items()}
    expected |= json.loads(INTENDED.read_text())
    found = {name: answer["status"] for name, answer in answers.items()}
    return {name: (status, found.get(name, 0)) for name, status in expected.items() if found.get(name) != status}


if __name__ == "__main__":
    answered = run(sys.argv[1].rstrip("/"), sys.argv[2])
    print("\n".join(differences(answered)) if "--compare" in sys.argv else json.dumps(answered, indent=1, ensure_ascii=False))
