"""Where Partage answers otherwise than Glance 33, on purpose.

`reason` is the number of a row in the table of docs/compatibility.md, or the heading of a section of docs/comparison-with-glance.md
where two services differ because they are set up in two ways.
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
STORE = "The store's name"
WORDS = "6"
LETTERS = "Letters"
PATHS = "8"
LOADED = "The catalog of metadata definitions"
MALFORMED = "malformed: "
MISNAMED = "type: "
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
    if question.method != "GET" or not question.path.lstrip("/").startswith("v2") or recorded["status"] not in {200, 206}:
        return recorded
    data = recorded["headers"]["content-type"] == "application/octet-stream"
    tagged = _with_headers(recorded, **_TAGGED)
    return _with_headers(tagged, accept_ranges="bytes") if data else tagged


def _part_has_no_digest_of_the_whole(recorded: Recorded, _question: Question) -> Recorded:
    return _with_headers(recorded, content_md5=None) if recorded["status"] == 206 else recorded


def _token_is_not_valid(recorded: Recorded, question: Question) -> Recorded:
    """Where a token came, say that it is that which does not do."""
    sent = "false" if question.who == "stranger" else question.headers.get("X-Auth-Token", "")
    if recorded["status"] != 401 or not sent:
        return recorded
    message = "The token is invalid, expired or revoked; get a new token from the identity service"
    return {**recorded, "body": {**recorded["body"], "message": message}}


def _import_methods(recorded: Recorded, _question: Question) -> Recorded:
    known = "openstack-image-import-methods" in recorded["headers"]
    return _with_headers(recorded, openstack_image_import_methods=",".join(_METHODS) if known else None)


def _another_store(recorded: Recorded, _question: Question) -> Recorded:
    ids = recorded["headers"].get("openstack-image-store-ids")
    told = re.sub(r"""(['"])fast(['"])""", r"\1local\2", json.dumps(recorded["body"]))
    body = json.loads(re.sub(r'"file://[^"]*/([^"/]+)"', r'"partage://local/\1"', told))
    return _with_headers({**recorded, "body": body}, openstack_image_store_ids=ids and "local")


def _namespace_is_not_found(recorded: Recorded, _question: Question) -> Recorded:
    """One sentence, whatever was asked of a namespace that is not there or not the caller's to see."""
    found = re.match(r"Namespace (\S+) not found", _message(recorded)) if recorded["status"] == 404 else None
    return _saying(recorded, f"Metadata definition namespace={found[1]} was not found.") if found else recorded


def _namespace_is_not_told_of(recorded: Recorded, question: Question) -> Recorded:
    """The same sentence for one that is there, and not the caller's to see."""
    shown = re.fullmatch(r"/v2/metadefs/namespaces/([^/?]+)(\?.*)?", question.path)
    if not shown or question.method != "GET" or recorded["status"] != 404 or "could not be found" not in _message(recorded):
        return recorded
    name = shown[1].replace("{namespace}", "<namespace>")
    return _saying(recorded, f"Metadata definition namespace={name} was not found.")


def _only_shared_images_have_members(recorded: Recorded, _question: Question) -> Recorded:
    """The sentence says what stands in the way."""
    found = re.match(r"(Not allowed to (?:create|update|delete) members for image <?[\w-]+>?)\.", _message(recorded))
    return _saying(recorded, f"{found[1]}: only shared images have members.") if found else recorded


def _refused_for_something(recorded: Recorded, question: Question) -> Recorded:
    """Where several rules, or the state of the image, forbid what somebody wants of it, either service names one."""
    data_or_change = question.method == "PATCH" or question.path.endswith("/file")
    several = question.name.count(": ") == 2 and data_or_change and recorded["status"] == 403
    return _saying(recorded, SOME_WORDS) if several else recorded


def _stores_are_listed(recorded: Recorded, question: Question) -> Recorded:
    """An import to a store that is none is told where those are that there are."""
    found = re.match(r"Store for identifier \S+ not found", _message(recorded)) if question.path.endswith("/import") else None
    return _saying(recorded, f"{found[0]}; see the list of stores for those there are") if found else recorded


def _message(recorded: Recorded) -> str:
    return str(recorded["body"].get("message", "")) if isinstance(recorded["body"], dict) else ""


def _saying(recorded: Recorded, message: str) -> Recorded:
    return {**recorded, "body": {**recorded["body"], "message": message}}


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


def _range_of_nothing_is_nothing(recorded: Recorded, question: Question) -> Recorded:
    """Where an image has no data, Glance breaks the connection when a part of it is asked for."""
    if recorded["status"] or "Range" not in question.headers:
        return recorded
    return {"status": 204, "headers": {"x-openstack-request-id": "a new one"}, "body": None}


def _malformed_is_refused(recorded: Recorded, question: Question) -> Recorded:
    if not question.name.startswith((MALFORMED, MISNAMED)) or recorded["status"] != 500:
        return recorded
    return {**recorded, "status": 400, "body": {"code": "400 Bad Request", "message": SOME_WORDS, "title": "Bad Request"}}


def _words_for_what_is_malformed(recorded: Recorded, question: Question) -> Recorded:
    """There are hundreds of malformed bodies: that each is refused alike is what counts, not in which words."""
    if not question.name.startswith(MALFORMED) or recorded["status"] not in {400, 403, 413, 415}:
        return recorded
    return _saying(recorded, SOME_WORDS)


RULES = (
    Rule("6", _plain_words),
    Rule("5", _head_is_allowed),
    Rule("5", _request_is_named),
    Rule("5", _has_a_tag),
    Rule("4", _part_has_no_digest_of_the_whole),
    Rule(WORDS, _token_is_not_valid),
    Rule(IMPORT, _import_methods),
    Rule(STORE, _another_store),
    Rule(WORDS, _namespace_is_not_found),
    Rule("2", _namespace_is_not_told_of),
    Rule(WORDS, _stores_are_listed),
    Rule(WORDS, _only_shared_images_have_members),
)
RULES_BESIDE = (
    Rule("3", _malformed_is_refused),
    Rule(WORDS, _words_for_what_is_malformed),
    Rule(LOADED, _loaded_otherwise),
    Rule("4", _range_of_nothing_is_nothing),
    Rule(WORDS, _refused_for_something),
)
"""They show only where both services run: what was answered to hundreds of malformed bodies, and the catalog, is not recorded."""

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


def _for_no_preference(question: str, beginning: str) -> Difference:
    """A client that leaves the form of an error to the service gets the one that clients print."""
    error = {"code": "404 Not Found", "message": f"{beginning}No image found with ID <another image>", "title": "Not Found"}
    return Difference(WORDS, (question,), headers={"content-type": "application/json"}, body={"error": error})


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
    return Difference("2", questions, status=404, headers=_UNTAGGED, body=body)


def _other_words() -> Iterator[Difference]:
    """Read other_words.json: row to question to message. Under another row than that of words, the answer is 400 as well."""
    for reason, messages in json.loads(Path(__file__).with_name("other_words.json").read_text()).items():
        for question, message in messages.items():
            yield _said(reason, question, message) if reason == WORDS else _refused(reason, message, question)


def _of_paths() -> Iterator[Difference]:
    """A path is taken as it is written."""
    for path in ("/v2//images", "/v2/images/../images", "/v2/images/{image}//file"):
        body = {"code": "404 Not Found", "message": "The resource could not be found.", "title": "Not Found"}
        yield Difference(PATHS, (f"path: {path}",), status=404, headers=_AS_JSON, body=body)
    for path, name in (("/v2/images/.", "."), ("/v2/images/..", ".."), ("/v2/images/%20{image}", " <image>")):
        yield _said(PATHS, f"path: {path}", f"No image found with ID {name}")
    for path, name in (("/v2/images/%zz", "%zz"), ("/v2/images/%C3%A9", "\u00e9")):
        yield _said(PATHS, f"path: {path}", f"No image found with ID {name}")
    whole = {"first": "/v2/images?limit=0", "images": [], "schema": "/v2/schemas/images"}
    yield Difference(PATHS, ("path: /v2/images?limit=0#fragment",), status=200, headers=_TAGGED, body=whole)
    unreadable = f"{_UNREADABLE.partition(' Either')[0]} The URL contained characters that could not be decoded by this service"
    yield Difference(
        "3",
        ("path: /v2/images/%ff",),
        status=400,
        headers={"content-type": "application/json"},
        body={**_BAD, "message": unreadable},
    )
    twice = "/v2/images?limit=0&limit=1&name=none"
    yield Difference("1", (f"path: {twice}",), document={"first": twice})


def _at_the_edges() -> Iterator[Difference]:
    yield _linked("edge: limit twice", "/v2/images?limit=0&limit=1&sort=name%3Aasc")
    yield _refused("8", "limit param must be an integer", "list: edge: semicolon")
    for name, query in (
        ("bound of a text", "name_min=a"),
        ("by properties", "properties=x"),
        ("changes-since nothing", "changes-since="),
    ):
        found = {"first": f"/v2/images?{query}", "images": [], "schema": "/v2/schemas/images"}
        yield Difference("3", (f"list: edge: {name}",), status=200, headers=_TAGGED, body=found)
    for method in ("PUT", "DELETE"):
        message = f"The method {method} is not allowed for this resource."
        body = {"code": "405 Method Not Allowed", "message": message, "title": "Method Not Allowed"}
        yield Difference("5", (f"edge: {method} of an image's tasks",), status=405, headers={"allow": "GET, HEAD"}, body=body)
    yield Difference("5", ("edge: method that locations do not have",), headers={"allow": "GET, HEAD, POST"})
    none = {"first": "/v2/images?limit=0", "images": [], "schema": "/v2/schemas/images"}
    yield Difference("5", ("edge: request id of an odd shape",), status=200, headers=_TAGGED, body=none)
    for name, kind, given in (
        ("default that is a number", "number", {"default": 1.5}),
        ("default that is a list", "array", {"default": ["a"]}),
        ("minimum between numbers", "integer", {"minimum": 1.5}),
    ):
        properties = {"p": {"title": "t", "type": kind, **given}}
        yield Difference("14", (f"edge: metadefs: object with a {name}",), document={"properties": properties})


DIFFERENCES: tuple[Difference, ...] = (
    *_at_the_edges(),
    _linked("sort_key twice and one sort_dir", "/v2/images?sort_key=disk_format&sort_key=name&sort_dir=asc"),
    _linked("sort_key twice and two sort_dir", "/v2/images?sort_key=disk_format&sort_key=name&sort_dir=asc&sort_dir=desc"),
    _linked("by two tags", "/v2/images?tag=red&tag=round&sort=name%3Aasc"),
    _linked(
        "by two tags, first page",
        "/v2/images?tag=red&tag=round&sort=name%3Aasc&limit=1",
        "/v2/images?tag=red&tag=round&sort=name%3Aasc&limit=1&marker=<beta>",
    ),
    Difference("1", ("list: page that holds all",), document={"next": None}),
    Difference(
        "1",
        ("metadefs: list tags, limit 1",),
        document={"next": "/v2/metadefs/namespaces/<namespace>/tags?limit=1&sort_key=name&sort_dir=asc&marker=flat"},
    ),
    _refused("2", "No image found with ID <image>", "list: marker of another project"),
    Difference(
        "3",
        ("list: by locations",),
        status=200,
        headers=_TAGGED,
        body={"first": "/v2/images?locations=x", "images": [], "schema": "/v2/schemas/images"},
    ),
    _refused(
        "3", _NO_MEMBER, *(f"members: add a {what}" for what in ("number", "member that is a list", "member of 256 characters"))
    ),
    _refused("3", "Provided object does not match schema 'image': the body must be a JSON object", "create: JSON that is a list"),
    _refused("3", "Malformed JSON in request body.", "create: character that is none"),
    _refused("3", "The pointer of an operation must be text, such as /name", "patch: path that is a number"),
    _refused("3", "The request body has a NUL character (\\u0000) in a text; leave it out", "create: NUL character"),
    _refused("3", _UNREADABLE, "list: NUL character"),
    Difference(
        "4",
        tuple(
            f"download: {what}"
            for what in ("beyond the end", "range the wrong way round", "range that is none", "range of other units")
        ),
        headers={"content-range": "bytes */100"},
        body=_NO_RANGE,
    ),
    Difference(
        "4",
        ("download: last none bytes", "download: range with a tail"),
        status=416,
        headers={**_AS_JSON, "content-range": "bytes */100"},
        body=_NO_RANGE,
    ),
    Difference("5", ("head of a list", "head of an image", "head of a member"), status=200, headers=_DOCUMENT),
    Difference("5", ("head of data",), status=200, headers={**_DATA, "allow": None}),
    Difference(
        "5",
        ("download: known already",),
        status=304,
        headers={**_AS_JSON, "content-type": None, **_TAGGED},
        body=None,
    ),
    _said(
        "6",
        "upload: less than the announced size",
        "Announced size 11 bytes, but the image data is 10 bytes; the image is back in queued and can be uploaded again",
    ),
    _said(
        "6",
        "upload: more than the announced size",
        "Announced size 9 bytes, but the image data is 10 bytes; the image is back in queued and can be uploaded again",
    ),
    _said("6", "upload: store that is none", "Store for identifier nowhere not found; configured: local"),
    Difference(
        "7",
        ("patch: stores",),
        status=403,
        body={"code": "403 Forbidden", "message": "Attribute 'stores' is read-only.", "title": "Forbidden"},
    ),
    Difference(
        "8",
        ("method that HTTP does not have",),
        status=400,
        headers={"allow": None, "content-type": "text/plain; charset=utf-8", "x-openstack-request-id": None},
        body="Invalid HTTP request received.",
    ),
    Difference(
        IMPORT,
        ("import methods",),
        document={"import-methods": {"description": "Import methods available.", "type": "array", "value": list(_METHODS)}},
    ),
    Difference(STORE, ("stores",), document={"stores": [{"default": "true", "id": "local"}]}),
    _not_found(
        "Metadata definition namespace=<namespace> was not found.",
        "metadefs: list marker of another project's",
    ),
    _said(IMPORT, "import: method that is off", "Unknown import method name 'glance-download'."),
    *(_not_found_spelling(kind, name) for kind, name in (("metadata object", "BOX"), ("property", "SIZE"))),
    *_other_words(),
    *_of_paths(),
    Difference("5", ("headers: request id",), headers={"x-openstack-request-id": "not a new one: req-mine"}),
    _for_no_preference("errors for a client that takes all", "404 Not Found: "),
    _for_no_preference("edge: errors for a client that does not say", ""),
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

SHOWN_BY_TESTS = {
    "7": (
        "tests/api/test_names.py::test_property_name_is_normalised_by_every_route",
        "tests/api/test_names.py::test_tag_with_a_four_byte_character_is_refused_by_every_route",
    ),
    "9": (
        "tests/api/test_long_documents.py::test_image_with_more_text_than_a_document_holds_is_not_created",
        "tests/api/test_long_documents.py::test_page_ends_early_where_it_has_enough_bytes",
        "tests/api/test_long_documents.py::test_patch_of_more_operations_than_are_taken_is_refused",
        "tests/api/test_long_documents.py::test_body_of_too_many_values_is_refused",
        "tests/api/test_long_documents.py::test_tasks_of_an_image_are_listed_up_to_a_page",
        "tests/api/test_unified_limits.py::test_sizes_are_hard_limits",
        "tests/api/test_quotas.py::test_a_shared_image_is_charged_to_its_owner_alone",
        "tests/api/test_locations_by_reference.py::test_referenced_data_uses_no_quota_until_copied",
        "tests/operations/test_import_lanes.py::test_a_small_file_that_becomes_a_huge_one_is_refused",
    ),
    "10": (
        "tests/api/test_locations_by_patch.py::test_an_image_in_a_store_takes_only_what_promises_its_digest",
        "tests/api/test_locations_by_patch.py::test_forbidden_locations_are_refused_and_change_nothing",
        "tests/api/test_locations_by_reference.py::test_bytes_that_changed_are_never_given_whole",
        "tests/operations/test_import_lanes.py::test_no_data_is_taken_while_an_import_waits",
        "tests/operations/test_import_lanes.py::test_success_forgets_the_stores_that_an_earlier_import_did_not_reach",
    ),
    "11": (
        "tests/operations/test_signatures.py::test_signature_that_no_bytes_can_have_is_refused_before_any_come",
        "tests/operations/test_signatures.py::test_signature_that_changed_since_is_not_taken_on_trust",
        "tests/operations/test_glance_download.py::test_refused_remote_image_leaves_the_image_unchanged",
        "tests/api/test_locations_by_patch.py::test_no_patch_makes_a_signed_image_active",
    ),
    "12": (
        "tests/api/test_cache.py::test_range_and_head_requests_do_not_cache_the_image",
        "tests/api/test_cache.py::test_a_queued_image_is_fetched",
        "tests/api/test_cache.py::test_prune_reports_what_it_removed",
    ),
    "13": (
        "tests/api/test_anonymous.py::test_no_other_image_is_known_to_be_there",
        "tests/api/test_anonymous.py::test_a_token_that_is_not_valid_is_still_refused",
        "tests/operations/test_glance_download.py::test_token_follows_no_redirect",
        "tests/operations/test_glance_download.py::test_protected_properties_are_for_those_who_may_set_them",
    ),
    "15": (
        "tests/operations/test_pending_deletes.py::test_a_deactivated_image_is_deactivated_when_it_is_restored",
        "tests/operations/test_pending_deletes.py::test_a_restored_image_is_what_it_was_with_members_and_bytes",
        "tests/api/test_required_properties.py::test_values_outside_the_schema_are_refused",
    ),
}
"""Rows that take more than one request to see, and tests in which they show."""
