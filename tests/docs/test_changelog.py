"""Every fragment of the changelog has a type that towncrier knows; it silently leaves out others."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
TYPES = [each["directory"] for each in SETTINGS["type"]]
FRAGMENTS = [path for path in sorted((ROOT / SETTINGS["directory"]).glob("*.md")) if path.name not in SETTINGS["ignore"]]


def test_every_fragment_has_a_type_and_a_text() -> None:
    """A release leaves no fragment, so this may have none to check."""
    for fragment in FRAGMENTS:
        _name, *types, _md = fragment.name.split(".")
        hint = f"{fragment.name}: name it area-what.TYPE.md, with one of these types: {', '.join(TYPES)}"
        assert types in [[each] for each in TYPES], hint
        assert fragment.read_text().strip(), fragment.name
