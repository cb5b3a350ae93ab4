"""Where Partage answers otherwise than Glance 33, on purpose.

`reason` is the number of a row in the table of docs/compatibility.md, the name of a part in its "What is not there yet", or the
heading of a section of docs/comparison-with-glance.md.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.compat.questions import Question

Recorded = dict[str, Any]

IMPORT = "Import methods"
VERSIONS = "Versions"
STORE = "The store's name"
EMPTY = "Empty answers"
WORDS = "Words"
LETTERS = "Letters"
LOADED = "The catalog of metadata definitions"
MALFORMED = "malformed: "
CATALOG = "catalog: "


class _SomeWords(str):
    """Any text that says something."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(other.strip())

    def __ne__(self, other: object) -> bool:
        return not self == other


SOME_WORDS = _SomeWords("some words")
_TAGGED: dict[str, str | None] = {"etag": "a strong one", "vary": "x-auth-token"}
_UNTAGGED: dict[str, str | None] = {"etag": None, "vary": None}
_METHODS = ("glance-direct", "web-download", "copy-image")


@dataclass(frozen=True)
class Rule:
    """A difference that shows in many answers: how Glance's becomes ours."""

    reason: str
    change: Callable[[Recorded, Question], Recorded]


@dataclass(frozen=True)
class Difference:
    """A difference in the answers to these questions. A header or a member of the document that is None is not there."""

    reason: str
    questions: tuple[str, ...]
    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    body: Any = ...

    def applied_to(self, recorded: Recorded) -> Recorded:
        body = recorded["body"] if self.body is ... else self.body
        if self.document:
            body = _without_none({**(body or {}), **self.document})
        headers = _without_none({**recorded["headers"], **self.headers})
        return {"status": self.status or recorded["status"], "headers": headers, "body": body}


def applied_to(recorded: Recorded, question: Question) -> Recorded:
    """Make of Glance's answer the one that Partage is meant to give."""
    for rule in (*RULES, *RULES_BESIDE):
        recorded = rule.change(recorded, question)
    for difference in DIFFERENCES:
        if question.name in difference.questions:
            recorded = difference.applied_to(recorded)
    return recorded


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _with_headers(recorded: Recorded, **headers: str | None) -> Recorded:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**recorded, "headers": _without_none({**recorded["headers"], **changed})}


def _plain_words(recorded: Recorded, _question: Question) -> Recorded:
    """No markup, no line ends, no sentence before the particular one, no dump of the schema."""
    body = recorded["body"]
    if not isinstance(body, dict) or "message" not in body:
        return recorded
    message = " ".join(re.sub(r"<br */>", " ", body["message"].partition("\n\nFailed validating")[0]).split())
    for general in ("Access was denied to this resource. ", "There was a conflict when trying to complete your request. "):
        message = message.removeprefix(general)
    return {**recorded, "body": {**body, "message": message}}


def _head_is_allowed(recorded: Recorded, _question: Question) -> Recorded:
    allowed = recorded["headers"].get("allow", "").split(", ")
    if "GET" not in allowed:
        return recorded
    return _with_headers(recorded, allow=", ".join(sorted([*allowed, "HEAD"])))


def _request_is_named(recorded: Recorded, _question: Question) -> Recorded:
    return _with_headers(recorded, x_openstack_request_id="a new one")


def _has_a_tag(recorded: Recorded, question: Question) -> Recorded:
    if question.method != "GET" or not question.path.startswith("/v2") or recorded["status"] not in {200, 206}:
        return recorded
    data = recorded["headers"]["content-type"] == "application/octet-stream"
    tagged = _with_headers(recorded, **_TAGGED)
    return _with_headers(tagged, accept_ranges="bytes") if data else tagged


def _import_methods(recorded: Recorded, _question: Question) -> Recorded:
    known = "openstack-image-import-methods" in recorded["headers"]
    return _with_headers(recorded, openstack_image_import_methods=",".join(_METHODS) if known else None)


