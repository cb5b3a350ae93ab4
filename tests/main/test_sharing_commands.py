"""`partage manage` commands for promises to members: what they print, refuse and leave behind."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.terms import Notice, Terms
from partage.operations import images, members
from partage.operations.service import Service
from tests.operations.services import OWNER, download, image_with, make
from tests.standalone import PARTAGE, RunningKeystone

MEMBER = replace(OWNER, project_id=ProjectID("B"))
DATA = b"data" * 1000


def run(*arguments: str, settings: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run([PARTAGE, "manage", *arguments], env=environment, text=True, capture_output=True, check=False)


def expect_refusal(*arguments: str, settings: Mapping[str, str] = {}, status: int = 1) -> str:
    done = run(*arguments, settings=settings)
    assert (done.returncode, done.stdout) == (status, "")
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path, default_terms=Terms(notice=Notice.parse("P30D")))


@pytest.fixture
def project(keystone: RunningKeystone) -> str:
    """Make a project that was deleted in Keystone; return its id."""
    made: str = keystone.call("POST", "/projects", {"project": {"name": "unpaid"}})["project"]["id"]
    keystone.call("DELETE", f"/projects/{made}")
    return made


@pytest.fixture
def settings(keystone: RunningKeystone, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PARTAGE_DATA": str(tmp_path),
        "PARTAGE_IDENTITY__URL": keystone.url,
        "PARTAGE_IDENTITY__PASSWORD": keystone.kept.passwords["partage"],
    }


def own(project: str) -> Caller:
    return replace(OWNER, project_id=ProjectID(project))


def share(service: Service, project: str, *, notice: str = "P30D") -> str:
    owner = own(project)
    image = image_with(service, DATA, owner)
    service = replace(service, sharing=replace(service.sharing, default_terms=Terms(notice=Notice.parse(notice))))
    members.add_member(service, owner, image.id, ProjectID("B"))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), "accepted")
    return image.id


def test_deleted_project_is_closed_with_its_promises_kept(service: Service, project: str, settings: Mapping[str, str]) -> None:
    month, forever = share(service, project), share(service, project, notice="forever")
    image_with(service, DATA, own(project))
    expected = run("close-project", project, "--dry-run", settings=settings)
    assert (expected.returncode, expected.stderr) == (0, "")
    assert "Would have deleted 1 image (4000 bytes), retained 2 images for members (8000 bytes)\n" in expected.stdout
    assert f"Would retain image {forever}, 4000 bytes, for project B forever\n" in expected.stdout
    assert images.show_image(service, own(project), month)  # type: ignore[arg-type]

    done = run("close-project", project, settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    until = datetime.now(UTC) + timedelta(days=30)
    assert f"Retained image {month}, 4000 bytes, for project B until {until:%Y-%m-%d}" in done.stdout
    assert "Deleted 1 image (4000 bytes), retained 2 images for members (8000 bytes)\n" in done.stdout
    assert "Left 0 shares of other projects' images, removed 0 private namespaces" in done.stdout
    assert download(service, month, MEMBER) == DATA  # type: ignore[arg-type]

    again = run("close-project", project, settings=settings)
    assert "Deleted 0 images (0 bytes), retained 0 images for members (0 bytes)\n" in again.stdout
    with service.database.read() as tx:
        [(source, waits)] = tx.exec_driver_sql("SELECT source, due_at - requested_at FROM project_closings").all()
    assert (source, waits // 1_000_000) == ("operator", 70)  # identity.cache_seconds and a minute


def test_project_in_use_is_closed_by_force_only(service: Service, keystone: RunningKeystone, settings: Mapping[str, str]) -> None:
    project = keystone.project_id("project-b")
    image = image_with(service, DATA, own(project))
    words = expect_refusal("close-project", project, settings=settings)
    assert f"Project {project} exists in Keystone and is enabled; disable or delete it there first, or use --force" in words
    assert images.show_image(service, own(project), image.id)
    assert "Deleted 1 image" in run("close-project", project, "--force", settings=settings).stdout
    with service.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM project_closings").scalar_one() == 0


def test_nothing_is_closed_while_keystone_is_away(service: Service, project: str, settings: Mapping[str, str]) -> None:
    image = image_with(service, DATA, own(project))
    away = {**settings, "PARTAGE_IDENTITY__URL": "http://127.0.0.1:1"}
    assert "The identity service does not respond" in expect_refusal("close-project", project, settings=away)
    assert images.show_image(service, own(project), image.id)
    assert "Would have deleted 1 image" in run("close-project", project, "--dry-run", settings=away).stdout


@pytest.mark.usefixtures("service")
def test_missing_account_is_named_when_a_project_is_closed(project: str, settings: Mapping[str, str]) -> None:
    nobody = {**settings, "PARTAGE_IDENTITY__PASSWORD": ""}
    words = expect_refusal("close-project", project, settings=nobody, status=2)
    assert "Keystone has to be asked whether the project exists, and identity.password is not set" in words


def test_retained_images_are_listed_for_whom_and_until_when(service: Service, tmp_path: Path) -> None:
    month, forever = share(service, "A"), share(service, "A", notice="forever")
    for each in (month, forever):
        images.delete_image(service, OWNER, each)  # type: ignore[arg-type]
    at = ("--data", str(tmp_path))
    listed = run("retained", *at)
    assert (listed.returncode, listed.stderr) == (0, "")
    *lines, totals = listed.stdout.splitlines()
    assert totals == "2 images (8000 bytes) are retained for 1 project"
    until = datetime.now(UTC) + timedelta(days=30)
    assert lines[0].startswith(f"Image {month}, 4000 bytes, of project A, for project B until {until:%Y-%m-%d}T")
    assert lines[1] == f"Image {forever}, 4000 bytes, of project A, for project B forever"

    document = json.loads(run("retained", "--json", *at).stdout)
    assert document["totals"] == {"images": 2, "bytes": 8000, "projects": 1}
    assert [each["image_id"] for each in document["images"]] == [month, forever]
    [kept] = document["images"][1]["retained_for"]
    assert (kept["project_id"], kept["reason"], kept["ends_at"]) == ("B", "deleted", None)


def test_empty_list_of_retained_images_is_json(service: Service, tmp_path: Path) -> None:
    share(service, "A")
    assert json.loads(run("retained", "--json", "--data", str(tmp_path)).stdout) == {
        "images": [],
        "totals": {"images": 0, "bytes": 0, "projects": 0},
    }


def test_take_down_says_whom_it_hits_and_needs_a_confirmation(service: Service, tmp_path: Path) -> None:
    image_id = share(service, "A", notice="forever")
    members.add_member(service, OWNER, image_id, ProjectID("C"))  # type: ignore[arg-type]
    at = ("--data", str(tmp_path))
    asked = run("take-down", image_id, *at)
    assert (asked.returncode, asked.stderr) == (1, "Nothing was changed; add --yes to delete the image for all of them\n")
    expected = [
        f"Image {image_id} of project A: active, shared, 4000 bytes",
        "  project B: accepted, with a notice of forever",
        "  project C: pending, with a notice of P30D",
    ]
    assert asked.stdout.splitlines() == expected
    assert download(service, image_id, MEMBER) == DATA  # type: ignore[arg-type]

    done = run("take-down", image_id, "--yes", *at)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:-1] == expected
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, MEMBER, image_id)  # type: ignore[arg-type]
    assert f"No image found with ID {image_id}" in expect_refusal("take-down", image_id, "--yes", *at)


def test_retained_image_is_taken_down_and_returns_to_its_owner_only(tmp_path: Path) -> None:
    service = make(tmp_path, default_terms=Terms(notice=Notice.parse("P30D")), delayed_delete=True)
    image_id = share(service, "A")
    images.delete_image(service, OWNER, image_id)  # type: ignore[arg-type]
    at = ("--data", str(tmp_path))
    done = run("take-down", image_id, "--yes", *at, settings={"PARTAGE_DELAYED_DELETE": "true"})
    assert "  its owner has deleted it already\n" in done.stdout
    assert ": the notice runs\n" in done.stdout
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, MEMBER, image_id)  # type: ignore[arg-type]
    assert f"Restored image {image_id} of project A; its status is active" in run("restore", image_id, *at).stdout
    assert images.show_image(service, OWNER, image_id).visibility == "shared"  # type: ignore[arg-type]
