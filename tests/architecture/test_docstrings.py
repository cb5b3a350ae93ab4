"""Docstrings name what there is: under `Raises:` stand classes of problems.py, or exceptions of Python and of libraries in use."""

import ast
import builtins
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import partage
from partage import problems

SOURCE = Path(partage.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
KNOWN = {name for name, _ in inspect.getmembers(problems, inspect.isclass)} | {*dir(builtins)}


def raised(docstring: str) -> Iterator[str]:
    """Name what stands before each colon under `Raises:`; lines that go on are further in."""
    section = re.search(r"^Raises:\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", inspect.cleandoc(docstring) + "\n", re.MULTILINE)
    if section is None:
        return
    lines = section[1].splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    for line in lines:
        if line.startswith(" " * margin) and not line[margin:].startswith(" "):
            before, colon, _condition = line.partition(":")
            assert colon, f"no condition: {line}"
            yield from re.findall(r"[A-Za-z_][\w.]*", re.sub(r"`[^`]*`", "", before).replace(" or ", ", "))


def exceptions_of(file: Path) -> set[str]:
    """Name the exceptions that a module has, by import or its own."""
    module = importlib.import_module(
        ".".join(("partage", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    )
    found = {name for name, each in vars(module).items() if inspect.isclass(each) and issubclass(each, BaseException)}
    for name, each in vars(module).items():
        if inspect.ismodule(each):
            found |= {
                f"{name}.{inner}" for inner, kind in vars(each).items() if inspect.isclass(kind) and issubclass(kind, BaseException)
            }
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_names_under_raises_are_exceptions(file: Path) -> None:
    tree = ast.parse(file.read_text())
    nodes = [each for each in ast.walk(tree) if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module))]
    names = {name for node in nodes for name in raised(ast.get_docstring(node) or "")}
    unknown = names - KNOWN
    if unknown:
        unknown -= exceptions_of(file)
    assert not unknown, unknown


def test_raises_section_is_parsed() -> None:
    lines = (
        "Do.",
        "",
        "    Raises:",
        "        ImageNotFound, Absent: there is none",
        "            at all: no.",
        "        Gone: so.",
    )
    text = "\n".join((*lines, "    Source: a."))
    assert [*raised(text)] == ["ImageNotFound", "Absent", "Gone"]
