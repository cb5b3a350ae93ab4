"""Every operation of every caller on an image in every state of sharing, against what Glance 33 answered.

`cells/sharing-states.txt` was recorded from Glance 33.0.0 with Keystone 30: a row for each caller and operation, a column for each
state; a status, or Y and - for "the list shows it" and "it does not".
"""

from pathlib import Path

import pytest

from tests.api.personas import Cast, Persona

LINES = (Path(__file__).parent / "cells" / "sharing-states.txt").read_text().splitlines()
STATES = ["unshared", "pending", "accepted", "rejected", "private", "private again", "community", "public", "queued", "protected",
          "deactivated", "deleted"]  # fmt: skip
PERSONAS = {"reader": "owner_reader"}
LISTS = "list"


def cells() -> dict[tuple[str, str], dict[str, str]]:
    """Read the table: (caller, state) to operation to answer."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    for line in LINES[1:]:
        caller, rest = line.split(maxsplit=1)
        values = rest.split()[-len(STATES) :]
        operation = " ".join(rest.split()[: -len(STATES)])
        for state, value in zip(STATES, values, strict=True):
            table.setdefault((caller, state), {})[operation] = value
    return table


TABLE = cells()


def image_in(state: str, cast: Cast) -> str:
    """Make an image of the owner's, and bring it into a state."""
    owner, member = cast.owner, cast.member
    image = owner.has_an_image(None if state == "queued" else b"x" * 1000)
    if state == "private":
        owner.sets(image, "visibility", "private")
        return image
    if state != "unshared":
        assert owner.shares_with(image, member.project_id).status_code == 200
    if state not in ("unshared", "pending"):
        assert member.answers(image, "rejected" if state == "rejected" else "accepted").status_code == 200
    if state == "private again":
        owner.sets(image, "visibility", "private")
    elif state in ("community", "public"):
        cast.admin.sets(image, "visibility", state)
    elif state == "protected":
        owner.sets(image, "protected", True)
    elif state == "deactivated":
        owner.does("deactivate", image)
    elif state == "deleted":
        owner.deletes(image)
    return image


def act(who: Persona, operation: str, image: str, cast: Cast) -> str:
    """Do what a row says and return its answer as the table writes it."""
    if operation.startswith(LISTS):
        query = operation.removeprefix(LISTS).strip().replace("{owner-project}", cast.owner.project_id)
        return "Y" if who.sees_in_list(image, query) else "-"
    member = cast.member.project_id
    at = f"/v2/images/{image}"
    word = operation.rpartition(" ")[2]
    answer = {
        "show": lambda: who.shows(image),
        "members": lambda: who.call("GET", f"{at}/members"),
        "member get": lambda: who.call("GET", f"{at}/members/{member}"),
        "file": lambda: who.downloads(image),
        "patch property": lambda: who.patches(image, {"op": "add", "path": "/colour", "value": "blue"}),
        "patch owner": lambda: who.sets(image, "owner", cast.outsider.project_id),
        "tag add": lambda: who.call("PUT", f"{at}/tags/new"),
        "tag delete": lambda: who.call("DELETE", f"{at}/tags/absent"),
        "member add other": lambda: who.shares_with(image, cast.pending.project_id),
        "member add same": lambda: who.shares_with(image, member),
        "member remove": lambda: who.removes_member(image, member),
        "deactivate": lambda: who.does("deactivate", image),
        "reactivate": lambda: who.does("reactivate", image),
        "upload": lambda: who.uploads(image),
        "stage": lambda: who.stages(image),
        "delete": lambda: who.deletes(image),
        "member accept": lambda: who.answers(image, "accepted", member),
        "member reject": lambda: who.answers(image, "rejected", member),
        "member pending": lambda: who.answers(image, "pending", member),
        f"patch visibility {word}": lambda: who.sets(image, "visibility", word),
    }[operation]()
    return str(answer.status_code)


def changes(operation: str) -> bool:
    return operation not in ("show", "members", "member get", "file") and not operation.startswith(LISTS)


@pytest.mark.parametrize(("caller", "state"), sorted(TABLE))
def test_answers_are_those_of_glance(caller: str, state: str, cast: Cast) -> None:
    who = cast.people[PERSONAS.get(caller, caller)]
    expected = TABLE[caller, state]
    untouched = image_in(state, cast)
    answers = {}
    for operation in expected:
        refused = expected[operation].startswith("4")
        image = image_in(state, cast) if changes(operation) and not refused else untouched
        answers[operation] = act(who, operation, image, cast)
    assert answers == expected
