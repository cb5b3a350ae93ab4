"""The commands that the clients offer for images, and which of them a command line is."""

from collections.abc import Iterable, Sequence
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
