"""Nobody learns of an image that is not theirs to see: whatever is asked of it, the answer is that of an id which never was.

Compared are status, every header and every byte of the body, after the id and the request's id are blanked out. One thing is given
away on purpose: creating an image under an id that is or was in use is 409, because ids are never given out twice.
"""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import requests

from partage.http.v2.routes import ROWS
from tests.api.conftest import World
from tests.api.personas import DATA, PATCH, Cast, Persona

METHODS = ("GET", "HEAD", "PATCH", "PUT", "POST", "DELETE", "OPTIONS")
PATHS = tuple(dict.fromkeys(row.path for row in ROWS if "{image_id}" in row.path))
JSON = {"Accept": "application/json"}

Image = Callable[[Cast], str]


def shared(cast: Cast, **document: Any) -> str:
    image = cast.owner.has_an_image(b"secret" * 100, tags=["there"], colour="blue", name="hidden one", **document)
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 200
    return image


def after(change: Callable[[Cast, str], object]) -> Image:
    def make(cast: Cast) -> str:
        image = shared(cast)
        change(cast, image)
        return image

    return make


def deleted(cast: Cast, image: str) -> None:
    assert cast.owner.deletes(image).status_code == 204


def deleted_while_public(cast: Cast, image: str) -> None:
    assert cast.admin.sets(image, "visibility", "public").status_code == 200
    assert cast.outsider.shows(image).status_code == 200
    deleted(cast, image)


def withdrawn(cast: Cast, image: str) -> None:
    assert cast.owner.shares_with(image, cast.outsider.project_id).status_code == 200
    assert cast.outsider.accepts(image).status_code == 200
    assert cast.outsider.downloads(image).status_code == 200
    assert cast.owner.removes_member(image, cast.outsider.project_id).status_code == 204


def made_private_around_a_member(cast: Cast, image: str) -> None:
    assert cast.owner.shares_with(image, cast.outsider.project_id).status_code == 200
    assert cast.outsider.accepts(image).status_code == 200
    assert cast.owner.sets(image, "visibility", "private").status_code == 200


INVISIBLE: dict[str, Image] = {
    "private": lambda cast: cast.owner.has_an_image(visibility="private", tags=["there"]),
    "shared with nobody": lambda cast: cast.owner.has_an_image(tags=["there"]),
    "shared with others": shared,
    "queued": lambda cast: cast.owner.has_an_image(None, visibility="private"),
    "hidden": lambda cast: shared(cast, os_hidden=True),
    "protected": lambda cast: shared(cast, protected=True),
    "deactivated": after(lambda cast, image: cast.owner.does("deactivate", image)),
    "another's": after(lambda cast, image: cast.admin.sets(image, "owner", cast.rejected.project_id)),
    "deleted": after(deleted),
    "deleted while public": after(deleted_while_public),
    "withdrawn": after(withdrawn),
    "private again": after(made_private_around_a_member),
}


