"""The table of routes, and the tree that is made of it."""

import inspect
import re

import pytest

from partage.http import routing
from partage.http.v2 import paths, routes
from partage.policies.authority import RULES

ROOT = routing.build_tree(routes.ROWS, paths.PREFIX)
KNOWN_RULES = {rule.name for rule in RULES}


@pytest.mark.parametrize("row", routes.ROWS, ids=lambda row: f"{row.method} {row.path}")
def test_route_row_is_consistent(row: routing.Row) -> None:
    assert row.method in {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert re.fullmatch(r"/v2(/(\{[a-z_]+\}|[a-z_]+))+", row.path)
    assert row.rule is None or row.rule in KNOWN_RULES
    assert inspect.iscoroutinefunction(row.handler)
    assert row.handler.__doc__


def test_no_two_rows_are_for_the_same_call() -> None:
    calls = [(row.method, row.path) for row in routes.ROWS]
    assert len(set(calls)) == len(calls)


@pytest.mark.parametrize("row", routes.ROWS, ids=lambda row: f"{row.method} {row.path}")
def test_every_row_is_found_by_its_path(row: routing.Row) -> None:
    names = re.findall(r"\{([a-z_]+)\}", row.path)
    path = re.sub(r"\{([a-z_]+)\}", r"some-\1", row.path).removeprefix("/v2/")
    found = routing.find(ROOT, path.split("/"))
    assert found is not None
    node, values = found
    assert node.rows[row.method] is row
    assert values == {name: f"some-{name}" for name in names}


def test_head_is_answered_wherever_get_is() -> None:
    for row in routes.ROWS:
        found = routing.find(ROOT, row.path.removeprefix("/v2/").split("/"))
        assert found is not None
        assert ("HEAD" in found[0].allowed) == ("GET" in found[0].allowed)


@pytest.mark.parametrize(
    "path", ["", "images/", "images//file", "images/x/", "images/x/nope", "nope", "info", "images/x/members/y/z"]
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert routing.find(ROOT, path.split("/")) is None


def test_a_name_wins_over_a_parameter() -> None:
    found = routing.find(ROOT, ["info", "stores", "detail"])
    assert found is not None
    assert not found[1]
