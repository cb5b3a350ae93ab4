"""Rules for the tests themselves: names of files and functions."""

import ast
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
LONGEST_NAME = 69


def test_no_two_test_files_share_a_name() -> None:
    """The folders are no packages, so pytest imports test files by their base names and refuses the second of a pair."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_test_names_have_69_characters_at_most() -> None:
    names = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
    assert len(names) > 1000
    assert sorted(name for name in names if len(name) > LONGEST_NAME) == []
