"""The page on security names every kind of fault that is known, and for each a test that is there, or a reason for none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.test_reference import rows_of

ROOT = Path(__file__).parents[2]
GROUPS = [f"T-{number:02d}" for number in range(1, 93)]
ROWS = rows_of("security.md", "What went wrong elsewhere")
TESTS = dict(re.findall(r"^- (T-\d\d)\n((?:  - .+\n)+)", (ROOT / "docs/security.md").read_text(), re.MULTILINE))
"""Number of a fault → the lines that name its tests."""
REASONS = re.compile(r"(does not apply: |waits for )\w+")


@cache
def names_in(file: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_kind_of_fault_has_its_line() -> None:
    assert [row[0] for row in ROWS] == GROUPS
    assert all(len(row) == 3 and all(row) for row in ROWS)
    assert list(TESTS) == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_a_fault_has_tests_that_are_there_or_a_reason_for_none(group: str) -> None:
    lines = TESTS[group]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", lines)
    assert named or REASONS.search(lines), lines
    for file, name in named:
        assert name.startswith("test_")
        assert name in names_in(file), f"{file} has no {name}"


def test_numbers_in_the_suites_are_those_of_the_page() -> None:
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert set(re.findall(r"\bT-\d\d\b", text)) <= set(GROUPS)
