"""Every operation of every persona on shares: `cells/shares.txt`; and the rules beside the routes."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from partage.http import routing
from partage.http.partage import paths
from partage.http.partage.paths import PREFIX
from partage.http.partage.routes import ROWS
from partage.http.routing import Body, Row
from partage.policies import sharing as rules
from partage.policies.authority import Authority
from partage.policies.images import DOWNLOAD_IMAGE, UPLOAD_IMAGE
from tests.api.conftest import World, cast_of
from tests.api.partage import resuming
from tests.api.partage.sharing import (
    EVENTS,
    SHARES,
    WEBHOOKS,
    adopt,
    chunks,
    claim,
    create_code,
    create_webhook,
    end_access,
    guard,
    impact,
    lineage,
    manifest,
    offer,
    offered_image,
    share_path,
    use_path,
    uses_path,
    webhook_of,
)
from tests.api.personas import Cast, Persona
from tests.api.test_shared_image import COLUMNS

LINES = [
    line
    for line in (Path(__file__).parents[1] / "cells" / "shares.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
CELLS = {" ".join(line.split()[: -len(COLUMNS)]): line.split()[-len(COLUMNS) :] for line in LINES[1:]}
TRUST = f"{PREFIX}/trust"
STRANGE = "5" * 32
READS = (
    "inbox",
    "events",
    "webhook",
    "outbox",
    "show",
    "lineage",
    "list codes",
    "uses",
    "use counts",
    "impact",
    "guard",
    "manifest",
    "chunks",
)
NO_CODE = ("0" * 12, "partage-claim-" + "0" * 40)
CODES: dict[str, tuple[str, str]] = {}
"""The id and the text of an image's claim code."""


def shared_with_all(cast: Cast, operation: str) -> str:
    """Make an image that is offered to three projects: one has accepted, one has not answered, one has rejected."""
    image = queued_image(cast) if "upload" in operation else offered_image(cast, cast.member, cast.pending, cast.rejected)
    for who, action in ((cast.member, "accept"), (cast.rejected, "reject")):
        assert who.call("POST", share_path(image, who.project_id, action)).status_code == 200
    if "upload" in operation and operation != "begin upload":
        assert resuming.begin(cast.owner, image, b"x").status_code == 201
    if "ending" in operation:
        assert cast.owner.call("DELETE", share_path(image, cast.member.project_id)).status_code == 200
    if "code" in operation:
        made = create_code(cast.owner, image).json()
        CODES[image] = (made["id"], made["code"])
    if operation.endswith("of deactivated"):
        assert cast.owner.does("deactivate", image).status_code == 204
    if operation.endswith("when retained"):
        assert cast.owner.deletes(image).status_code == 204
    return image


def queued_image(cast: Cast) -> str:
    """Make an image without data that is offered to three projects."""
    image = cast.owner.has_an_image(None, visibility="shared")
    for who in (cast.member, cast.pending, cast.rejected):
        assert cast.owner.shares_with(image, who.project_id).status_code == 200
    return image