def _another_store(recorded: Recorded, _question: Question) -> Recorded:
    ids = recorded["headers"].get("openstack-image-store-ids")
    body = json.loads(re.sub(r"""(['"])fast(['"])""", r"\1local\2", json.dumps(recorded["body"])))
    return _with_headers({**recorded, "body": body}, openstack_image_store_ids=ids and "local")


def _nothing_has_no_type(recorded: Recorded, _question: Question) -> Recorded:
    return _with_headers(recorded, content_type=None) if recorded["status"] in {202, 204} else recorded


def _namespace_is_not_found(recorded: Recorded, _question: Question) -> Recorded:
    """One sentence, whatever was asked of a namespace that is not there or not the caller's to see."""
    said = recorded["body"]["message"] if recorded["status"] == 404 and recorded["body"] else ""
    found = re.fullmatch(r"Namespace (\S+) not found", said)
    if not found:
        return recorded
    return {**recorded, "body": {**recorded["body"], "message": f"Metadata definition namespace={found[1]} was not found."}}


def _loaded_otherwise(recorded: Recorded, question: Question) -> Recorded:
    """How the shipped definitions get into Glance's database and out of it."""
    if not question.name.startswith(CATALOG) or recorded["status"] != 200:
        return recorded
    return {**recorded, "body": _as_loaded(recorded["body"])}


def _as_loaded(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_loaded(each) for each in value]
    if not isinstance(value, dict):
        return value
    loaded = {name: _as_loaded(each) for name, each in value.items() if (name, each) != ("owner", "admin")}
    if "created_at" in loaded:
        loaded["updated_at"] = "<time>"
    if loaded.get("type") == "integer" and isinstance(loaded.get("default"), str):
        loaded["default"] = int(loaded["default"])
    if isinstance(loaded.get("self"), str):
        loaded["self"] = loaded["self"].replace(" ", "%20")
    return loaded


def _malformed_is_refused(recorded: Recorded, question: Question) -> Recorded:
    if not question.name.startswith(MALFORMED) or recorded["status"] != 500:
        return recorded
    return {**recorded, "status": 400, "body": {"code": "400 Bad Request", "message": SOME_WORDS, "title": "Bad Request"}}


def _words_for_what_is_malformed(recorded: Recorded, question: Question) -> Recorded:
    """There are hundreds of malformed bodies: that each is refused alike is what counts, not in which words."""
    if not question.name.startswith(MALFORMED) or recorded["status"] not in {400, 403, 413, 415}:
        return recorded
    return {**recorded, "body": {**recorded["body"], "message": SOME_WORDS}}


RULES = (
    Rule("12", _plain_words),
    Rule("10", _head_is_allowed),
    Rule("13", _request_is_named),
    Rule("11", _has_a_tag),
    Rule(IMPORT, _import_methods),
    Rule(STORE, _another_store),
    Rule(EMPTY, _nothing_has_no_type),
    Rule(WORDS, _namespace_is_not_found),
)
RULES_BESIDE = (
    Rule("6", _malformed_is_refused),
    Rule(WORDS, _words_for_what_is_malformed),
    Rule(LOADED, _loaded_otherwise),
)
"""They show only where both services run: what was answered to hundreds of malformed bodies, and the catalog, is not recorded."""

