"""Every fragment of the changelog has a type that towncrier knows; it silently leaves out others."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
TYPES = [each["directory"] for each in SETTINGS["type"]]
FRAGMENTS = [path for path in sorted((ROOT / SETTINGS["directory"]).glob("*.md")) if path.name not in SETTINGS["ignore"]]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_has_a_type_and_a_text(fragment: Path) -> None:
    _name, *types, _md = fragment.name.split(".")
    assert types in [[each] for each in TYPES], f"name it area-what.TYPE.md, with one of these types: {', '.join(TYPES)}"
    assert fragment.read_text().strip()
