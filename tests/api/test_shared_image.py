"""Every operation of every persona on a shared image: `cells/shared-active.txt`."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.api.personas import Cast, Persona

LINES = [
    line for line in (Path(__file__).parent / "cells" / "shared-active.txt").read_text().splitlines() if not line.startswith("#")
]
COLUMNS = {
    "An": "anonymous",
    "Bt": "badtoken",
    "Ow": "owner",
    "OR": "owner_reader",
    "Ac": "member",
    "AR": "member_reader",
    "Pe": "pending",
    "Re": "rejected",
    "Zz": "outsider",
    "Ad": "admin",
    "No": "no_role",
}
ROWS = {" ".join(line.split()[: -len(COLUMNS)]): line.split()[-len(COLUMNS) :] for line in LINES[1:]}
TASK: dict[str, Any] = {
    "type": "import",
    "input": {
        "import_from": "http://93.184.215.14/disk",
        "import_from_format": "raw",
        "image_properties": {"disk_format": "raw", "container_format": "bare", "name": "by a task"},
    },
}
READS = (
    "show",
    "file",
    "members",
    "member get",
    "tasks",
    "stores",
    "import info",
    "usage",
    "schema",
    "versions",
    "list",
    "task",
    "locations",
    "cache",
)


def shared_image(cast: Cast, operation: str) -> str:
    owner = cast.owner
    empty = operation.endswith(("when queued", "when staged"))
    image = owner.has_an_image(None if empty else b"x" * 5000, tags=["there"])
    for who, status in [(cast.member, "accepted"), (cast.pending, None), (cast.rejected, "rejected")]:
        assert owner.shares_with(image, who.project_id).status_code == 200
        if status:
            assert who.answers(image, status).status_code == 200
    if operation.endswith("when staged"):
        assert owner.stages(image).status_code == 204
    if operation.endswith("when deactivated"):
        assert owner.does("deactivate", image).status_code == 204
    if operation.endswith("when protected"):
        assert owner.sets(image, "protected", True).status_code == 200
    return image


def act(who: Persona, operation: str, image: str, cast: Cast) -> requests.Response:
    at = f"/v2/images/{image}"
    other = cast.rejected if who.name == "pending" else cast.pending
    them = {"self": who.project_id or "nobody", "other": other.project_id, "unknown": "f" * 32}.get(
        operation.rpartition(" ")[2], ""
    )
    words = operation.split(" when ", maxsplit=1)[0]
    if words.startswith("patch visibility"):
        return who.sets(image, "visibility", words.rpartition(" ")[2])
    if words.startswith("md "):
        return with_metadefs(who, words.removeprefix("md "), cast)
    if words.startswith("schema"):
        return who.call("GET", f"/v2/schemas/{words.rpartition(' ')[2]}")
    if words.startswith("member ") and words.split()[1] in ("accept", "reject", "pending"):
        status = {"accept": "accepted", "reject": "rejected", "pending": "pending"}[words.split()[1]]
        return who.answers(image, status, them)
    return {
        "show": lambda: who.shows(image),
        "show HEAD": lambda: who.call("HEAD", at),
        "file": lambda: who.downloads(image),
        "file HEAD": lambda: who.call("HEAD", f"{at}/file"),
        "file range": lambda: who.downloads(image, Range="bytes=0-0"),
        "upload": lambda: who.uploads(image),
        "patch name": lambda: who.sets(image, "name", "new"),
        "patch property": lambda: who.patches(image, {"op": "add", "path": "/colour", "value": "blue"}),
        "patch owner": lambda: who.sets(image, "owner", cast.outsider.project_id),
        "patch locations": lambda: who.patches(
            image, {"op": "add", "path": "/locations/-", "value": {"url": "http://example.com/x", "metadata": {}}}
        ),
        "tag add": lambda: who.call("PUT", f"{at}/tags/new"),
        "tag delete": lambda: who.call("DELETE", f"{at}/tags/there"),
        "deactivate": lambda: who.does("deactivate", image),
        "reactivate": lambda: who.does("reactivate", image),
        "delete": lambda: who.deletes(image),
        "member add": lambda: who.shares_with(image, "e" * 32),
        "member add same": lambda: who.shares_with(image, cast.member.project_id),
        "member add malformed": lambda: who.call("POST", f"{at}/members", json={"members": []}),
        "members": lambda: who.call("GET", f"{at}/members"),
        "member get self": lambda: who.call("GET", f"{at}/members/{them}"),
        "member get other": lambda: who.call("GET", f"{at}/members/{them}"),
        "member remove self": lambda: who.removes_member(image, them),
        "member remove other": lambda: who.removes_member(image, them),
        "member remove unknown": lambda: who.removes_member(image, them),
        "tasks": lambda: who.call("GET", f"{at}/tasks"),
        "create": who.creates,
        "create public": lambda: who.creates(visibility="public"),
        "create for another owner": lambda: who.creates(owner="d" * 32),
        "stores": lambda: who.call("GET", "/v2/info/stores"),
        "stores detail": lambda: who.call("GET", "/v2/info/stores/detail"),
        "import info": lambda: who.call("GET", "/v2/info/import"),
        "usage": lambda: who.call("GET", "/v2/info/usage"),
        "stage": lambda: who.stages(image),
        "import": lambda: who.imports(image),
        "import copy": lambda: who.imports(image, "copy-image", stores=["second"]),
        "import malformed": lambda: who.imports(image, "by-pigeon"),
        "remove from store": lambda: who.call("DELETE", f"/v2/stores/local/{image}"),
        "locations": lambda: who.call("GET", f"{at}/locations"),
        "location add": lambda: who.call("POST", f"{at}/locations", json={"url": "http://example.org/x"}),
        "location malformed": lambda: who.call("POST", f"{at}/locations", json={}),
        "tasks of all": lambda: who.call("GET", "/v2/tasks"),
        "task create malformed": lambda: who.call("POST", "/v2/tasks", json={}),
        "task create": lambda: who.call(
            "POST", "/v2/tasks", json={**TASK, "input": {**TASK["input"], "import_from": "http://127.0.0.1/"}}
        ),
        "task unknown": lambda: who.call("GET", f"/v2/tasks/{image}"),
        "task delete": lambda: who.call("DELETE", f"/v2/tasks/{image}"),
        "versions": lambda: who.call("GET", "/"),
        "cache": lambda: who.call("GET", "/v2/cache"),
        "cache queue": lambda: who.call("PUT", f"/v2/cache/{image}"),
        "cache forget": lambda: who.call("DELETE", f"/v2/cache/{image}"),
        "cache clear": lambda: who.call("DELETE", "/v2/cache"),
        "cache clear malformed": lambda: who.call("DELETE", "/v2/cache", headers={"X-Image-Cache-Clear-Target": "x"}),
        "cache clean": lambda: who.call("POST", "/v2/cache/clean"),
        "cache prune": lambda: who.call("POST", "/v2/cache/prune"),
        "cache nodes": lambda: who.call("GET", f"/v2/cache/nodes/{image}"),
    }[words]()


def a_namespace(cast: Cast) -> str:
    """Make a public namespace with one of each, all named `it`."""
    name = f"Cell::{uuid4()}"
    there = {
        "namespace": name,
        "visibility": "public",
        "objects": [{"name": "it"}],
        "properties": {"it": {"title": "t", "type": "string"}},
        "tags": [{"name": "it"}],
        "resource_type_associations": [{"name": "it"}],
    }
    assert cast.admin.call("POST", "/v2/metadefs/namespaces", json=there).status_code == 201
    return name


def with_metadefs(who: Persona, words: str, cast: Cast) -> requests.Response:
    """Act on a public namespace that an administrator made for this call."""
    at = "/v2/metadefs/namespaces"
    one = {"title": "t", "type": "string"}
    name = a_namespace(cast) if "admin" in cast.people else "none"
    noun, _space, verb = words.partition(" ")
    path = {"namespaces": at, "namespace": f"{at}/{name}", "types": f"{at}/{name}/resource_types"}.get(noun, f"{at}/{name}/{noun}")
    new = {"name": "new", **(one if noun == "properties" else {})}
    return {
        "namespaces": lambda: who.call("GET", path),
        "namespace create": lambda: who.call("POST", at, json={"namespace": f"{name}-new"}),
        "namespace show": lambda: who.call("GET", path),
        "namespace update": lambda: who.call("PUT", path, json={"namespace": name}),
        "namespace delete": lambda: who.call("DELETE", path),
        "types all": lambda: who.call("GET", "/v2/metadefs/resource_types"),
        "tags create": lambda: who.call("POST", f"{path}/new"),
        "tags many": lambda: who.call("POST", path, json={"tags": [{"name": "new"}]}),
    }.get(
        words,
        {
            "list": lambda: who.call("GET", path),
            "create": lambda: who.call("POST", path, json=new),
            "show": lambda: who.call("GET", f"{path}/it"),
            "update": lambda: who.call("PUT", f"{path}/it", json=new),
            "delete": lambda: who.call("DELETE", f"{path}/it"),
            "clear": lambda: who.call("DELETE", path),
        }.get(verb),
    )()  # type: ignore[misc]  # a verb that is not there fails the test


def outcome(who: Persona, operation: str, image: str, cast: Cast) -> str:
    if operation.startswith("list"):
        query = operation.removeprefix("list").strip().replace("?", "&")
        answer = who.call("GET", f"/v2/images?limit=1000{query}")
        if answer.status_code != 200:
            return str(answer.status_code)
        return "yes" if any(each["id"] == image for each in answer.json()["images"]) else "no"
    answer = act(who, operation, image, cast)
    if operation == "members" and answer.status_code == 200:
        seen = [each["member_id"] for each in answer.json()["members"]]
        return "all" if len(seen) == 3 else "self" if seen == [who.project_id] else str(seen)
    return str(answer.status_code)


@pytest.mark.parametrize("operation", ROWS)
def test_answers_match_the_table(operation: str, request: pytest.FixtureRequest) -> None:
    cast: Cast = request.getfixturevalue("caching_cast" if operation.startswith("cache") else "cast")
    expected = dict(zip(COLUMNS, ROWS[operation], strict=True))
    common = shared_image(cast, operation)
    answers = {}
    for column, name in COLUMNS.items():
        changes = expected[column].startswith("2") and not operation.startswith(READS)
        image = shared_image(cast, operation) if changes else common
        answers[column] = outcome(cast.people[name], operation, image, cast)
    assert answers == expected
