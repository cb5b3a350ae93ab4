"""Who deletes what a page showed comes to the next page all the same: `next` says where the deleted marker stood."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import pytest

from tests.api.personas import Cast, Persona

ORDERS = [
    "sort_key=created_at",
    "sort_key=updated_at&sort_dir=asc",
    "sort_key=name&sort_dir=asc",
    "sort_key=name&sort_key=size&sort_dir=desc&sort_dir=asc",
    "sort_key=size",
    "sort_key=status&sort_dir=asc",
    "sort_key=disk_format",
    "sort_key=container_format&sort_dir=asc",
    "sort_key=id&sort_dir=asc",
    "sort=name:asc,created_at:desc",
]


def shelf(who: Persona, count: int = 7) -> tuple[str, list[str]]:
    """Make images under one tag that no two orders show alike, some without a name or formats."""
    tag = f"paging-{uuid4()}"
    made = []
    for number in range(count):
        document: dict[str, Any] = {"name": f"n{(number * 5) % count}\u00fc"} if number % 3 else {}
        if number % 4 == 0:
            document |= {"disk_format": None, "container_format": None}
        made.append(who.has_an_image(None if number % 2 or number % 4 == 0 else b"x" * (number + 1), tags=[tag], **document))
    return tag, made


def emptied(who: Persona, path: str, kind: str = "images") -> list[str]:
    """Walk a list and delete every page's items before the next page is asked for; return what was deleted."""
    gone: list[str] = []
    while path:
        answer = who.call("GET", path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["first"].count("os_glance_after") == page["first"].count("marker=") == 0
        for each in page[kind]:
            assert who.deletes(each["id"]).status_code == 204
            gone.append(each["id"])
        path = page.get("next", "")
    return gone


@pytest.mark.parametrize("order", ORDERS)
def test_every_image_is_listed_while_each_page_is_deleted(order: str, cast: Cast) -> None:
    tag, made = shelf(cast.owner)
    assert sorted(emptied(cast.owner, f"/v2/images?tag={tag}&limit=2&{order}")) == sorted(made)


@pytest.mark.parametrize("order", ORDERS[:3])
def test_every_image_is_listed_on_postgresql_while_pages_are_deleted(order: str, cast_on_postgresql: Cast) -> None:
    tag, made = shelf(cast_on_postgresql.owner)
    assert sorted(emptied(cast_on_postgresql.owner, f"/v2/images?tag={tag}&limit=2&{order}")) == sorted(made)


def test_member_goes_on_after_an_image_was_withdrawn(cast: Cast) -> None:
    tag, made = shelf(cast.owner, 4)
    for image in made:
        cast.owner.shares_with(image, cast.member.project_id)
        assert cast.member.accepts(image).status_code == 200
    page = cast.member.call("GET", f"/v2/images?tag={tag}&limit=2").json()
    for each in page["images"]:
        assert cast.owner.removes_member(each["id"], cast.member.project_id).status_code == 204
    rest = cast.member.call("GET", page["next"]).json()["images"]
    assert sorted(each["id"] for each in [*page["images"], *rest]) == sorted(made)


def test_marker_alone_is_refused_once_it_is_deleted(cast: Cast) -> None:
    """As in Glance: who makes the link itself says nothing of where the marker stood."""
    tag, made = shelf(cast.owner, 3)
    assert cast.owner.call("GET", f"/v2/images?tag={tag}&marker={made[2]}").status_code == 200
    cast.owner.deletes(made[2])
    assert cast.owner.call("GET", f"/v2/images?tag={tag}&marker={made[2]}").status_code == 400


def test_marker_of_an_invisible_image_is_answered_as_unknown(cast: Cast) -> None:
    """Also where a position comes with it: the answer tells nothing of whether there is such an image."""
    tag, made = shelf(cast.outsider, 3)
    secret = cast.owner.has_an_image(None, visibility="private")
    for position in ("", "&os_glance_after=%5B9999999999999999,%22ffffffff%22%5D"):
        answers = [
            cast.outsider.call("GET", f"/v2/images?tag={tag}&marker={marker}{position}") for marker in (secret, str(uuid4()))
        ]
        assert answers[0].status_code == answers[1].status_code == (200 if position else 400)
        if position:
            assert answers[0].json()["images"] == answers[1].json()["images"]
            assert {each["id"] for each in answers[0].json()["images"]} == set(made)
    assert cast.outsider.call("GET", f"/v2/images?marker={secret}").status_code == 400


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "5",
        "null",
        "{}",
        "[]",
        "[1]",
        '["x","y"]',
        "[1.5,2]",
        "[true,false]",
        "[null,null]",
        '[1,"x","y"]',
        '[1,"\\u0000"]',
        '[1,"\\ud800"]',
        "[99999999999999999999,1]",
        '[9223372036854775808,"x"]',
        "[" * 900 + "]" * 900,
    ],
)
def test_position_that_was_tampered_with_is_refused(value: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    answer = cast.owner.call("GET", "/v2/images?" + urlencode({"marker": image, "os_glance_after": value}))
    assert answer.status_code == 400
    assert "follow `next` as it is" in answer.text


def test_existing_marker_wins_over_the_position_in_the_link(cast: Cast) -> None:
    tag, _made = shelf(cast.owner, 5)
    page = cast.owner.call("GET", f"/v2/images?tag={tag}&limit=2").json()
    parts = urlsplit(page["next"])
    changed = [(name, '[1,"a"]' if name == "os_glance_after" else value) for name, value in parse_qsl(parts.query)]
    answers = [cast.owner.call("GET", path).json()["images"] for path in (page["next"], f"{parts.path}?{urlencode(changed)}")]
    assert answers[0] == answers[1] != []


@pytest.mark.parametrize("order", ["", "&sort_key=namespace&sort_dir=asc", "&sort_key=display_name", "&sort_key=updated_at"])
def test_every_namespace_is_listed_while_each_page_is_deleted(order: str, cast: Cast, cast_on_postgresql: Cast) -> None:
    for people in (cast, cast_on_postgresql):
        empty_namespaces(people, order)


def empty_namespaces(cast: Cast, order: str) -> None:
    admin, mark = cast.admin, uuid4().hex[:8]
    made = [f"{mark}-{number}" for number in range(5)]
    for name in made:
        given = {"namespace": name, "resource_type_associations": [{"name": f"OS::{mark}"}]}
        assert admin.call("POST", "/v2/metadefs/namespaces", json=given).status_code == 201
    path, gone = f"/v2/metadefs/namespaces?resource_types=OS::{mark}&limit=2{order}", []
    while path:
        answer = admin.call("GET", path)
        assert answer.status_code == 200, answer.text
        for each in answer.json()["namespaces"]:
            admin.call("DELETE", f"/v2/metadefs/namespaces/{each['namespace']}")
            gone.append(each["namespace"])
        path = answer.json().get("next", "")
    assert sorted(gone) == made
    assert admin.call("GET", f"/v2/metadefs/namespaces?marker={made[0]}").status_code == 404


@pytest.mark.parametrize("order", ["", "&sort_key=name&sort_dir=asc", "&sort_key=name", "&sort_key=updated_at&sort_dir=asc"])
def test_every_tag_is_met_although_each_page_is_deleted(order: str, cast: Cast) -> None:
    admin, name = cast.admin, uuid4().hex[:8]
    made = ["b", "A", "d", "C", "E"]
    assert admin.call("POST", "/v2/metadefs/namespaces", json={"namespace": name}).status_code == 201
    at = f"/v2/metadefs/namespaces/{name}/tags"
    assert admin.call("POST", at, json={"tags": [{"name": each} for each in made]}).status_code == 201
    path, gone = f"{at}?limit=2{order}", []
    while path:
        answer = admin.call("GET", path)
        assert answer.status_code == 200, answer.text
        for each in answer.json()["tags"]:
            assert admin.call("DELETE", f"{at}/{each['name']}").status_code == 204
            gone.append(each["name"])
        path = answer.json().get("next", "")
    assert sorted(gone) == sorted(made)
    assert admin.call("GET", f"{at}?marker=A").status_code == 404


def test_last_page_of_tags_has_no_next(cast: Cast) -> None:
    admin, name = cast.admin, uuid4().hex[:8]
    assert admin.call("POST", "/v2/metadefs/namespaces", json={"namespace": name}).status_code == 201
    at = f"/v2/metadefs/namespaces/{name}/tags"
    assert admin.call("POST", at, json={"tags": [{"name": "a"}, {"name": "b"}]}).status_code == 201
    pages = [admin.call("GET", f"{at}?sort_key=name&sort_dir=asc&limit=1")]
    pages.append(admin.call("GET", pages[0].json()["next"]))
    assert [page.json()["tags"] for page in pages] == [[{"name": "a"}], [{"name": "b"}]]
    assert "next" not in pages[1].json()
    assert "next" not in admin.call("GET", f"{at}?limit=2").json()
    tampered = admin.call("GET", f"{at}?sort_key=name&marker=a&os_glance_after=5")
    assert tampered.status_code == 400


@pytest.mark.parametrize("order", ["", "&sort_key=expires_at", "&sort_key=status&sort_dir=asc"])
def test_tasks_are_listed_on_after_the_marker_expired(order: str, cast: Cast, cast_on_postgresql: Cast) -> None:
    for people in (cast, cast_on_postgresql):
        list_on_behind_no_task(people, order)


def list_on_behind_no_task(cast: Cast, order: str) -> None:
    for _ in range(4):
        given = {"import_from": "http://example.org/x", "import_from_format": "raw"}
        given |= {"image_properties": {"disk_format": "raw", "container_format": "bare"}}  # type: ignore[dict-item]
        answer = cast.admin.call("POST", "/v2/tasks", json={"type": "import", "input": given})
        assert answer.status_code == 201, answer.text
    page = cast.admin.call("GET", f"/v2/tasks?limit=2{order}").json()
    parts = urlsplit(page["next"])
    # A task that is gone: the same place, under an id that no task has.
    query = [(name, "0" * 8 + value[8:] if name == "marker" else value) for name, value in parse_qsl(parts.query)]
    rest = cast.admin.call("GET", f"{parts.path}?{urlencode(query)}")
    assert rest.status_code == 200, rest.text
    without = [pair for pair in query if pair[0] != "os_glance_after"]
    assert cast.admin.call("GET", f"{parts.path}?{urlencode(without)}").status_code == 400
