"""Shares of images that a caller may not know of: byte for byte the answers of an id that never was."""

from typing import Any
from uuid import uuid4

import pytest

from partage.http.partage import paths
from partage.http.partage.routes import ROWS
from partage.http.routing import Body
from partage.policies import sharing as rules
from tests.api.partage.sharing import SHARES, list_rows, offered_image, share_path
from tests.api.personas import Cast, Persona
from tests.api.test_existence import INVISIBLE, blanked

BODIES: dict[str | None, dict[str, str]] = {
    rules.CHANGE_TERMS: {"notice": "P60D"},
    rules.ADOPT_IMAGE: {"name": "mine"},
    rules.SWITCH_GUARD: {"mode": "block"},
    rules.END_ACCESS: {"action": "delete"},
}
QUERIES: dict[str | None, dict[str, str]] = {rules.GET_IMPACT: {"action": "delete"}}
QUERIES_BY_PATH = {paths.CHUNKS: {"ranges": "0-9"}, paths.MANIFEST: {"limit": "5"}}
BODIES[rules.CREATE_CODE] = {}
WITH_IMAGE = [row for row in ROWS if "{image_id}" in row.path]


def make_retained(cast: Cast) -> str:
    image = offered_image(cast, cast.member)
    assert cast.member.call("POST", share_path(image, cast.member.project_id, "accept")).status_code == 200
    assert cast.owner.deletes(image).status_code == 204
    return image


SITUATIONS = {**INVISIBLE, "retained for others": make_retained, "offered to others": offered_image}


def answers(who: Persona, image: str, projects: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """Send everything about an image and its shares; return what came back, blanked."""
    found = {}
    for row in WITH_IMAGE:
        for project in projects if "{project_id}" in row.path else ("",):
            given: dict[str, Any] = {"params": QUERIES_BY_PATH.get(row.path, QUERIES.get(row.rule))}
            bodies = [{"json": BODIES[row.rule]}] if row.rule in BODIES and row.body is Body.TAKEN else []
            for number, more in enumerate([given, *bodies]):
                path = row.path.format(image_id=image, project_id=project, kind="server", use_id="s1", code_id="0" * 12)
                answer = who.call(row.method, path, **more)
                found[f"{row.method} {row.path} {project} {number}"] = blanked(answer, image)
    for verb in ("accept", "reject"):
        found[verb] = blanked(who.call("POST", f"{SHARES}/{verb}", json={"image_ids": [image]}), image)
    for more in ({}, {"make_shared": True}, {"all_or_nothing": True}):
        document = {"image_ids": [image], "projects": ["f" * 32], **more}
        found[f"offer {more}"] = blanked(who.call("POST", SHARES, json=document), image)
    return found


@pytest.mark.parametrize("situation", SITUATIONS)
def test_shares_of_an_invisible_image_are_answered_as_nonexistent(situation: str, cast: Cast) -> None:
    who = cast.outsider
    projects = (cast.member.project_id, who.project_id)
    image = SITUATIONS[situation](cast)
    asked, never = answers(who, image, projects), answers(who, str(uuid4()), projects)
    # The digest of a reply that repeats an id differs with the id.
    without_etag = {name: _drop_etag(each) for name, each in asked.items()}
    assert without_etag == {name: _drop_etag(each) for name, each in never.items()}
    assert {each[0] for each in asked.values()} <= {200, 204, 400, 404, 409, 415}
    for direction in ("in", "out"):
        assert list_rows(who, f"direction={direction}&image={image}") == []


def _drop_etag(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    status, headers, body = answer
    return status, [(name, "" if name.lower() == "etag" else value) for name, value in headers], body


def test_member_learns_nothing_of_other_members(cast: Cast) -> None:
    image = offered_image(cast, cast.member, cast.pending)
    asked = answers(cast.member, image, (cast.pending.project_id,))
    never = answers(cast.member, image, ("f" * 32,))
    of_shares = [name for name in asked if "{project_id}" in name]
    unknown = [each[2].replace("f" * 32, "{project}") for name, each in never.items() if "{project_id}" in name]
    assert [asked[name][2].replace(cast.pending.project_id, "{project}") for name in of_shares] == unknown
    assert {asked[name][0] for name in of_shares} == {400, 404}  # 400: a change of terms that says nothing
