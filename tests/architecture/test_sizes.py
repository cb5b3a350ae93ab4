"""The caps of docs/style.md, on every module of the service and of the client."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for source in (ROOT / "src", ROOT / "client" / "src") for path in source.rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "core"}
LINES_OF_FILE, LINES_OF_FUNCTION, POSITIONAL_PARAMETERS = 600, 70, 5


def functions(module: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(module.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_stays_within_the_caps(module: Path) -> None:
    text = module.read_text()
    too_long = [f"{each.name}: {each.end_lineno - each.lineno + 1} lines" for each in functions(module)
                if each.end_lineno and each.end_lineno - each.lineno >= LINES_OF_FUNCTION]  # fmt: skip
    too_wide = [each.name for each in functions(module) if len(each.args.posonlyargs + each.args.args) > POSITIONAL_PARAMETERS + 1]
    assert text.count("\n") <= LINES_OF_FILE
    assert not too_long
    assert not too_wide
    assert module.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_and_public_functions_have_docstrings(module: Path) -> None:
    tree = ast.parse(module.read_text())
    scopes = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))]
    found = [each for scope in scopes for each in scope.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    promised = {each.name for each in found if ast.get_docstring(each)}  # an override keeps the promise of what it overrides
    silent = {each.name for each in found if not each.name.startswith("_")} - promised
    assert ast.get_docstring(tree) or not tree.body
    assert not silent


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_asserts_nothing_and_imports_at_the_top(module: Path) -> None:
    """An assert is gone under `python -O`; an import inside a function hides a cycle."""
    tree = ast.parse(module.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    inside = [node.lineno for each in functions(module) for node in ast.walk(each) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not inside
