"""What the quick start and the guide for members show is what the commands print, one after the other.

PARTAGE_GOLDEN=write writes the output of each command into the pages anew.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.compat import commands
from tests.compat.clouds import Cloud

DOCS = Path(__file__).parents[2] / "docs"
IMAGE, MOMENT = "71c675ab-1a2b-4c3d-8e9f-0123456789ab", "2026-11-29T20:31:07Z"
PROJECTS = {"project-a": "5ef70662" * 4, "project-b": "4a1c9d2f" * 4}
BLOCK = re.compile(r"(?<=^```\n)\$ openstack .+?(?=^```$)", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ openstack (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["quick-start.md", "sharing-guide.md"])
def test_page_shows_what_the_commands_print(empty_cloud: Cloud, tmp_path: Path, page: str) -> None:
    with (tmp_path / "disk.raw").open("wb") as disk:
        disk.truncate(64 << 20)
    text = (DOCS / page).read_text()
    walk = Walk(empty_cloud, tmp_path)
    with commands.prepared(empty_cloud.clouds_file) as shell:
        walked = BLOCK.sub(lambda block: walk.run_all(shell, COMMAND.findall(block[0])), text)
    if os.environ.get("PARTAGE_GOLDEN") == "write":
        (DOCS / page).write_text(walked)
    assert walk.count >= 6
    assert walked == text
    assert (tmp_path / "copy.raw").read_bytes() == (tmp_path / "disk.raw").read_bytes()


def test_quick_start_makes_a_disk_with_its_commands(tmp_path: Path) -> None:
    text = (DOCS / "quick-start.md").read_text()
    found = re.findall(r"^    ((?:truncate|mkfs).+)$", text, re.MULTILINE)
    assert len(found) == 2
    subprocess.run(["bash", "-ec", "\n".join(found)], cwd=tmp_path, check=True)
    assert (tmp_path / "disk.raw").stat().st_size == 64 << 20


class Walk:
    """Runs commands of a page, and writes what they print with the ids and the time of the page."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._folder = folder
        self._names = {shown: cloud.projects[name] for name, shown in PROJECTS.items()}
        self._cloud = cloud
        self.count = 0

    def run_all(self, shell: commands.Prepared, lines: list[str]) -> str:
        """Run the commands of a block, and write the block with what they print."""
        return "\n\n".join(f"$ openstack {line}\n{self._run(shell, line)}".strip() for line in lines) + "\n"

    def _run(self, shell: commands.Prepared, line: str) -> str:
        for shown, actual in self._names.items():
            line = line.replace(shown, actual)
        answer = shell.run(*shlex.split(line), folder=self._folder, merged=True)
        self.count += 1
        if IMAGE not in self._names and " image create " in f" {line} ":
            (image,) = self._cloud.sdk("project-a").image.images(name="golden")
            self._names[IMAGE] = image.id
        output = answer.output
        for shown, actual in self._names.items():
            output = output.replace(actual, shown)
        output = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", MOMENT, output)
        return output + (f"exit status {answer.status}\n" if answer.status else "")