def act(who: Persona, operation: str, image: str, cast: Cast) -> requests.Response:
    other = cast.rejected if who.name == "pending" else cast.pending
    mine, theirs = who.project_id or "nobody", other.project_id
    code_id, code = CODES.get(image, NO_CODE)
    post = lambda path: lambda: who.call("POST", path)  # noqa: E731 -- one line of a table
    return {
        "inbox": lambda: who.call("GET", f"{SHARES}?direction=in&limit=1000"),
        "outbox": lambda: who.call("GET", f"{SHARES}?direction=out&limit=1000"),
        "show self": lambda: who.call("GET", share_path(image, mine)),
        "show other": lambda: who.call("GET", share_path(image, theirs)),
        "show ending": lambda: who.call("GET", share_path(image, cast.member.project_id)),
        "offer": lambda: offer(who, [image], ["e" * 32]),
        "terms other": lambda: who.call("PATCH", share_path(image, theirs), json={"notice": "P60D"}),
        "terms self": lambda: who.call("PATCH", share_path(image, mine), json={"notice": "P60D"}),
        "accept self": post(share_path(image, mine, "accept")),
        "reject self": post(share_path(image, mine, "reject")),
        "leave self": post(share_path(image, mine, "leave")),
        "accept other": post(share_path(image, theirs, "accept")),
        "reject other": post(share_path(image, theirs, "reject")),
        "leave other": post(share_path(image, theirs, "leave")),
        "accept many": lambda: who.call("POST", f"{SHARES}/accept", json={"image_ids": [image]}),
        "reject many": lambda: who.call("POST", f"{SHARES}/reject", json={"image_ids": [image]}),
        "end self": lambda: who.call("DELETE", share_path(image, mine)),
        "end other": lambda: who.call("DELETE", share_path(image, theirs)),
        "cancel ending": post(share_path(image, cast.member.project_id, "cancel-ending")),
        "restore": post(f"{PREFIX}/images/{image}/restore"),
        "restore when retained": post(f"{PREFIX}/images/{image}/restore"),
        "adopt": lambda: adopt(who, image),
        "adopt public": lambda: adopt(who, image, visibility="public"),
        "adopt when retained": lambda: adopt(who, image),
        "lineage": lambda: lineage(who, image),
        "manifest": lambda: manifest(who, image),
        "manifest when retained": lambda: manifest(who, image),
        "manifest in an ending": lambda: manifest(who, image),
        "chunks": lambda: chunks(who, image),
        "chunks when retained": lambda: chunks(who, image),
        "chunks of deactivated": lambda: chunks(who, image),
        "manifest of deactivated": lambda: manifest(who, image),
        "record use": lambda: who.call("PUT", use_path(image)),
        "record use of member": lambda: who.call("PUT", use_path(image, project=cast.member.project_id)),
        "record use when retained": lambda: who.call("PUT", use_path(image)),
        "release use": lambda: who.call("DELETE", use_path(image)),
        "release use of member": lambda: who.call("DELETE", use_path(image, project=cast.member.project_id)),
        "uses": lambda: who.call("GET", uses_path(image)),
        "uses of member": lambda: who.call("GET", f"{uses_path(image)}?project={cast.member.project_id}"),
        "use counts": lambda: who.call("GET", f"{uses_path(image)}/projects"),
        "webhooks": lambda: who.call("GET", WEBHOOKS),
        "create webhook": lambda: create_webhook(who),
        "webhook of owner": lambda: who.call("GET", f"{WEBHOOKS}/{webhook_of(cast.owner)}"),
        "change webhook of owner": lambda: who.call("PATCH", f"{WEBHOOKS}/{webhook_of(cast.owner)}", json={"description": "d"}),
        "delete webhook of owner": lambda: who.call("DELETE", f"{WEBHOOKS}/{webhook_of(cast.owner)}"),
        "events": lambda: who.call("GET", f"{EVENTS}?limit=1000"),
        "events of owner": lambda: who.call("GET", f"{EVENTS}?limit=1000&project={cast.owner.project_id}"),
        "events of everybody": lambda: who.call("GET", f"{EVENTS}?limit=1000&project=*"),
        "use counts when retained": lambda: who.call("GET", f"{uses_path(image)}/projects"),
        "impact": lambda: impact(who, image),
        "guard": lambda: guard(who, image),
        "switch guard": lambda: guard(who, image, "block"),
        "reset guard": lambda: who.call("DELETE", f"{PREFIX}/images/{image}/guard"),
        "end access of other": lambda: end_access(who, image, "unshare", project=theirs),
        "end access": lambda: end_access(who, image, "delete"),
        "impact when retained": lambda: impact(who, image),
        "list codes": lambda: who.call("GET", f"{PREFIX}/images/{image}/codes"),
        "create code": lambda: create_code(who, image),
        "revoke code": lambda: who.call("DELETE", f"{PREFIX}/images/{image}/codes/{code_id}"),
        "claim code": lambda: claim(who, code),
        "claim code when retained": lambda: claim(who, code),
        "claim unknown": lambda: claim(who, NO_CODE[1]),
        "begin upload": lambda: resuming.begin(who, image, b"x"),
        "show upload": lambda: who.call("GET", resuming.upload_path(image)),
        "continue upload": lambda: resuming.add(who, image, 1, b"y"),
        "complete upload": lambda: resuming.add(who, image, 1, b"", complete=True),
        "cancel upload": lambda: who.call("DELETE", resuming.upload_path(image)),
        "trust": lambda: who.call("GET", TRUST),
        "set trust": lambda: who.call("PUT", f"{TRUST}/domains/{STRANGE}", json={"rule": "ask"}),
        "set trust of project": lambda: who.call("PUT", f"{TRUST}/projects/{STRANGE}", json={"rule": "ask"}),
        "show trust": lambda: who.call("GET", f"{TRUST}/projects/{cast.outsider.project_id}"),
        "show trust of domain": lambda: who.call("GET", f"{TRUST}/domains/unknown"),
        "remove trust": lambda: who.call("DELETE", f"{TRUST}/projects/unknown"),
        "remove trust of domain": lambda: who.call("DELETE", f"{TRUST}/domains/unknown"),
    }[operation]()


