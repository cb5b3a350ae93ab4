"""The commands that the clients offer for images, which of them a command line is, and which have a test."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distribution

from glanceclient.v2 import shell

GROUP = "openstack.image.v2"


def of_openstack() -> set[str]:
    """Name the commands of `openstack` that are for images: "image metadef tag list"."""
    points = distribution("python-openstackclient").entry_points
    return {point.name.replace("_", " ") for point in points if point.group == GROUP}


def of_glance() -> set[str]:
    """Name the commands of `glance`: "md-tag-list"."""
    return {name.removeprefix("do_").replace("_", "-") for name in dir(shell) if name.startswith("do_")}


def command_of(arguments: Sequence[str], offered: Iterable[str]) -> str:
    """Return the command that a line begins with; an empty text when it is none of those offered."""
    line = " ".join(arguments) + " "
    return max((each for each in offered if line.startswith(each + " ")), key=len, default="")


def run_by(*modules: Mapping[str, object]) -> set[str]:
    """Name the commands that tests are marked to run: `runs("image show")`. A module is given by what it defines."""
    marks = [mark for module in modules for each in module.values() for mark in getattr(each, "pytestmark", ())]
    return {command for mark in marks if mark.name == "runs" for command in mark.args}
