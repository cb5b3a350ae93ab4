"""The demo checks that its lines fit a terminal of 80 columns."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "demo" / "width.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_width", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "is_wide"),
    [
        ("a" * 40 + " " + "b" * 39, False),
        ("a" * 40 + " " + "b" * 40, True),
        (f"\x1b[1m{'a ' * 40}\x1b[0m", False),
        ("/a" * 50, False),
    ],
    ids=["80", "81", "bold", "path"],
)
def test_demo_notices_lines_that_are_wider_than_a_terminal(line: str, *, is_wide: bool) -> None:
    printed = io.StringIO()
    watched = load().Watched(printed)
    watched.write(line[:30])
    watched.write(f"{line[30:]}\n")
    assert (bool(watched.wide), printed.getvalue()) == (is_wide, f"{line}\n")