def bodies(method: str, path: str) -> list[dict[str, Any]]:
    """List what may come with a request: nothing, what the route wants, and what it does not."""
    found: list[dict[str, Any]] = [{}, {"headers": JSON}, {"data": b"x"}]
    if method in ("GET", "HEAD"):
        found += [{"headers": {"If-None-Match": "*"}}, {"headers": {"Range": "bytes=0-0"}}]
    if method in ("GET", "HEAD") and path.endswith("/file"):
        found += [{"headers": {"Range": each}} for each in ("bytes=9999999-", "bytes=x", "bytes=0-0,2-3", "bytes=-1")]
        found += [{"headers": {"Range": "bytes=0-0", "If-Range": '"x"'}}]
    if method == "PATCH":
        documents = (
            [{"op": "replace", "path": "/name", "value": "n"}],
            [{"op": "replace", "path": "/absent", "value": "n"}],
            [{"op": "remove", "path": "/colour"}],
            [{"op": "replace", "path": "/owner", "value": "n"}],
            [{"op": "replace", "path": "/visibility", "value": "public"}],
            [{"op": "replace", "path": "/disk_format", "value": "iso"}],
            [{"op": "replace", "path": "/status", "value": "active"}],
            [{"op": "test", "path": "/name"}],
            [],
        )
        found += [{"data": json.dumps(each), "headers": {"Content-Type": PATCH}} for each in documents]
        found += [{"data": "[", "headers": {"Content-Type": PATCH}}, {"data": "[]", "headers": {"Content-Type": "text/x"}}]
    if method == "PUT" and path.endswith(("/file", "/stage")):
        found += [{"data": b"", "headers": {"Content-Type": DATA}}, {"data": b"abc", "headers": {"Content-Type": DATA}}]
        found += [{"data": iter([b"abc"]), "headers": {"Content-Type": DATA}}]
        for name, value in (("X-OpenStack-Image-Size", "x"), ("X-OpenStack-Image-Size", "9"), ("X-Image-Meta-Store", "nowhere")):
            found += [{"data": b"abc", "headers": {"Content-Type": DATA, name: value}}]
    if method in ("PUT", "POST"):
        documents = (
            {"status": "accepted"},
            {"status": "x"},
            {"member": "m"},
            {"member": ""},
            *(
                {"method": {"name": name, "uri": "http://example.org/"}}
                for name in ("glance-direct", "web-download", "copy-image", "x")
            ),
            [],
        )
        found += [{"json": each} for each in documents]
        found += [{"data": "{"}]
    return found


