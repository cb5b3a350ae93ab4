"""Every decision has a date and a status, and the index names each with both."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs/decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
HEAD = re.compile(r"# (\d{4}) (.+)\n\n\*Date: (\d{4}-\d{2}-\d{2})\. Status: (accepted|superseded)[^\n]*\.\*\n")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name[:4])
def test_decision_begins_with_title_date_and_status(record: Path) -> None:
    head = HEAD.match(record.read_text())
    assert head is not None, f"{record.name} does not begin with '# NNNN Title' and '*Date: YYYY-MM-DD. Status: accepted.*'"
    assert record.name.startswith(head[1])


def test_index_lists_every_decision_with_its_title_and_date() -> None:
    index = (FOLDER / "README.md").read_text()
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \| (\S+) \| ", index, flags=re.MULTILINE)
    heads = {record.name: HEAD.match(record.read_text()) for record in RECORDS}
    assert listed == [(head[1], name, head[2], head[3]) for name, head in heads.items() if head is not None]
