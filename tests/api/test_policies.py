"""Every route: somebody has thought about who may call it, it asks for a token, and the rule beside it is the rule that decides."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from partage.http import routing
from partage.http.routing import Row
from partage.http.v2.paths import PREFIX
from partage.http.v2.routes import ROWS
from partage.policies import sharing
from partage.policies.authority import RULES, Authority
from tests.api.conftest import World, cast_of, with_cache
from tests.api.personas import DATA, Cast, Persona
from tests.api.test_shared_image import ROWS as CELLS
from tests.api.test_shared_image import TASK, a_namespace, outcome

TREE = routing.build_tree(ROWS, PREFIX)
WITHOUT_CELLS: dict[str, str] = {}
"""Method and path of a route that has no cells, to the reason why it needs none."""

RULES_BEYOND_ROUTES = {
    "default": "the rule of last resort for names that nothing defines",
    "context_is_admin": "asked once for each token",
    "service_api": "a part of other rules",
    "publicize_image": "asked beside add_image or modify_image when the visibility becomes public",
    "copy_image": "asked instead of modify_image when an import copies to further stores",
    "get_image_location": "asked beside delete_image_location",
    "set_image_location": "asked beside modify_image when a patch adds locations or replaces them",
    "download_from_store": "asked beside download_image when a client chooses the store",
    "metadef_admin": "a part of other rules",
    "get_metadef_resource_type": "asked beside list_metadef_resource_types for the types of one namespace",
    "manage_image_cache": "an older name, for rules of the operator's that refer to it",
    **{rule.name: "of the sharing API" for rule in sharing.RULES},
    "communitize_image": "asked beside add_image or modify_image when the visibility becomes community",
}


class Noting(Persona):
    """Notes which routes it would call, and calls none."""

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        del more
        found = routing.find(TREE, path.partition("?")[0].removeprefix("/v2/").split("/"))
        if found is not None:
            self.http.headers[named(found[0].rows[method])] = "called"
        answer = requests.Response()
        answer.status_code = 404
        return answer


def named(row: Row) -> str:
    return f"{row.method} {row.path}"


def each_row() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", ROWS, ids=named)


def test_every_route_has_cells_for_every_persona() -> None:
    nobody = Noting("owner", "http://nowhere", project_id="a" * 32)
    cast = Cast(dict.fromkeys(("owner", "member", "pending", "rejected", "outsider"), nobody))
    for operation in CELLS:
        outcome(nobody, operation, "0" * 32, cast)
    without = {named(row) for row in ROWS} - set(nobody.http.headers)
    assert without == set(WITHOUT_CELLS), "a new route needs a line in cells/shared-active.txt and a call in test_shared_image.py"


def test_every_rule_is_printed_at_a_route() -> None:
    printed = {row.rule for row in ROWS} - {None}
    assert printed | set(RULES_BEYOND_ROUTES) == {rule.name for rule in RULES}
    assert not printed & set(RULES_BEYOND_ROUTES)


def path_of(row: Row, image: str = "6f0a3c59-8a5e-4bb4-9f65-2c1f9f0d7c11", member: str = "m", task: str = "t") -> str:
    return row.path.format(
        image_id=image, member_id=member, tag="there", store_id="local", task_id=task, namespace=task, name="it", schema="namespace"
    )


@each_row()
@pytest.mark.parametrize("who", ["anonymous", "badtoken"])
def test_every_route_asks_for_a_token(row: Row, who: str, cast: Cast) -> None:
    methods = ["GET", "HEAD"] if row.method == "GET" else [row.method]
    for method in methods:
        answer = cast.people[who].call(method, path_of(row))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://identity.example"'


def succeeds_with_metadefs(row: Row, cast: Cast) -> tuple[Callable[[], requests.Response], int]:
    name = a_namespace(cast)
    kind = row.path.removeprefix("/v2/metadefs/namespaces").split("/")[2:3]
    document: dict[str, Any] = {"namespace": f"{name}-new"}
    if kind:
        document = {"name": "new", **({"title": "t", "type": "string"} if kind == ["properties"] else {})}
    if row.method == "POST" and row.path.endswith("/tags"):
        document = {"tags": [document]}
    path = path_of(row, task=name)
    if row.method == "POST" and "/tags/" in row.path:
        path = path.replace("/tags/it", "/tags/new")
    more = {"json": document} if row.body.name == "TAKEN" else {}
    return lambda: cast.admin.call(row.method, path, **more), row.status


def succeeds_at(row: Row, world: World, cast: Cast) -> tuple[Callable[[], requests.Response], int]:
    """Give a call of the route that succeeds, with the status it must have, and make all that it needs."""
    owner, member = cast.owner, cast.member
    if "/metadefs/" in row.path and row.rule is not None:
        return succeeds_with_metadefs(row, cast)
    waits = row.method in ("PUT", "POST") and row.path.endswith(("/file", "/stage", "/import", "/locations"))
    image = owner.has_an_image(None if waits else b"data", tags=["there"])
    if row.path.endswith("/import"):
        owner.stages(image)
    task = image
    if "/tasks/" in row.path or "/stores/" in row.path:
        assert cast.admin.imports(image, "copy-image", stores=["second"]).status_code == 202
        world.works()
        task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][-1]["id"]
    is_new = row.method == "POST" and row.path.endswith("/members")
    if "/members" in row.path and not is_new:
        owner.shares_with(image, member.project_id)
    more: dict[str, Any] = {
        "POST /v2/images": {"json": {}},
        "POST /v2/tasks": {"json": TASK},
        "PATCH /v2/images/{image_id}": {
            "json": [{"op": "replace", "path": "/name", "value": "n"}],
            "headers": {"Content-Type": "application/openstack-images-v2.1-json-patch"},
        },
        "PUT /v2/images/{image_id}/file": {"data": b"x", "headers": {"Content-Type": DATA}},
        "PUT /v2/images/{image_id}/stage": {"data": b"x", "headers": {"Content-Type": DATA}},
        "POST /v2/images/{image_id}/locations": {
            "json": {"url": "http://93.184.215.14/disk"},
            "headers": {"X-Service-Token": cast.service.token},
        },
        "POST /v2/images/{image_id}/import": {"json": {"method": {"name": "glance-direct"}}},
        "POST /v2/images/{image_id}/members": {"json": {"member": member.project_id}},
        "PUT /v2/images/{image_id}/members/{member_id}": {"json": {"status": "accepted"}},
    }.get(named(row), {})
    who = member if named(row).startswith("PUT /v2/images/{image_id}/members") else owner
    who = cast.admin if row.path.endswith("/locations") and row.method == "GET" else who
    who = cast.admin if row.path.endswith("/detail") or row.path.startswith(("/v2/tasks", "/v2/stores", "/v2/cache")) else who
    return lambda: who.call(row.method, path_of(row, image, member.project_id, task), **more), row.status


SUCCEEDING = [row for row in ROWS if named(row) != "DELETE /v2/tasks/{task_id}"]
"""Every route but the one that refuses everybody."""


@pytest.mark.parametrize("row", SUCCEEDING, ids=named)
def test_the_rule_beside_a_route_is_the_one_it_requires(row: Row, request: pytest.FixtureRequest) -> None:
    kind = "caching_" if row.path.startswith("/v2/cache") else ""
    world: World = request.getfixturevalue(f"{kind}world")
    cast: Cast = request.getfixturevalue(f"{kind}cast")
    call, status = succeeds_at(row, world, cast)
    world.rules_asked.clear()
    assert call().status_code == status
    beside = {"DELETE /v2/stores/{store_id}/{image_id}": "get_image_location", "POST /v2/tasks": "add_image"}.get(named(row))
    beside = "delete_metadef_namespace" if row.rule == "delete_metadef_tags" else beside
    expected = set() if row.rule in (None, "get_image", "get_metadef_namespace") else {row.rule, beside} - {None}
    assert {rule for rule in world.rules_asked if rule != "get_image"} == expected


RULED = [row for row in SUCCEEDING if row.rule is not None]


@pytest.mark.parametrize("row", RULED, ids=named)
def test_a_route_is_closed_once_the_operator_gives_its_rule_to_nobody(
    row: Row, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("{}")
    parts = with_cache(tmp_path) if row.path.startswith("/v2/cache") else {}
    world = another_world(authority=Authority(file), **parts)
    call, _ = succeeds_at(row, world, cast_of(world, everybody))
    file.write_text(f'"{row.rule}": "!"')
    os.utime(file, (2**31, 2**31))  # another time of change, however quick the test is
    assert call().status_code == (404 if row.rule in ("get_image", "get_member", "get_metadef_namespace") else 403)
