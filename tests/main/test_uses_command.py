"""`partage manage uses`: what it prints and returns, as a process, with the real Keystone."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from partage.model.ids import ImageID
from tests import nova_and_cinder, registering
from tests.nova_and_cinder import Double
from tests.operations.services import make, queued_image
from tests.standalone import PARTAGE, RunningKeystone


@pytest.fixture
def cloud(keystone: RunningKeystone) -> Iterator[Double]:
    with nova_and_cinder.run() as double, registering.cloud(keystone, {"RegionOne": double.urls}):
        yield double


@pytest.fixture
def image(tmp_path: Path) -> ImageID:
    return queued_image(make(tmp_path)).id


@pytest.fixture
def settings(keystone: RunningKeystone, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PARTAGE_DATA": str(tmp_path),
        "PARTAGE_IDENTITY__URL": keystone.url,
        "PARTAGE_IDENTITY__PASSWORD": keystone.kept.passwords["partage"],
    }


def run(settings: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    environment = {**os.environ, **settings}
    command = [PARTAGE, "manage", "uses", *arguments]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_uses_are_reconciled_and_counted(cloud: Double, image: ImageID, settings: Mapping[str, str]) -> None:
    servers = [cloud.add_server(image), cloud.add_server(image, "C")]
    cloud.add_volume(image)
    listed = "Listed 2 servers and 1 volume in 1 region\n"
    status, said, errors = run(settings, "--reconcile", "--dry-run")
    assert (status, errors) == (0, "")
    assert said == f"{listed}Would record 3 missing uses, would remove 0 uses of servers and volumes that ended\n"
    assert run(settings) == (0, "0 uses of 0 images are recorded\n", "")
    assert run(settings, "--reconcile")[1].startswith(f"{listed}Recorded 3 missing uses, removed 0 uses")
    expected = f"Image {image}: 2 servers of 2 projects\nImage {image}: 1 volume of 1 project\n3 uses of 1 image are recorded\n"
    assert run(settings) == (0, expected, "")
    cloud.remove(servers[0])
    assert "removed 1 use of servers" in run(settings, "--reconcile")[1]


@pytest.mark.usefixtures("image")
def test_missing_account_is_named(settings: Mapping[str, str]) -> None:
    status, said, errors = run({**settings, "PARTAGE_IDENTITY__PASSWORD": ""}, "--reconcile")
    assert (status, said) == (2, "")
    assert "Keystone has to be asked for its catalog, and identity.password is not set" in errors


def test_incomplete_list_is_status_1(cloud: Double, settings: Mapping[str, str], image: ImageID) -> None:
    cloud.add_server(image)
    cloud.permits = False
    status, said, errors = run(settings, "--reconcile")
    assert (status, said.splitlines()[0]) == (1, "Listed 0 servers and 0 volumes in 1 region")
    assert errors.count("role admin") == 2
    assert errors.endswith("No use was removed, because a list is incomplete; run the command again\n")


@pytest.mark.usefixtures("image")
def test_invalid_calls_are_refused_in_one_sentence(settings: Mapping[str, str]) -> None:
    assert run(settings, "--dry-run") == (2, "", "partage: --dry-run belongs to --reconcile; name both, or neither\n")
    away = {**settings, "PARTAGE_IDENTITY__PASSWORD": "wrong"}
    status, said, errors = run(away, "--reconcile")
    assert (status, said, errors.count("\n")) == (1, "", 1)
    assert "does not return its catalog" in errors


@pytest.mark.usefixtures("image")
def test_catalog_without_nova_and_cinder_changes_nothing(settings: Mapping[str, str]) -> None:
    status, said, errors = run(settings, "--reconcile")
    assert (status, errors) == (0, "")
    assert "The catalog has no service of servers; recorded uses of servers stay as they are\n" in said
