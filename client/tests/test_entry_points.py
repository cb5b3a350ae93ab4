"""`openstack` finds the plugin, and every command of it; and what all commands have in common."""

import argparse
import importlib
import re
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from partageclient.osc import plugin

COMMANDS = entry_points(group=f"openstack.{plugin.API_NAME}.v{plugin.DEFAULT_API_VERSION}")


def test_openstack_finds_the_plugin() -> None:
    found = {each.value for each in entry_points(group="openstack.cli.extension")}
    assert plugin.__name__ in found


def test_every_command_loads_and_is_listed_in_its_module() -> None:
    assert "image_share_list" in {each.name for each in COMMANDS}
    for each in COMMANDS:
        module = importlib.import_module(each.module)
        assert each.attr in module.__all__
        assert each.load().__doc__


def test_every_command_of_a_module_has_an_entry_point() -> None:
    registered = {(each.module, each.attr) for each in COMMANDS}
    written = {(name, each) for name in {each.module for each in COMMANDS} for each in importlib.import_module(name).__all__}
    assert written == registered


def build_parser(entry: EntryPoint) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = entry.load()(None, None).get_parser(f"openstack {entry.name.replace('_', ' ')}")
    return parser


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_command_that_changes_something_has_a_dry_run(entry: EntryPoint) -> None:
    options = build_parser(entry).format_help()
    is_reading = entry.name.endswith(("_list", "_show"))
    assert ("--dry-run" in options) != is_reading


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_command_names_its_arguments_as_openstack_does(entry: EntryPoint) -> None:
    """A placeholder is <in-brackets>, and every argument of ours has a help."""
    actions = build_parser(entry)._actions  # noqa: SLF001 -- argparse has no public list of them
    ours = [each for each in actions if each.container.title in ("positional arguments", "options")]
    assert ours
    taking = [each for each in ours if each.nargs != 0 and not each.choices]
    assert all(str(each.metavar).startswith("<") and str(each.metavar).endswith(">") for each in taking), taking
    assert all(each.help for each in ours)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_command_is_described_in_the_readme(entry: EntryPoint) -> None:
    page = (Path(__file__).parents[1] / "README.md").read_text()
    noun, _, verb = entry.name.replace("_", " ").rpartition(" ")
    described = f"{noun} {verb}" in page or re.search(rf"`{noun} [a-z]+`(, `[a-z]+`)*, `{verb}`", page)
    assert described, f"README.md does not have `openstack {noun} {verb}`"
