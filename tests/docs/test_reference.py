"""The reference pages say what the program does: every route, rule, problem and setting, and none that is not there."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from partage import measures, problems
from partage.http import query_strings
from partage.http.errors import kind_of
from partage.http.partage.routes import ROWS as SHARING_ROWS
from partage.http.routing import Row
from partage.http.v2.routes import ROWS
from partage.main.configuration.config import Settings
from partage.main.configuration.renames import RENAMES
from partage.main.configuration.store_types import list_fields
from partage.main.metrics_exporter import OBSERVED
from partage.model.event import EventType
from partage.model.limits import Limits
from partage.model.query import SORT_ATTRIBUTES
from partage.policies.authority import RULES

DOCS = Path(__file__).parents[2] / "docs"


def rows_of(page: str, heading: str = "") -> list[tuple[str, ...]]:
    """Give the rows of the tables of a page, or of one section of it, without their heads."""
    text = (DOCS / page).read_text()
    if heading:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in text.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, row in enumerate(found) if set("".join(row)) <= set("-|")}
    return [row for number, row in enumerate(found) if number not in heads and number - 1 not in heads]


def test_every_route_is_described_with_its_rule_and_status() -> None:
    def described(row: Row) -> tuple[str, ...]:
        return row.method, f"`{row.path}`", row.rule or "any token", str(row.status.value)

    found = rows_of("api.md", "Routes")
    assert [row[:4] for row in found] == [described(row) for row in ROWS]
    assert all(len(row) == 5 and row[4] for row in found)


def test_every_route_of_the_sharing_api_is_described() -> None:
    found = rows_of("sharing-api.md", "Routes")
    assert [row[:4] for row in found] == [
        (row.method, f"`{row.path}`", row.rule or "any token", str(row.status.value)) for row in SHARING_ROWS
    ]
    assert all(len(row) == 5 and row[4] for row in found)


def test_every_type_of_event_is_described() -> None:
    described = [kind for row in rows_of("events.md", "Types") for kind in re.findall(r"`([a-z_]+\.[a-z_]+)`", row[0])]
    assert sorted(described) == sorted(EventType)


def test_every_rule_is_described_with_its_default() -> None:
    expected = [(rule.name, f"`{rule.check_str or 'everybody'}`", rule.description) for rule in RULES]
    assert rows_of("api.md", "Rules") == expected


def test_every_metric_is_described() -> None:
    def describe(measure: measures.Measure) -> tuple[str, ...]:
        suffix = "_total" if isinstance(measure, measures.Counter) else ""
        labels = ", ".join(f"`{each}`" for each in measure.labels) or "none"
        return f"`partage_{measure.name}{suffix}`", labels, measure.meaning

    assert rows_of("monitoring.md", "Metrics") == [describe(each) for each in (*measures.ALL, *OBSERVED)]


def test_every_alert_is_described() -> None:
    rules = re.findall(r"- alert: (\w+)", (DOCS.parent / "monitoring" / "alerts.yaml").read_text())
    assert [row[0].strip("`") for row in rows_of("monitoring.md", "Dashboard and alerts")] == rules


FILTERS = (
    "owner", "checksum", "os_hash_algo", "os_hash_value", "virtual_size", "min_ram", "min_disk", "protected", "os_hidden",
    "tag", "visibility", "member_status", "limit", "marker", "sort", "sort_key", "sort_dir",
)  # fmt: skip


def test_every_filter_of_a_list_is_described() -> None:
    text = "".join(row[0] for row in rows_of("api.md", "Lists"))
    for name in (*SORT_ATTRIBUTES, *FILTERS):
        assert f"`{name}" in text


def test_bounds_of_lists_are_those_that_are_described() -> None:
    text = (DOCS / "api.md").read_text()
    assert f"({Limits().page_default} unless said, {Limits().page_max:,} at most)" in text
    most = int(re.findall(r"At most (\d+) parameters are taken", text)[0])
    query_strings.decode("&".join(["a=b"] * most).encode())
    with pytest.raises(problems.QueryInvalid):
        query_strings.decode("&".join(["a=b"] * (most + 1)).encode())


KINDS = [
    kind
    for _, kind in inspect.getmembers(problems, inspect.isclass)
    if issubclass(kind, problems.Problem) and kind not in (problems.Problem, problems.Explained)
]


def test_every_problem_is_described_with_its_status() -> None:
    found = {row[0]: row[1:] for row in rows_of("problems.md")}
    assert {name: row[0] for name, row in found.items()} == {kind.__name__: str(kind_of(kind).status.value) for kind in KINDS}
    for name, (_, when, *_) in found.items():
        assert when, name


@pytest.mark.parametrize("kind", [each for each in KINDS if not each.__subclasses__()], ids=lambda kind: kind.__name__)
def test_every_problem_that_ends_somewhere_says_what_helps(kind: type[problems.Problem]) -> None:
    assert {row[0]: row[3] for row in rows_of("problems.md")}[kind.__name__]


def settings() -> Iterator[tuple[str, ...]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from described(field.annotation, f"{name}.")
        elif name != "stores":
            yield row(name, field)
    yield from (row(f"stores.{name}", field) for name, field in list_fields())


def described(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield row(f"{prefix}{name}", field)


def row(name: str, field: Any) -> tuple[str, ...]:
    def written(default: Any) -> str:
        plain = default.get_secret_value() if isinstance(default, SecretStr) else default
        return json.dumps("" if plain is None else plain, default=str)

    return f"`{name}`", "required" if field.is_required() else f"`{written(field.default)}`", str(field.description)


def test_every_setting_is_described_with_its_default() -> None:
    found = [each for each in rows_of("configuration.md") if re.match(r"`[a-z_.]+`$", each[0]) and len(each) == 3]
    assert found == list(settings())


def test_every_former_name_of_a_setting_is_listed_with_its_name() -> None:
    assert rows_of("configuration.md", "Former names") == [(f"`{old}`", f"`{new}`") for old, new in RENAMES.items()]