def answers(who: Persona, image: str, members: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Send everything to every path below an image and return what came back, blanked."""
    found = {}
    for path in PATHS:
        names = members if "{member_id}" in path else ("there", "x" * 256) if "{tag}" in path else ("",)
        for name in names:
            at = path.format(image_id=image, member_id=name, tag=name, store_id="local")
            for method in METHODS:
                for number, more in enumerate(bodies(method, path)):
                    found[f"{method} {path} {name[:8]} {number}"] = blanked(who.call(method, at, **more), image)
    return found


def blanked(answer: requests.Response, *ids: str) -> tuple[Any, ...]:
    def blank(text: str) -> str:
        for each in ids:
            text = text.replace(each, "{id}")
        return re.sub(r"req-[0-9a-f-]{36}", "{request}", text)

    headers = [(name, blank(value)) for name, value in answer.raw.headers.items() if name.lower() != "date"]
    return answer.status_code, headers, blank(answer.text)


@pytest.fixture(scope="session")
def never(everybody: dict[str, tuple[str, str]]) -> dict[str, dict[str, tuple[Any, ...]]]:
    """Keep the answers about an id that never was, for each persona who asked: filled by the first test that needs them."""
    del everybody
    return {}


ASKED = [("outsider", situation) for situation in INVISIBLE] + [("outsider_reader", each) for each in ("private", "withdrawn")]


@pytest.mark.parametrize(("name", "situation"), ASKED)
def test_invisible_image_is_answered_as_nonexistent(
    situation: str, name: str, cast: Cast, never: dict[str, dict[str, tuple[Any, ...]]]
) -> None:
    who = cast.people[name]
    members = (cast.member.project_id, who.project_id)
    if name not in never:
        never[name] = answers(who, str(uuid4()), members)
    image = INVISIBLE[situation](cast)
    asked = answers(who, image, members)
    assert {each: asked[each] for each in asked if asked[each] != never[name][each]} == {}
    assert not {each: seen for each, seen in asked.items() if 200 <= seen[0] < 400 and not each.startswith("OPTIONS ")}


def test_visible_image_is_answered_differently(cast: Cast) -> None:
    image = shared(cast)
    asked = answers(cast.member, image, (cast.member.project_id,))
    assert {seen[0] for seen in asked.values()} >= {200, 206, 304, 400, 403, 405, 409, 415, 416}


@pytest.mark.parametrize("situation", INVISIBLE)
def test_marker_of_an_invisible_image_reveals_nothing(situation: str, cast: Cast) -> None:
    image, unknown = INVISIBLE[situation](cast), str(uuid4())
    for query in ("", "&limit=1", "&sort=name:asc", "&visibility=all", "&member_status=all"):
        known = cast.outsider.call("GET", f"/v2/images?marker={image}{query}")
        assert known.status_code == 400
        assert blanked(known, image) == blanked(cast.outsider.call("GET", f"/v2/images?marker={unknown}{query}"), unknown)


REACH = ("", "&visibility=all", "&visibility=shared", "&visibility=private", "&member_status=all", "&os_hidden=true")


@pytest.mark.parametrize("situation", INVISIBLE)
def test_no_filter_finds_an_invisible_image(situation: str, cast: Cast) -> None:
    image = INVISIBLE[situation](cast)
    document = cast.admin.shows(image).json() if not situation.startswith("deleted") else {}
    filters = {
        "id": image,
        "owner": cast.owner.project_id,
        "checksum": document.get("checksum"),
        "os_hash_value": document.get("os_hash_value"),
        "name": "hidden one",
        "tag": "there",
        "colour": "blue",
        "size": document.get("size"),
    }
    for name, value in filters.items():
        for reach in REACH if value is not None else ():
            assert not cast.outsider.sees_in_list(image, f"&{name}={value}{reach}")
    assert not cast.outsider.sees_in_list(image, f"&id=in:{image},{uuid4()}")


@pytest.mark.parametrize("reach", REACH)
def test_a_filter_by_id_answers_alike_for_invisible_and_unknown(reach: str, cast: Cast) -> None:
    image, unknown = shared(cast), str(uuid4())
    answers = []
    for each in (image, unknown):
        status, headers, body = blanked(cast.outsider.call("GET", f"/v2/images?id={each}{reach}"), each)
        # The list's link repeats the id that was asked for, so its digest differs.
        answers.append((status, [(name, "" if name == "etag" else value) for name, value in headers], body))
    assert answers[0] == answers[1]


def test_pages_have_no_gaps_where_invisible_images_lie(cast: Cast) -> None:
    """Between any two images of the outsider lie some that it may not know of; its pages are as full as if they did not."""
    tag = f"gaps-{uuid4()}"
    mine = []
    for _ in range(5):
        cast.owner.has_an_image(None, tags=[tag], visibility="private")
        mine.append(cast.outsider.has_an_image(None, tags=[tag]))
        shared(cast, visibility="shared")
        cast.owner.patches(cast.owner.has_an_image(None), {"op": "replace", "path": "/tags", "value": [tag]})
    for sort in ("", "&sort=name:asc,id:asc", "&sort_key=created_at&sort_dir=asc"):
        pages = []
        following = f"/v2/images?tag={tag}&limit=2{sort}"
        while following:
            page = cast.outsider.call("GET", following).json()
            pages.append([each["id"] for each in page["images"]])
            following = page.get("next")
        assert [len(page) for page in pages] == [2, 2, 1]
        assert sorted(itertools.chain(*pages)) == sorted(mine)


def test_empty_list_reveals_nothing_about_invisible_images(cast: Cast) -> None:
    tag = f"none-{uuid4()}"
    cast.owner.has_an_image(None, tags=[tag], visibility="private")
    page = cast.outsider.call("GET", f"/v2/images?tag={tag}&limit=1").json()
    assert page == {"images": [], "first": f"/v2/images?tag={tag}&limit=1", "schema": "/v2/schemas/images"}


def test_offers_to_others_are_not_listed(cast: Cast) -> None:
    image = shared(cast)
    for status in ("pending", "accepted", "rejected", "all"):
        assert not cast.outsider.sees_in_list(image, f"&member_status={status}")
        assert not cast.outsider.sees_in_list(image, f"&visibility=shared&member_status={status}")


def test_a_member_cannot_tell_other_members_from_strangers(cast: Cast) -> None:
    image = shared(cast)
    assert cast.owner.shares_with(image, cast.pending.project_id).status_code == 200
    other, unknown = cast.pending.project_id, uuid4().hex
    for method, more in (("GET", {}), ("HEAD", {}), ("DELETE", {}), ("PUT", {"json": {"status": "accepted"}})):
        known = cast.member.call(method, f"/v2/images/{image}/members/{other}", **more)
        assert known.status_code == 404
        strange = cast.member.call(method, f"/v2/images/{image}/members/{unknown}", **more)
        assert blanked(known, image, other) == blanked(strange, image, unknown)


@pytest.mark.parametrize("situation", INVISIBLE)
def test_an_id_in_use_is_refused_on_purpose(situation: str, cast: Cast) -> None:
    image = INVISIBLE[situation](cast)
    answer = cast.outsider.creates(id=image)
    assert answer.status_code == 409
    assert f"Image ID {image} already exists!" in answer.text


def test_the_identity_service_is_not_asked_about_members(cast: Cast) -> None:
    """Any id may be named, and the answer is the same: offers are no way to find out which projects exist."""
    image = cast.owner.has_an_image(None)
    real, invented = cast.outsider.project_id, uuid4().hex
    answers = [cast.owner.shares_with(image, each) for each in (real, invented)]
    assert [each.status_code for each in answers] == [200, 200]
    assert [list(each.json()) for each in answers] == [list(answers[0].json())] * 2


NAMESPACES = tuple(dict.fromkeys(row.path for row in ROWS if "{namespace}" in row.path))


WITH_A_NAMESPACE: tuple[dict[str, Any], ...] = (
    {},
    {"json": {"name": "it"}},
    {"json": {"namespace": "x"}},
    {"data": "["},
    {"headers": {"If-None-Match": "*"}},
)
"""What comes with a request that names a namespace."""


def namespace_answers(who: Persona, namespace: str) -> dict[str, tuple[Any, ...]]:
    """Send everything to every path below a namespace and return what came back, blanked."""
    found = {}
    for path in NAMESPACES:
        for method in METHODS:
            at = path.format(namespace=namespace, name="it")
            for number, more in enumerate(WITH_A_NAMESPACE):
                found[f"{method} {path} {number}"] = blanked(who.call(method, at, **more), namespace)
    return found


@pytest.mark.parametrize("name", ["outsider", "outsider_reader", "owner"])
def test_private_namespace_is_answered_as_nonexistent(name: str, cast: Cast) -> None:
    """It belongs to the administrators' project; everybody else cannot tell it from nothing."""
    private, never = f"private-{uuid4()}", f"private-{uuid4()}"
    document = {
        "namespace": private,
        "visibility": "private",
        "protected": True,
        "objects": [{"name": "it"}],
        "properties": {"it": {"title": "t", "type": "string"}},
        "tags": [{"name": "it"}],
        "resource_type_associations": [{"name": "it"}],
    }
    assert cast.admin.call("POST", "/v2/metadefs/namespaces", json=document).status_code == 201
    asked, unknown = (namespace_answers(cast.people[name], each) for each in (private, never))
    assert {each: seen for each, seen in asked.items() if seen != unknown[each]} == {}
    assert not {each: seen for each, seen in asked.items() if 200 <= seen[0] < 400 and not each.startswith("OPTIONS ")}
    for query in (
        f"marker={private}",
        f"limit=1&marker={private}",
        "visibility=private&limit=1000",
        "resource_types=it&limit=1000",
    ):
        known = blanked(cast.people[name].call("GET", f"/v2/metadefs/namespaces?{query}"), private)
        assert known == blanked(cast.people[name].call("GET", f"/v2/metadefs/namespaces?{query.replace(private, never)}"), never)
        assert private not in known[2]


def test_namespace_name_in_use_is_revealed_to_administrators_only(cast: Cast) -> None:
    private = f"private-{uuid4()}"
    assert cast.admin.call("POST", "/v2/metadefs/namespaces", json={"namespace": private}).status_code == 201
    for who in (cast.owner, cast.outsider, cast.owner_reader):
        answers = [who.call("POST", "/v2/metadefs/namespaces", json={"namespace": each}) for each in (private, f"new-{uuid4()}")]
        assert [each.status_code for each in answers] == [403, 403]


def test_task_of_another_project_is_answered_as_nonexistent(world: World, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    cast.owner.stages(image)
    assert cast.owner.imports(image).status_code == 202
    world.works()
    task = cast.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]["id"]
    never = str(uuid4())
    for who in (cast.owner, cast.outsider, cast.owner_reader):
        for method in METHODS:
            known = blanked(who.call(method, f"/v2/tasks/{task}"), task)
            assert known == blanked(who.call(method, f"/v2/tasks/{never}"), never)
            assert known[0] >= 400 or method == "OPTIONS"
