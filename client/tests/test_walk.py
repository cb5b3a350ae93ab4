"""The walk of docs/client.md is what the commands really print, on Partage and on plain Glance.

PARTAGE_GOLDEN=write writes the page anew.
"""

import os
import re
from pathlib import Path

import pytest
from openstackclient import shell

import openstack_log
import partageclient
from places import Place

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
STEPS = (
    "--os-cloud project-a image share create golden --project project-b",
    "--os-cloud project-b image share accept --all",
    "--os-cloud project-a image share list --out",
    "--os-cloud project-a image share set golden --project project-b --notice 30d -c status -c notice",
    "--os-cloud project-a image share delete golden --project project-b",
    "--os-cloud project-b image share list",
)
TIME = "2027-01-05T10:00:00Z"
IMAGE, PROJECTS = "71c675ab-1a2b-4c3d-8e9f-0123456789ab", {"project-a": "5ef70662" * 4, "project-b": "4a1c9d2f" * 4}


def normalize(text: str, names: dict[str, str]) -> str:
    """Put the ids and times of the page in the place of those of this run, also where a table shortens them."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", TIME, text)
    for found, shown in names.items():
        text = text.replace(found, shown)
        for length in range(31, 7, -1):
            text = text.replace(f"{found[:length]}…", f"{shown[:length]}…")
    return text


def test_page_shows_what_the_commands_print(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    image = place.create_image("golden")
    names = {image["id"]: IMAGE} | {place.cloud(name).project_id: shown for name, shown in PROJECTS.items()}
    said = []
    for step in STEPS:
        capsys.readouterr()
        openstack_log.forget_handlers()
        status = shell.main(step.split())
        out, err = capsys.readouterr()
        exit_status = f"exit status {status}\n" if status else ""
        said.append(f"$ openstack {step}\n{normalize(err, names)}{normalize(out, names)}{exit_status}")
    if not place.is_glance:
        partageclient.leave(place.cloud("project-b"), [image["id"]])  # its notice runs
    heading = "Plain Glance" if place.is_glance else "Partage"
    pattern = re.compile(rf"(### {heading}\n\n```\n)(.*?)(```\n)", re.DOTALL)
    page, printed = PAGE.read_text(), "\n".join(said)
    if os.environ.get("PARTAGE_GOLDEN") == "write":
        page = pattern.sub(lambda match: match[1] + printed + match[3], page)
        PAGE.write_text(page)
    found = pattern.search(page)
    assert found is not None
    assert found[2] == printed
