"""The same operations by callers who are not who they say, or whose tokens are of another kind: `cells/other-callers.txt`.

A caller that adds headers, or another's token, gets exactly what it gets without: its column is that of `cells/shared-active.txt`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.api.personas import Cast, Persona
from tests.api.test_hostile_requests import forged
from tests.api.test_shared_image import COLUMNS, outcome, shared_image
from tests.api.test_shared_image import ROWS as PLAIN
from tests.api.test_sharing_states import TABLE as STATES
from tests.standalone import RunningKeystone

FILE = Path(__file__).parent / "cells" / "other-callers.txt"
LINES = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
KINDS = ("Se", "Un", "Sy", "Do")
ROWS = {" ".join(line.split()[: -len(KINDS)]): dict(zip(KINDS, line.split()[-len(KINDS) :], strict=True)) for line in LINES[1:]}


@dataclass
class Adding(Persona):
    """Adds the same headers to every request."""

    added: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        return super().call(method, path, headers={**self.added, **more.pop("headers", {})}, **more)


def adding(who: Persona, headers: dict[str, str]) -> Adding:
    return Adding(who.name, who.endpoint, who.project_id, who.token, added=headers)


PRETENDERS = {
    "outsider as administrator": ("outsider", "Zz"),
    "outsider as service": ("outsider", "Zz"),
    "reader as administrator": ("owner_reader", "OR"),
    "pending as administrator": ("pending", "Pe"),
}
"""Who pretends to be what: the persona, and the column that stays its own."""


def headers_of(pretence: str, cast: Cast) -> dict[str, str]:
    """Give what a client can say of itself, or the real token of a service of the cloud, which adds no right of its user's."""
    return {"X-Service-Token": str(cast.service.token)} if pretence.endswith("service") else forged(cast)


@pytest.mark.parametrize("pretence", PRETENDERS)
def test_forged_identity_headers_change_no_answer(pretence: str, cast: Cast) -> None:
    """T-61 and T-64, at every operation of the table."""
    name, column = PRETENDERS[pretence]
    who = adding(cast.people[name], headers_of(pretence, cast))
    images: dict[str, str] = {}
    expected = {operation: dict(zip(COLUMNS, cells, strict=True))[column] for operation, cells in PLAIN.items()}
    answers = {}
    for operation, cell in expected.items():
        changes = cell.startswith("2") and not operation.startswith(("show", "file", "list", "member"))
        state = operation.partition(" when ")[2]
        image = images[state] = (images.get(state) if not changes else None) or shared_image(cast, operation)
        answers[operation] = outcome(who, operation, image, cast)
    who.http.close()
    assert answers == expected


@pytest.fixture(scope="session")
def others(keystone: RunningKeystone, everybody: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Give tokens of other kinds: column to project, if there is one, and token."""
    roles = {role["name"]: role["id"] for role in keystone.call("GET", "/roles")["roles"]}
    user = keystone.call("GET", "/users?name=persona-owner")["users"][0]["id"]
    for role in ("admin", "member", "reader"):
        keystone.call("PUT", f"/domains/default/users/{user}/roles/{roles[role]}")
        keystone.call("PUT", f"/system/users/{user}/roles/{roles[role]}")
    return {
        "Se": everybody["service"],
        "Un": ("", keystone.token("persona-owner", unscoped=True)),
        "Sy": ("", keystone.token("persona-owner", system_scope="all")),
        "Do": ("", keystone.token("persona-owner", domain_id="default")),
    }


@pytest.mark.parametrize("column", KINDS)
def test_tokens_of_other_kinds_are_answered_as_the_table_says(column: str, cast: Cast, others: dict[str, tuple[str, str]]) -> None:
    """T-63: administrators of a domain or of the whole system are nobody to images, as in Glance: their tokens have no project."""
    project, token = others[column]
    who = Persona(column, cast.owner.endpoint, project, token)
    images: dict[str, str] = {}
    answers = {}
    for operation in ROWS:
        state = operation.partition(" when ")[2]
        images[state] = images.get(state) or shared_image(cast, operation)
        answers[operation] = outcome(who, operation, images[state], cast)
    who.http.close()
    assert answers == {operation: cells[column] for operation, cells in ROWS.items()}


def test_tables_cover_every_persona_and_route() -> None:
    """Each operation is in both files; together with the states of sharing they are the matrix of who may do what."""
    assert list(ROWS) == list(PLAIN)
    cells = len(PLAIN) * len(COLUMNS) + sum(map(len, STATES.values())) + len(ROWS) * len(KINDS) + len(PLAIN) * len(PRETENDERS)
    assert cells >= 4000
