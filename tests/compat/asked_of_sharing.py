"""Every operation of every caller on an image in every state of sharing, as questions. See questions.py.

Where the second project is a member, it has been offered the image, has accepted or has rejected it, as the state says.
"""

from dataclasses import replace
from typing import Any

from tests.compat.questions import OCTETS, V21, Question

STATES = (
    *("active", "shared", "accepted", "rejected", "private", "private again", "community, accepted", "public, accepted"),
    *("queued, accepted", "staged, accepted", "hidden, accepted", "protected, accepted", "deactivated, accepted"),
    "deleted, accepted",
)
"""States of worlds.image_in; "active" is one that nobody was offered."""

CALLERS = ("project-a", "reader-a", "project-b", "reader-b", "project-c", "admin", "nobody", "stranger")

_IMAGE = "/v2/images/{image}"
_MEMBER = _IMAGE + "/members/{b}"
_QUERIES = (
    *("", "visibility=shared", "visibility=private", "visibility=community&owner={a}", "visibility=all&owner={a}"),
    *("member_status=all", "os_hidden=true", "visibility=shared&member_status=pending", "visibility=shared&member_status=all"),
    *("visibility=shared&member_status=rejected", "visibility=shared&member_status=accepted", "owner={a}"),
    "visibility=shared&owner={a}&member_status=all",
)


def _does(method: str, path: str, body: Any = None, media: str = "") -> Question:
    return Question("", method, path, body, headers={"Content-Type": media} if media else {})


def _sets(name: str, value: Any, op: str = "replace") -> Question:
    return _does("PATCH", _IMAGE, [{"op": op, "path": f"/{name}", "value": value}], V21)


OPERATIONS = {
    "show": _does("GET", _IMAGE),
    "members": _does("GET", _IMAGE + "/members"),
    "member get": _does("GET", _MEMBER),
    "member get other": _does("GET", _IMAGE + "/members/{c}"),
    "file": _does("GET", _IMAGE + "/file"),
    "range": Question("", "GET", _IMAGE + "/file", headers={"Range": "bytes=10-19"}),
    "tasks": _does("GET", _IMAGE + "/tasks"),
    "locations": _does("GET", _IMAGE + "/locations"),
    "patch property": _sets("colour", "blue", "add"),
    "patch name": _sets("name", "asked about, renamed"),
    "patch owner": _sets("owner", "{c}"),
    "patch locations": _sets("locations", []),
    "patch visibility private": _sets("visibility", "private"),
    "patch visibility shared": _sets("visibility", "shared"),
    "patch visibility public": _sets("visibility", "public"),
    "patch visibility community": _sets("visibility", "community"),
    "tag add": _does("PUT", _IMAGE + "/tags/new"),
    "tag delete": _does("DELETE", _IMAGE + "/tags/absent"),
    "member add other": _does("POST", _IMAGE + "/members", {"member": "{d}"}),
    "member add same": _does("POST", _IMAGE + "/members", {"member": "{b}"}),
    "member add malformed": _does("POST", _IMAGE + "/members", {"member": ""}),
    "member accept": _does("PUT", _MEMBER, {"status": "accepted"}),
    "member reject": _does("PUT", _MEMBER, {"status": "rejected"}),
    "member pending": _does("PUT", _MEMBER, {"status": "pending"}),
    "member remove": _does("DELETE", _MEMBER),
    "deactivate": _does("POST", _IMAGE + "/actions/deactivate"),
    "reactivate": _does("POST", _IMAGE + "/actions/reactivate"),
    "upload": _does("PUT", _IMAGE + "/file", b"x" * 10, OCTETS),
    "stage": _does("PUT", _IMAGE + "/stage", b"x" * 10, OCTETS),
    "import": _does("POST", _IMAGE + "/import", {"method": {"name": "glance-direct"}}),
    "copy": _does("POST", _IMAGE + "/import", {"method": {"name": "copy-image"}, "stores": ["nowhere"]}),
    "delete from a store": _does("DELETE", "/v2/stores/nowhere/{image}"),
    "delete": _does("DELETE", _IMAGE),
}


def questions(state: str, who: str) -> list[Question]:
    """Ask for everything that a caller can do with an image in a state: what changes nothing first."""
    lists = {f"list {query}": _does("GET", f"/v2/images?limit=1000{query and '&'}{query}") for query in _QUERIES}
    lists_named = [replace(each, name=f"contains: {state}: {who}: {name}") for name, each in lists.items()]
    others_named = [replace(each, name=f"{state}: {who}: {name}") for name, each in OPERATIONS.items()]
    return [replace(each, on=state, who=who) for each in (*lists_named, *others_named)]
