"""Metadata definitions: the catalog that Horizon builds its forms from."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from partage.http.v2.routes import ROWS
from tests.api.personas import Cast, Persona

AT = "/v2/metadefs/namespaces"
PROPERTY = {"title": "Colour", "type": "string", "enum": ["blue", "red"], "default": "blue"}
COUNTER = itertools.count()


def names() -> Iterator[str]:
    return (f"Test::{number}" for number in COUNTER)


NAMES = names()


def full(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "namespace": name,
        "display_name": "All of it",
        "description": "A namespace with one of each",
        "visibility": "public",
        "objects": [{"name": "box", "description": "d", "required": ["colour"], "properties": {"colour": PROPERTY}}],
        "properties": {"size": {"title": "Size", "type": "integer", "minimum": 1}},
        "tags": [{"name": "Round"}],
        "resource_type_associations": [{"name": "OS::Test::Thing", "prefix": "hw:", "properties_target": "image"}],
        **changed,
    }


def made(cast: Cast, **changed: Any) -> str:
    name = next(NAMES)
    answer = cast.admin.call("POST", AT, json=full(name, **changed))
    assert answer.status_code == 201, answer.text
    return name


def test_a_namespace_is_shown_with_all_that_it_defines(cast: Cast) -> None:
    name = next(NAMES)
    answer = cast.admin.call("POST", AT, json=full(name))
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"{AT}/{name}")
    shown = cast.owner.call("GET", f"{AT}/{name}").json()
    assert shown["objects"][0]["properties"] == {"colour": PROPERTY}
    assert shown["properties"] == {"size": {"title": "Size", "type": "integer", "minimum": 1}}
    assert shown["tags"] == [{"name": "Round"}]
    assert shown["resource_type_associations"][0]["prefix"] == "hw:"
    assert (shown["visibility"], shown["protected"], shown["self"]) == ("public", False, f"{AT}/{name}")
    prefixed = cast.owner.call("GET", f"{AT}/{name}?resource_type=OS::Test::Thing").json()
    assert list(prefixed["properties"]) == ["hw:size"]
    assert list(prefixed["objects"][0]["properties"]) == ["hw:colour"]
    assert prefixed["objects"][0]["required"] == ["hw:colour"]


def test_definitions_keep_the_order_in_which_they_were_given(cast: Cast) -> None:
    """Objects oldest first, tags newest first, as in Glance."""
    given = ["middle", "last", "first"]
    name = made(cast, objects=[{"name": each} for each in given], tags=[{"name": each} for each in given])
    shown = cast.owner.call("GET", f"{AT}/{name}").json()
    assert [each["name"] for each in shown["objects"]] == given
    assert [each["name"] for each in cast.owner.call("GET", f"{AT}/{name}/objects").json()["objects"]] == given
    assert [each["name"] for each in shown["tags"]] == given[::-1]
    assert [each["name"] for each in cast.owner.call("GET", f"{AT}/{name}/tags").json()["tags"]] == given[::-1]


def test_a_new_namespace_is_answered_with_what_it_was_given(cast: Cast) -> None:
    document = full(next(NAMES))
    answer = cast.admin.call("POST", AT, json=document).json()
    parts = ("objects", "properties", "tags", "resource_type_associations")
    assert {part: answer[part] for part in parts} == {part: document[part] for part in parts}


def test_tags_are_sorted_by_name_ignoring_case(cast: Cast) -> None:
    name = made(cast, tags=[{"name": "Round"}, {"name": "flat"}])
    query = "sort_key=name&sort_dir=asc"
    assert cast.owner.call("GET", f"{AT}/{name}/tags?{query}").json()["tags"] == [{"name": "flat"}, {"name": "Round"}]
    assert cast.owner.call("GET", f"{AT}/{name}/tags?{query}&marker=flat").json()["tags"] == [{"name": "Round"}]


def test_a_property_is_shown_only_for_types_that_its_namespace_is_for(cast: Cast) -> None:
    name = made(cast)
    assert cast.owner.call("GET", f"{AT}/{name}/properties/hw:size?resource_type=OS::Test::Thing").status_code == 200
    answer = cast.owner.call("GET", f"{AT}/{name}/properties/size?resource_type=OS::Test::Other")
    assert (answer.status_code, "OS::Test::Other" in answer.text) == (404, True)


@pytest.mark.parametrize(("path", "status"), [("objects/box", 403), ("properties/size", 400), ("tags/Round", 400)])
def test_links_are_attributes_of_some_definitions_alone(path: str, status: int, cast: Cast) -> None:
    document = {**PROPERTY, "name": "x"} if "properties" in path else {"name": "x"}
    assert cast.admin.call("PUT", f"{AT}/{made(cast)}/{path}", json={**document, "self": "/x"}).status_code == status


def test_a_private_namespace_is_its_projects_alone(cast: Cast) -> None:
    name = made(cast, visibility="private", owner=cast.owner.project_id)
    absent = next(NAMES)
    assert cast.owner.call("GET", f"{AT}/{name}").status_code == 200
    assert name in [each["namespace"] for each in walked(cast.owner)]
    assert name not in [each["namespace"] for each in walked(cast.outsider)]
    for row in ROWS:
        if "{namespace}" in row.path:
            path = row.path.format(namespace="{}", name="x")
            body = {"json": {"namespace": "n", "name": "x", "title": "t", "type": "string", "tags": []}}
            ours = cast.outsider.call(row.method, path.format(name), **(body if row.body.name == "TAKEN" else {}))
            theirs = cast.outsider.call(row.method, path.format(absent), **(body if row.body.name == "TAKEN" else {}))
            assert ours.status_code == theirs.status_code
            assert ours.text.replace(name, absent) == theirs.text


def walked(who: Persona, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = f"{AT}?limit=2{query}"
    while path:
        page = who.call("GET", path).json()
        found += page["namespaces"]
        path = page.get("next", "")
    return found


@pytest.mark.parametrize("sort_key", ["namespace", "display_name", "created_at", "updated_at"])
@pytest.mark.parametrize("sort_dir", ["asc", "desc"])
def test_pages_of_namespaces_hold_each_once(sort_key: str, sort_dir: str, cast: Cast) -> None:
    for _ in range(3):
        made(cast)
    query = f"&sort_key={sort_key}&sort_dir={sort_dir}"
    whole = cast.admin.call("GET", f"{AT}?limit=1000{query}").json()["namespaces"]
    assert [each["namespace"] for each in walked(cast.admin, query)] == [each["namespace"] for each in whole]


def test_namespaces_are_found_by_visibility_and_type(cast: Cast) -> None:
    private = made(cast, visibility="private", resource_type_associations=[{"name": "OS::Test::Rare"}])
    public = made(cast)
    rare = cast.admin.call("GET", f"{AT}?resource_types=OS::Test::Rare").json()["namespaces"]
    assert [each["namespace"] for each in rare] == [private]
    found = {each["namespace"] for each in cast.admin.call("GET", f"{AT}?visibility=private&limit=1000").json()["namespaces"]}
    assert (private in found, public in found) == (True, False)


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "visibility=shared", "sort_key=x", "sort_dir=x"])
def test_invalid_query_of_metadefs_is_refused(query: str, cast: Cast) -> None:
    assert cast.owner.call("GET", f"{AT}?{query}").status_code == 400


def test_a_marker_that_is_not_there_is_not_found(cast: Cast) -> None:
    assert cast.owner.call("GET", f"{AT}?marker=absent").status_code == 404


def test_a_namespace_is_renamed_with_all_that_it_defines(cast: Cast) -> None:
    name, other = made(cast), next(NAMES)
    changed = cast.admin.call("PUT", f"{AT}/{name}", json={"namespace": other})
    assert changed.status_code == 200
    assert "display_name" not in changed.json()
    assert cast.admin.call("GET", f"{AT}/{name}").status_code == 404
    assert cast.admin.call("GET", f"{AT}/{other}/objects/box").status_code == 200
    assert cast.admin.call("GET", f"{AT}/{other}/resource_types").json()["resource_type_associations"]
    taken = made(cast)
    assert cast.admin.call("PUT", f"{AT}/{other}", json={"namespace": taken}).status_code == 409
    assert cast.admin.call("POST", AT, json={"namespace": taken}).status_code == 409


def test_nothing_of_a_protected_namespace_is_deleted(cast: Cast) -> None:
    name = made(cast, protected=True)
    for path in ("", "/objects", "/objects/box", "/properties", "/properties/size", "/tags", "/tags/round",
                 "/resource_types/OS::Test::Thing"):  # fmt: skip
        assert cast.admin.call("DELETE", f"{AT}/{name}{path}").status_code == 403
    assert cast.admin.call("PUT", f"{AT}/{name}", json={"namespace": name, "protected": False}).status_code == 200
    for path in ("/objects/box", "/properties/size", "/tags/round", "/resource_types/OS::Test::Thing", ""):
        assert cast.admin.call("DELETE", f"{AT}/{name}{path}").status_code == 204
    assert cast.admin.call("GET", f"{AT}/{name}").status_code == 404


KINDS = {
    "objects": ({"name": "other", "properties": {"p": PROPERTY}}, "box"),
    "properties": ({"name": "other", **PROPERTY}, "size"),
    "tags": ({"name": "other"}, "Round"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_is_created_changed_renamed_and_deleted(kind: str, cast: Cast) -> None:
    document, there = KINDS[kind]
    name = made(cast)
    at = f"{AT}/{name}/{kind}"
    create = f"{at}/other" if kind == "tags" else at
    body = {} if kind == "tags" else {"json": document}
    assert cast.admin.call("POST", create, **body).status_code == 201
    assert cast.admin.call("POST", create, **body).status_code == 409
    assert cast.owner.call("GET", f"{at}/other").json()["name"] == "other"
    assert cast.admin.call("PUT", f"{at}/other", json={**document, "name": there}).status_code == 409
    assert cast.admin.call("PUT", f"{at}/other", json={**document, "name": "third"}).status_code == 200
    assert cast.owner.call("GET", f"{at}/other").status_code == 404
    assert cast.admin.call("PUT", f"{at}/absent", json=document).status_code == 404
    assert cast.admin.call("DELETE", f"{at}/absent").status_code == 404
    assert cast.admin.call("DELETE", f"{at}/third").status_code == 204
    assert len(cast.owner.call("GET", at).json()[kind]) == 1
    assert cast.admin.call("DELETE", at).status_code == 204
    assert not cast.owner.call("GET", at).json()[kind]


def test_case_does_not_count_in_tags(cast: Cast) -> None:
    at = f"{AT}/{made(cast)}/tags"
    assert cast.owner.call("GET", f"{at}/rOUND").json()["name"] == "Round"
    assert cast.admin.call("POST", f"{at}/ROUND").status_code == 409
    assert cast.admin.call("POST", at, json={"tags": [{"name": "a"}, {"name": "A"}]}).status_code == 409
    assert cast.owner.call("GET", at).json() == {"tags": [{"name": "Round"}]}


def test_many_tags_replace_or_join_those_there_are(cast: Cast) -> None:
    at = f"{AT}/{made(cast)}/tags"
    assert cast.admin.call("POST", at, json={"tags": [{"name": "a"}, {"name": "b"}]}).status_code == 201
    assert {each["name"] for each in cast.owner.call("GET", at).json()["tags"]} == {"a", "b"}
    append = {"X-Openstack-Append": "True"}
    assert cast.admin.call("POST", at, json={"tags": [{"name": "c"}]}, headers=append).status_code == 201
    page = cast.owner.call("GET", f"{at}?sort_key=name&sort_dir=asc&limit=2").json()["tags"]
    assert page == [{"name": "a"}, {"name": "b"}]
    assert cast.owner.call("GET", f"{at}?sort_key=name&sort_dir=asc&marker=b").json()["tags"] == [{"name": "c"}]


def test_a_property_is_asked_for_by_its_name_at_a_resource(cast: Cast) -> None:
    at = f"{AT}/{made(cast)}/properties"
    assert cast.owner.call("GET", f"{at}/hw:size?resource_type=OS::Test::Thing").json()["name"] == "size"
    assert cast.owner.call("GET", f"{at}/size?resource_type=OS::Test::Thing").status_code == 404


MALFORMED = ([], {}, {"name": 5}, {"name": "x" * 81}, {"name": ""}, {"name": "\U0001f600"}, {"name": "x", "self": "y"},
             {"name": "x", "unknown": 1}, {"name": "x", "properties": {"p": {"type": "string"}}},
             {"name": "x", "title": "t", "type": "colour"}, {"tags": "x"}, {"tags": [{}]}, {"tags": [5]},
             {"namespace": 5}, {"namespace": ""}, {"namespace": "x", "visibility": "shared"}, {"namespace": "x", "tags": [{}]},
             {"namespace": "x", "objects": [5]}, {"namespace": "x", "resource_type_associations": [{"name": "y" * 81}]},
             {"name": "x", "description": "\x00"})  # fmt: skip


@pytest.mark.parametrize("path", ["", "/{}", "/{}/objects", "/{}/objects/box", "/{}/properties", "/{}/properties/size", "/{}/tags",
                                  "/{}/tags/Round", "/{}/resource_types"])  # fmt: skip
def test_what_is_malformed_is_refused_and_changes_nothing(path: str, cast: Cast) -> None:
    name = made(cast)
    before = cast.admin.call("GET", f"{AT}/{name}").json()
    creates = path == "" or path.endswith("s")
    for document in MALFORMED:
        answer: requests.Response = cast.admin.call("POST" if creates else "PUT", AT + path.format(name), json=document)
        assert answer.status_code in (400, 403), (document, answer.status_code, answer.text)
    assert cast.admin.call("GET", f"{AT}/{name}").json() == before


@pytest.mark.parametrize("schema", ["namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags",
                                    "resource_type", "resource_types"])  # fmt: skip
def test_every_schema_is_served(schema: str, cast: Cast) -> None:
    assert cast.owner.call("GET", f"/v2/schemas/metadefs/{schema}").json()["properties"]
    assert cast.owner.call("GET", "/v2/schemas/metadefs/nothing").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("PUT", "/{}"),
        ("POST", "/{}/objects"),
        ("PUT", "/{}/objects/box"),
        ("POST", "/{}/properties"),
        ("PUT", "/{}/properties/size"),
        ("POST", "/{}/tags"),
        ("PUT", "/{}/tags/Round"),
        ("POST", "/{}/resource_types"),
    ],
)
def test_document_is_not_read_before_the_caller_is_authorised(method: str, path: str, cast: Cast) -> None:
    """A large document was validated against its schema, and then its sender was refused."""
    public, private = made(cast), made(cast, visibility="private")
    for document in ({"unknown": 1}, [1], "x"):
        assert cast.owner.call(method, AT + path.format(public), json=document).status_code == 403
        assert cast.owner.call(method, AT + path.format(private), json=document).status_code == (404 if path else 403)
        assert cast.admin.call(method, AT + path.format(public), json=document).status_code == 400
