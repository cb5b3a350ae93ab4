"""docs/client.md has the columns of every command for programs, as the commands have them."""

import re
from pathlib import Path

import pytest

from partageclient.osc import code, copies, event, impact, share, trust, use
from partageclient.osc.tables import Column

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
COLUMNS = {
    "image share list": share.SHARES,
    "image share create": share.OUTCOMES,
    "image impact show": impact.IMPACT,
    "image transfer": copies.TRANSFER,
    "image code list": code.CODES,
    "image trust list": trust.RULES,
    "image event list": event.EVENTS,
    "image use list": use.USES,
}


@pytest.mark.parametrize("command", COLUMNS)
def test_columns_for_programs_are_documented_in_their_order(command: str) -> None:
    row = re.search(rf"^\| `{command}`[^|]*\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    assert row is not None
    assert row[1].split(", ") == [each.title for each in COLUMNS[command] if each.for_programs]


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_programs_get_every_column_once(columns: tuple[Column, ...]) -> None:
    titles = [each.title for each in columns if each.for_programs]
    assert len(set(titles)) == len(titles)
