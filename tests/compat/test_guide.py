"""The sharing guide, command by command with the real client, beside what Glance 33 said to the same commands.

guide-glance.txt is Glance's transcript. Partage must say the same, line by line, but for the differences listed here; each has its
reason, which docs/comparison-with-glance.md repeats, and a difference that no longer shows is an error too.
"""

import difflib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compat import commands, guide, transcript
from tests.compat.clouds import Cloud, Disk
from tests.compat.commands import Shell

GLANCES = Path(__file__).with_name("guide-glance.txt")
EXPLANATIONS = Path(__file__).parents[2] / "docs" / "comparison-with-glance.md"


@dataclass(frozen=True)
class Difference:
    """Where Glance says one thing and Partage, on purpose, another: a regular expression and its replacement."""

    glance: str
    partage: str
    reason: str


DIFFERENCES = (
    Difference("stores='fast'", "stores='local'", "The operator chooses the name of a store"),
    Difference(
        "Only shared images have members\\.<br /><br />$", "Only shared images have members.", "Messages are words without markup"
    ),
    Difference(
        "(Not allowed to create members for image <image>)\\.$",
        "\\1: only shared images have members.",
        "The sentence says what stands in the way",
    ),
    Difference(
        "/file, Unsupported Media Type$",
        "/file, Image disk_format qcow2 does not match stream data raw; declare the image as raw, or convert it to qcow2",
        "The client is answered in a form that it prints",
    ),
    Difference(
        "(image set --public <image>\n.*), Forbidden$",
        "\\1, You are not authorized to complete publicize_image action.",
        "The client is answered in a form that it prints",
    ),
    Difference(
        "(--os-cloud project-b image set .*\n.*), Forbidden$",
        "\\1, You are not authorized to complete modify_image action.",
        "The client is answered in a form that it prints",
    ),
)


def test_guide_is_the_same_as_on_glance(empty_cloud: Cloud, disk: Disk, tmp_path: Path) -> None:
    with commands.prepared(empty_cloud.clouds_file) as shell:
        compare(walk(shell, empty_cloud, disk, tmp_path), is_glance=empty_cloud.is_glance)


@pytest.mark.slow
def test_guide_is_the_same_with_the_installed_program(empty_cloud: Cloud, disk: Disk, tmp_path: Path) -> None:
    """Every command a process from nothing, as users run it."""
    compare(walk(commands.Program(empty_cloud.clouds_file), empty_cloud, disk, tmp_path), is_glance=empty_cloud.is_glance)


def test_every_difference_is_explained_to_users() -> None:
    explained = " ".join(EXPLANATIONS.read_text().split())
    assert [each.reason for each in DIFFERENCES if each.reason not in explained] == []


def walk(shell: Shell, cloud: Cloud, disk: Disk, folder: Path) -> str:
    """Do every step and return what was said, with names in place of ids, times and digests."""
    names = transcript.Names({project: f"<{name}>" for name, project in cloud.projects.items()})
    places = {name.removeprefix("project-"): project for name, project in cloud.projects.items()}
    for file in (disk.raw, disk.qcow2):
        names.learn_file(file)
        (folder / file.name).symlink_to(file)
    told: list[str] = []
    for step in guide.STEPS:
        if isinstance(step, guide.Remark):
            told += ["", f"# {step.text}"]
        elif isinstance(step, guide.Comparison):
            same = (folder / step.saved).read_bytes() == (folder / step.uploaded).read_bytes()
            told += ["", f"# the saved data is the same: {'yes' if same else 'no'}"]
        else:
            line = step.line.format(**places)
            answer = shell.run("--os-cloud", step.who, *shlex.split(line), folder=folder, merged=True)
            if step.names:
                places[step.names] = created(answer.output)
                names.known[places[step.names]] = f"<{step.names}>"
            told += ["", "$ openstack --os-cloud " + names.applied_to(f"{step.who} {line}")]
            told += transcript.lines_of(names.applied_to(answer.output))
            told.append(f"exit status {answer.status}")
    return "\n".join(told).lstrip() + "\n"


def created(output: str) -> str:
    """Find the id in the table that `image create` prints."""
    found = re.search(r"^\| id +\| (\S+) +\|$", output, re.MULTILINE)
    assert found, output
    return found[1]


def compare(told: str, *, is_glance: bool) -> None:
    if is_glance and os.environ.get("PARTAGE_GOLDEN") == "write":
        GLANCES.write_text(told)
    expected, unused = GLANCES.read_text(), []
    for each in () if is_glance else DIFFERENCES:
        expected, times = re.subn(each.glance, each.partage, expected, flags=re.MULTILINE)
        if not times:
            unused.append(each)
    expected = redrawn(expected)
    shown = "\n".join(difflib.unified_diff(expected.splitlines(), told.splitlines(), "as Glance", "said", n=6, lineterm=""))
    assert not shown, shown
    assert not unused


def redrawn(text: str) -> str:
    """Draw the tables again: a replaced word may be of another length."""
    return "\n\n".join("\n".join(transcript.lines_of(block)) for block in text.rstrip("\n").split("\n\n")) + "\n"