def outcome(who: Persona, operation: str, image: str, cast: Cast) -> str:
    answer = act(who, operation, image, cast)
    if answer.status_code != 200 or answer.headers["Content-Type"] != "application/json":
        return str(answer.status_code)
    document = answer.json()
    if "events" in document:
        found = [each["image_id"] for each in document["events"]]
        while "next" in document:
            document = who.call("GET", document["next"]).json()
            found += [each["image_id"] for each in document["events"]]
        return "yes" if image in found else "no"
    if "shares" in document:
        return "yes" if any(each["image_id"] == image for each in document["shares"]) else "no"
    if "results" in document:
        problem = document["results"][0]["problem"]
        return "200" if problem is None else f"p{problem['status']}"
    return "200"


@pytest.mark.parametrize("operation", CELLS)
def test_answers_about_shares_match_the_table(operation: str, cast: Cast) -> None:
    common = shared_with_all(cast, operation)
    expected = dict(zip(COLUMNS, CELLS[operation], strict=True))
    answers = {}
    for column, name in COLUMNS.items():
        changes = expected[column].startswith("2") and not operation.startswith(READS)
        image = shared_with_all(cast, operation) if changes else common
        answers[column] = outcome(cast.people[name], operation, image, cast)
    assert answers == expected


def test_image_that_waits_to_be_scrubbed_is_restored_as_a_retained_one(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    cast = cast_of(another_world(delayed_delete=True), everybody)
    expected = dict(zip(COLUMNS, CELLS["restore when retained"], strict=True))
    answers = {}
    for column, name in COLUMNS.items():
        image = offered_image(cast, notice="P0D")
        assert cast.member.accepts(image).status_code == 200
        before = cast.owner.shows(image).json()
        assert cast.owner.deletes(image).status_code == 204
        assert cast.member.shows(image).status_code == 404
        restored = cast.people[name].call("POST", f"{PREFIX}/images/{image}/restore")
        answers[column] = str(restored.status_code)
        if restored.status_code == 200:
            assert {**cast.owner.shows(image).json(), "updated_at": before["updated_at"]} == before
            assert cast.member.downloads(image).status_code == 200
        elif restored.status_code == 404:
            never = cast.people[name].call("POST", f"{PREFIX}/images/{'0' * 8}{image[8:]}/restore")
            assert restored.content == never.content.replace(f"{'0' * 8}{image[8:]}".encode(), image.encode())
    assert answers == expected
    cast.leave()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
def test_every_route_refuses_an_unknown_parameter(row: Row, cast: Cast) -> None:
    answer = cast.owner.call(row.method, f"{path_of(row)}?colour=blue", json={} if row.body is Body.TAKEN else None)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:partage:problem:query-invalid")
    assert "'colour'" in answer.json()["detail"]


FEATURES: dict[str, tuple[str, ...]] = {
    "shares": (paths.SHARES,),
    "events": (paths.EVENTS,),
    "webhooks": (paths.WEBHOOKS,),
    "restore": (f"{paths.IMAGE}/restore",),
    "transfer": (paths.MANIFEST, paths.CHUNKS),
    "adopt": (f"{paths.IMAGE}/adopt", f"{paths.IMAGE}/lineage"),
    "uses": (paths.USES,),
    "impact": (f"{paths.IMAGE}/impact",),
    "claim-codes": (paths.CODES, paths.CLAIMS),
    "guard": (f"{paths.IMAGE}/guard", f"{paths.IMAGE}/end"),
    "trust": (paths.TRUST,),
    "resumable-uploads": (paths.UPLOAD,),
}
"""The routes of each feature. `notice` and `retained-images` have none of their own."""


def test_discovery_names_the_feature_of_every_route(cast: Cast) -> None:
    assert set(cast.anonymous.call("GET", paths.ROOT).json()["features"]) == {*FEATURES, "notice", "retained-images"}
    beginnings = tuple(path for routes in FEATURES.values() for path in routes)
    assert [row.path for row in ROWS if not row.path.startswith(beginnings)] == []
    assert [path for path in beginnings if not any(row.path.startswith(path) for row in ROWS)] == []


class Noting(Persona):
    """Notes which routes it would call, and calls none."""

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        del more
        found = routing.find(routing.build_tree(ROWS, PREFIX), path.partition("?")[0].removeprefix(f"{PREFIX}/").split("/"))
        if found is not None:
            self.http.headers[named(found[0].rows[method])] = "called"
        answer = requests.Response()
        answer.status_code = 404
        return answer


def named(row: Row) -> str:
    return f"{row.method} {row.path}"


def each_row() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", ROWS, ids=named)


def test_every_route_of_shares_has_cells_for_every_persona() -> None:
    nobody = Noting("owner", "http://nowhere", project_id="a" * 32)
    cast = Cast(dict.fromkeys(("owner", "member", "pending", "rejected", "outsider"), nobody))
    for operation in CELLS:
        act(nobody, operation, "0" * 32, cast)
    assert {named(row) for row in ROWS} - set(nobody.http.headers) == set()


def test_every_rule_of_shares_is_printed_at_a_route() -> None:
    assert {row.rule for row in ROWS} == {DOWNLOAD_IMAGE, UPLOAD_IMAGE, *(rule.name for rule in rules.RULES)}


def path_of(row: Row, image: str = "6f0a3c59-8a5e-4bb4-9f65-2c1f9f0d7c11", project: str = "m", made: str = "c") -> str:
    named = {"project_id": project, "domain_id": project, "code_id": made, "webhook_id": made, "kind": "server", "use_id": "s1"}
    return row.path.format(image_id=image, **named)


@each_row()
@pytest.mark.parametrize("who", ["anonymous", "badtoken"])
def test_every_route_of_shares_asks_for_a_token(row: Row, who: str, cast: Cast) -> None:
    answer = cast.people[who].call(row.method, path_of(row))
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://identity.example"'


def uploads_at(row: Row, cast: Cast) -> Callable[[], requests.Response]:
    """Give a call of a route of resumable uploads that succeeds."""
    image = cast.owner.has_an_image(None)
    if row.method == "POST":
        return lambda: resuming.begin(cast.owner, image, b"x")
    assert resuming.begin(cast.owner, image, b"x").status_code == 201
    if row.method == "PATCH":
        return lambda: resuming.add(cast.owner, image, 1, b"y")
    return lambda: cast.owner.call(row.method, resuming.upload_path(image))


def succeeds_at(row: Row, cast: Cast) -> tuple[Callable[[], requests.Response], int]:
    """Give a call of the route that succeeds, with the status it must have, and make all that it needs."""
    image, project = offered_image(cast), cast.member.project_id
    if row.path == paths.UPLOAD:
        return uploads_at(row, cast), row.status
    member_calls = ("/accept", "/reject", "/leave")
    if row.method == "DELETE" or row.path.endswith(("/cancel-ending", "/restore")):
        assert cast.member.call("POST", share_path(image, project, "accept")).status_code == 200
    if row.path.endswith("/cancel-ending"):
        assert cast.owner.call("DELETE", share_path(image, project)).status_code == 200
    if row.path.endswith("/restore"):
        assert cast.owner.deletes(image).status_code == 204
    made = create_code(cast.owner, image).json() if "{code_id}" in row.path or row.path.endswith("/claims") else {}
    if "{webhook_id}" in row.path:
        made = {"id": webhook_of(cast.owner)}
    more: dict[str, Any] = {
        f"POST {WEBHOOKS}": {"json": {"url": "https://hooks.example.org/"}},
        f"PATCH {WEBHOOKS}/{{webhook_id}}": {"json": {"enabled": False}},
        f"POST {SHARES}": {"json": {"image_ids": [image], "projects": ["e" * 32]}},
        f"POST {SHARES}/accept": {"json": {"image_ids": [image]}},
        f"POST {SHARES}/reject": {"json": {"image_ids": [image]}},
        f"PATCH {SHARES}/{{image_id}}/{{project_id}}": {"json": {"message": "m"}},
        f"POST {PREFIX}/images/{{image_id}}/adopt": {"json": {}},
        f"GET {paths.CHUNKS}": {"params": {"ranges": "0-9"}},
        f"GET {PREFIX}/images/{{image_id}}/impact": {"params": {"action": "delete"}},
        f"POST {PREFIX}/images/{{image_id}}/codes": {"json": {}},
        f"POST {PREFIX}/claims": {"json": {"code": made.get("code")}},
        f"PUT {PREFIX}/images/{{image_id}}/guard": {"json": {"mode": "block"}},
        f"POST {PREFIX}/images/{{image_id}}/end": {"json": {"action": "unshare", "project": project}},
    }.get(named(row), {})
    who = cast.member if row.path.endswith(member_calls) else cast.owner
    if row.path.startswith(TRUST):
        more = {"json": {"rule": "ask"}} if row.method == "PUT" else {}
        if row.path != TRUST and row.method != "PUT":
            assert who.call("PUT", path_of(row, image, project), json={"rule": "ask"}).status_code == 200
    if row.path.endswith("/claims"):
        who = cast.outsider
    return lambda: who.call(row.method, path_of(row, image, project, made.get("id", "c")), **more), row.status


@each_row()
def test_the_rule_beside_a_route_of_shares_is_required(row: Row, world: World, cast: Cast) -> None:
    call, status = succeeds_at(row, cast)
    world.rules_asked.clear()
    assert call().status_code == status
    of_action = {rules.END_SHARE} if row.rule == rules.END_ACCESS else set()
    assert {rule for rule in world.rules_asked if rule != "get_image"} - of_action == {row.rule}


@each_row()
def test_a_route_of_shares_is_closed_once_its_rule_allows_nobody(
    row: Row, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("{}")
    world = another_world(authority=Authority(file))
    cast = cast_of(world, everybody)
    call, _ = succeeds_at(row, cast)
    file.write_text(f'"{row.rule}": "!"')
    os.utime(file, (2**31, 2**31))  # another time of change, however quick the test is
    answer = call()
    if answer.status_code == 200:  # one of many images is refused, not the request
        assert [each["problem"]["status"] for each in answer.json()["results"]] == [403]
    else:
        assert answer.status_code == 403
    cast.leave()


TWINS = {rule.name: rule.check_str.removeprefix("rule:") for rule in rules.RULES if re.fullmatch(r"rule:[a-z_:]+", rule.check_str)}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.rule in TWINS.keys() - {rules.RESTORE_IMAGE, rules.LEAVE_SHARE}], ids=named
)
def test_rule_of_the_image_api_closes_its_twin(
    row: Row, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """An operator who keeps users from adding members keeps them from offering shares."""
    file = tmp_path / "policy.yaml"
    file.write_text("{}")
    world = another_world(authority=Authority(file))
    cast = cast_of(world, everybody)
    call, _ = succeeds_at(row, cast)
    file.write_text(f'"{TWINS[row.rule or ""]}": "!"')
    os.utime(file, (2**31, 2**31))
    answer = call()
    assert answer.status_code == 403 or answer.json()["results"][0]["problem"]["status"] == 403
    cast.leave()