_VERSIONS = (
    "v2.17",
    "v2.15",
    "v2.13",
    "v2.12",
    "v2.11",
    "v2.10",
    "v2.9",
    "v2.8",
    "v2.7",
    "v2.6",
    "v2.5",
    "v2.4",
    "v2.3",
    "v2.2",
    "v2.1",
    "v2.0",
)
_LINK = [{"href": "<image service>/v2/", "rel": "self"}]
_BAD = {"code": "400 Bad Request", "title": "Bad Request"}
_NO_RANGE = {
    "code": "416 Request Range Not Satisfiable",
    "message": "The Range requested is not available. The requested range cannot be served; the image data has 100 bytes",
    "title": "Request Range Not Satisfiable",
}
_UNREADABLE = (
    "Error decoding your request. Either the URL or the request body contained characters that could not be decoded by this service"
)
_MEDIA = "The request media type"
_HELP = "image data is sent as application/octet-stream"
_NO_MEMBER = "The member must be the id of a project: text of at most 255 characters"
_NO_CREATED = {"location": None, "openstack-image-store-ids": None, "openstack-image-import-methods": None}
_AS_JSON = {
    **_UNTAGGED,
    "content-type": "application/json",
    "accept-ranges": None,
    "content-length": None,
    "content-md5": None,
}
_DOCUMENT = {"allow": None, "content-type": "application/json", **_TAGGED}
_DATA = {
    "content-type": "application/octet-stream",
    "content-length": "100",
    "content-md5": "7a08b07e84641703e5f2c836aa59a170",
    "accept-ranges": "bytes",
    **_TAGGED,
}


def _not_found_spelling(what: str, name: str) -> Difference:
    one = {"metadata object": "an object", "property": "a property"}[what]
    body = {"code": "404 Not Found", "message": f"Could not find {what} {name}", "title": "Not Found"}
    return Difference(LETTERS, (f"metadefs: show {one} in another spelling",), status=404, headers=_UNTAGGED, body=body)


def _said(reason: str, question: str, message: str) -> Difference:
    return Difference(reason, (question,), document={"message": message})


def _refused(reason: str, message: str, *questions: str) -> Difference:
    headers = {**_NO_CREATED, **_UNTAGGED}
    return Difference(reason, questions, status=400, headers=headers, body={**_BAD, "message": message})


def _linked(question: str, first: str, following: str | None = None) -> Difference:
    links = {"first": first} | ({"next": following} if following else {})
    return Difference("1", ("list: " + question,), document=links)


def _not_found(message: str, *questions: str) -> Difference:
    """Whether there is such a thing is not told: the answer is that to what is not there."""
    body = {"code": "404 Not Found", "message": message, "title": "Not Found"}
    return Difference("3", questions, status=404, headers=_UNTAGGED, body=body)


def _other_words() -> Iterator[Difference]:
    """Read other_words.json: reason to question to message. Under the number of a row, the answer is 400 as well."""
    for reason, messages in json.loads(Path(__file__).with_name("other_words.json").read_text()).items():
        for question, message in messages.items():
            yield _said(reason, question, message) if reason == WORDS else _refused(reason, message, question)


DIFFERENCES: tuple[Difference, ...] = (
    _linked("sort_key twice and one sort_dir", "/v2/images?sort_key=disk_format&sort_key=name&sort_dir=asc"),
    _linked("sort_key twice and two sort_dir", "/v2/images?sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc"),
    _linked("by two tags", "/v2/images?tag=red&tag=round&sort=name%3Aasc"),
    _linked(
        "by two tags, first page",
        "/v2/images?tag=red&tag=round&sort=name%3Aasc&limit=1",
        "/v2/images?tag=red&tag=round&sort=name%3Aasc&limit=1&marker=<beta>",
    ),
    Difference("2", ("list: page that holds all",), document={"next": None}),
    _refused("3", "No image found with ID <image>", "list: marker of another project"),
    Difference(
        "4",
        ("list: by locations",),
        status=200,
        headers=_TAGGED,
        body={"first": "/v2/images?locations=x", "images": [], "schema": "/v2/schemas/images"},
    ),
    _refused(
        "5", _NO_MEMBER, *(f"members: add a {what}" for what in ("number", "member that is a list", "member of 256 characters"))
    ),
    _refused("6", "Provided object does not match schema 'image': the body must be a JSON object", "create: JSON that is a list"),
    _refused("6", "Malformed JSON in request body.", "create: character that is none"),
    _refused("6", "The pointer of an operation must be text, such as /name", "patch: path that is a number"),
    _refused("7", "The request body has a NUL character (\\u0000) in a text; leave it out", "create: NUL character"),
    _refused("7", _UNREADABLE, "list: NUL character"),
    Difference(
        "8",
        tuple(f"download: {what}" for what in ("first bytes", "from the middle on", "last bytes", "more than there is")),
        headers={"content-md5": None},
    ),
    Difference(
        "8",
        tuple(
            f"download: {what}"
            for what in ("beyond the end", "range the wrong way round", "range that is none", "range of other units")
        ),
        headers={"content-range": "bytes */100"},
        body=_NO_RANGE,
    ),
    Difference(
        "9",
        ("download: last none bytes", "download: range with a tail"),
        status=416,
        headers={**_AS_JSON, "content-range": "bytes */100"},
        body=_NO_RANGE,
    ),
    Difference("10", ("head of a list", "head of an image", "head of a member"), status=200, headers=_DOCUMENT),
    Difference("10", ("head of data",), status=200, headers={**_DATA, "allow": None}),
    Difference(
        "11",
        ("download: known already",),
        status=304,
        headers={**_AS_JSON, "content-type": None, **_TAGGED},
        body=None,
    ),
    _said(
        "12",
        "upload: less than the announced size",
        "Announced size 11 bytes, but the image data is 10 bytes; the image is back in queued and can be uploaded again",
    ),
    _said(
        "12",
        "upload: more than the announced size",
        "Announced size 9 bytes, but the image data is 10 bytes; the image is back in queued and can be uploaded again",
    ),
    _said("12", "upload: store that is none", "Store for identifier nowhere not found; configured: local"),
    Difference(
        "14",
        ("patch: stores",),
        status=403,
        body={"code": "403 Forbidden", "message": "Attribute 'stores' is read-only.", "title": "Forbidden"},
    ),
    Difference(
        "15",
        ("method that HTTP does not have",),
        status=400,
        headers={"allow": None, "content-type": "text/plain; charset=utf-8", "x-openstack-request-id": None},
        body="Invalid HTTP request received.",
    ),
    Difference(
        VERSIONS,
        ("versions at the root", "versions", "versions of a prefix that is none", "minor version that is none"),
        document={
            "versions": [
                {"id": each, "links": _LINK, "status": "CURRENT" if each == _VERSIONS[0] else "SUPPORTED"} for each in _VERSIONS
            ]
        },
    ),
    Difference(
        IMPORT,
        ("import methods",),
        document={"import-methods": {"description": "Import methods available.", "type": "array", "value": list(_METHODS)}},
    ),
    Difference(STORE, ("stores",), document={"stores": [{"default": "true", "id": "local"}]}),
    _not_found(
        "Metadata definition namespace=<namespace> was not found.",
        "metadefs: show by a stranger",
        "metadefs: list marker of another project's",
    ),
    _said(IMPORT, "import: method that is off", "Unknown import method name 'glance-download'."),
    *(_not_found_spelling(kind, name) for kind, name in (("metadata object", "BOX"), ("property", "SIZE"))),
    *_other_words(),
    _said(WORDS, "token that is none", "The token is not valid, or no longer; ask the identity service for a new one"),
    _said(WORDS, "create: other project as owner", "You are not permitted to create images owned by '<project-b>'."),
    _said(WORDS, "list: bytes that are no text", _UNREADABLE),
    _said(
        WORDS,
        "upload: no media type",
        f"{_MEDIA} is not supported by this server. Invalid content type None; {_HELP}",
    ),
    _said(
        WORDS,
        "upload: other media type",
        f"{_MEDIA} application/json is not supported by this server. Invalid content type application/json; {_HELP}",
    ),
    _said(
        WORDS,
        "upload: data of another format",
        f"{_MEDIA} application/octet-stream is not supported by this server. "
        "Image disk_format qcow2 does not match stream data raw; declare the image as raw, or convert it to qcow2",
    ),
    _said(
        WORDS,
        "download: several ranges",
        "Requests with multiple ranges are not supported. You may make multiple single-range requests instead.",
    ),
)
