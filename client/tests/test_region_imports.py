"""Transfers between regions, where the destination reads the image by itself (glance-download)."""

import json
import random
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import faulty_endpoint
import partageclient
from faulty_endpoint import Fault, FaultyEndpoint
from partageclient import errors, missing_chunks, transfers
from partageclient.connections import Cloud
from partageclient.copied_metadata import MARKER
from partageclient.copying import Observer
from partageclient.images import Image
from places import Place, Run

DATA = bytes(range(256)) * 8000
REGION = "North"


@pytest.fixture
def north(partage: Place) -> Iterator[FaultyEndpoint]:
    """Give a second region of the cloud: the same images at another endpoint, which misbehaves on demand."""
    identity = partage.cloud("admin").connection.identity
    [service] = [each for each in identity.services() if each.type == "image"]
    with faulty_endpoint.run(partage.cloud("project-a").image_url) as endpoint:
        identity.create_region(id=REGION)
        made = identity.create_endpoint(service_id=service.id, interface="public", url=endpoint.url, region_id=REGION)
        try:
            yield endpoint
        finally:
            identity.delete_endpoint(made)
            identity.delete_region(REGION)


@pytest.fixture
def source(partage: Place, north: FaultyEndpoint) -> Cloud:
    """Give the project project-a in the other region."""
    cloud = Cloud(partage.connect("project-a", region_name=REGION), "project-a")
    assert cloud.image_url == north.url
    return cloud


@pytest.fixture
def here(partage: Place, north: FaultyEndpoint) -> Cloud:
    """Give project-a in its own region, signed in when the catalog had the other one."""
    assert north.port
    return Cloud(partage.connect("project-a"), "project-a")


def create_image(partage: Place, name: str, data: bytes) -> Image:
    """Create an image of project-a; return its document when it has data."""
    image_id = partage.create_image(name, data=data)["id"]
    shown: Image = partage.cloud("project-a").request("GET", f"/v2/images/{image_id}", asked="Show").document
    return shown


def create_backup(partage: Place, source: Cloud) -> Image:
    image = partage.create_image("backup", data=DATA)
    change = [{"op": "add", "path": "/tier", "value": "gold"}]
    headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    source.request("PATCH", f"/v2/images/{image['id']}", body=change, headers=headers, asked="Add a property")
    shown: Image = source.request("GET", f"/v2/images/{image['id']}", asked="Show").document
    return shown


def list_copies(cloud: Cloud, source: Image) -> list[Image]:
    listed: list[Image] = cloud.request("GET", "/v2/images", asked="List").document["images"]
    return [each for each in listed if each["id"] != source["id"]]


def press_ctrl_c(_seconds: float) -> None:
    raise KeyboardInterrupt


def test_destination_reads_the_image_by_itself(partage: Place, source: Cloud, here: Cloud) -> None:
    image = create_backup(partage, source)
    [planned] = transfers.plan_transfer(source, [image], here)
    assert (planned.method, planned.bytes) == ("import", 0)
    [result] = transfers.carry_out([planned], here)
    assert result.copied is not None, result.problem
    made = result.copied.image
    assert (result.copied.method, result.copied.verified, made["status"]) == ("import", "sha512", "active")
    assert (made["name"], made["tier"], made["size"], MARKER in made) == ("backup", "gold", len(DATA), False)
    [again] = transfers.carry_out(transfers.plan_transfer(source, [image], here), here)
    assert again.copied is not None
    assert (again.copied.method, again.copied.image["id"]) == ("present", made["id"])


def test_next_day_of_a_disk_moves_only_what_is_new(partage: Place, source: Cloud, north: FaultyEndpoint) -> None:
    """Two Partages: the project that receives the backups has none of the other images."""
    day_one = random.Random(1).randbytes(6_000_000)
    day_two = day_one[:2_048_000] + random.Random(2).randbytes(409_600) + day_one[2_457_600:]
    destination = Cloud(partage.connect("project-b"), "project-b")
    fetched, estimates = [], []
    for name, data in (("day-1", day_one), ("day-2", day_two)):
        image = create_image(partage, name, data)
        partageclient.share(partage.cloud("project-a"), [image["id"]], [destination.project_id])
        plans = transfers.plan_transfer(source, [image], destination)
        estimates.append(transfers.estimate_bytes(plans[0], destination))
        north.requests.clear()
        [result] = transfers.carry_out(plans, destination)
        assert result.copied is not None, result.problem
        assert (result.copied.method, result.copied.verified) == ("import", "sha512")
        paths = [path for _method, path, _range in north.requests]
        assert not [path for path in paths if path.endswith("/file")]
        ranges = re.findall(r"(\d+)-(\d+)", " ".join(path.partition("ranges=")[2] for path in paths))
        fetched.append(sum(int(last) + 1 - int(first) for first, last in ranges))
    assert fetched == estimates
    assert fetched[0] == len(day_one)
    assert 409_600 <= fetched[1] < 1_300_000


def test_dry_run_says_how_many_bytes_the_destination_would_fetch(
    partage: Place, north: FaultyEndpoint, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The project has the image here already, because both regions are the same service."""
    assert north.port
    create_image(partage, "backup", DATA)
    profiles = yaml.safe_load(partage.clouds_file.read_text())
    profiles["clouds"]["project-a"].pop("region_name", None)
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(profiles))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    words = ("image", "transfer", "project-a:backup", "project-a", "--source-region", REGION, "--destination-region", "RegionOne")
    status, out, err = run("", *words, "--dry-run", "-f", "json")
    assert status == 0, err
    [row] = json.loads(out)
    assert (row["Result"], row["Size"], row["Bytes"]) == ("import", len(DATA), 0)
    assert "Would copy 0 B through this machine (0 bytes)." in err
    assert "The destination would fetch about 0 B of 2.0 MiB by itself (0 bytes)." in err


def test_estimate_without_a_manifest_is_the_size_of_the_image(partage: Place, source: Cloud, north: FaultyEndpoint) -> None:
    destination = Cloud(partage.connect("project-b"), "project-b")
    image = create_image(partage, "backup", DATA)
    north.faults = [Fault("GET", "/manifest", status=403)]
    assert missing_chunks.estimate(source, image, destination) == len(DATA)
    north.is_plain = True
    assert missing_chunks.estimate(Cloud(source.connection, "again"), image, destination) == len(DATA)


def page_of(digests: range, following: str = "") -> dict[str, object]:
    chunks = [{"offset": 0, "length": 4096, "digest": f"{each:064x}"} for each in digests]
    return {"chunks": chunks, "next": following} if following else {"chunks": chunks}


@pytest.mark.parametrize("pages", [1, 3])
def test_manifest_that_repeats_its_pages_ends_in_an_error(
    pages: int, partage: Place, source: Cloud, here: Cloud, north: FaultyEndpoint
) -> None:
    image = create_image(partage, "backup", DATA)
    path = f"/partage/v1/images/{image['id']}/manifest?marker="
    north.faults = [
        Fault("GET", "/manifest", status=200, document=page_of(range(1), f"{path}{number % pages}")) for number in range(9)
    ]
    with pytest.raises(errors.Unexpected, match="repeats the same page of the manifest"):
        missing_chunks.estimate(source, image, here)
    assert len(north.faults) >= 9 - pages - 1


def test_manifest_without_an_end_is_read_for_a_while_only(
    partage: Place, source: Cloud, here: Cloud, north: FaultyEndpoint
) -> None:
    image = create_image(partage, "backup", DATA)
    path = f"/partage/v1/images/{image['id']}/manifest?marker="
    pages = [page_of(range(1), f"{path}{number}") for number in range(missing_chunks.MOST_PAGES + 9)]
    north.faults = [Fault("GET", "/manifest", status=200, document=each) for each in pages]
    assert missing_chunks.estimate(source, image, here) == len(DATA)
    assert len(north.faults) == 9


def test_image_that_the_destination_may_not_read_is_streamed(partage: Place, source: Cloud) -> None:
    image = create_backup(partage, source)
    [planned] = transfers.plan_transfer(source, [image], Cloud(partage.connect("project-b"), "project-b"))
    assert (planned.method, planned.bytes) == ("stream", len(DATA))


def test_import_that_fails_is_removed_and_streamed_instead(
    partage: Place, source: Cloud, here: Cloud, north: FaultyEndpoint
) -> None:
    image = create_backup(partage, source)
    plans = transfers.plan_transfer(source, [image], here)
    north.faults = [Fault("GET", each, status=403, document={"message": "not today"}) for each in ("/manifest", "/file")]
    said: list[str] = []
    [result] = transfers.carry_out(plans, here, observe=lambda _planned: Observer(say=said.append))
    assert result.copied is not None, result.problem
    assert result.copied.method == "stream"
    removed, reason = said
    assert "was removed" in removed
    assert reason.endswith("So the data goes through this machine.")
    assert [each["id"] for each in list_copies(here, image)] == [result.copied.image["id"]]


def test_import_goes_on_after_ctrl_c_and_the_next_run_waits_for_it(
    partage: Place, source: Cloud, here: Cloud, north: FaultyEndpoint
) -> None:
    image = create_backup(partage, source)
    plans, goes_on = transfers.plan_transfer(source, [image], here), threading.Event()

    def hold(method: str, path: str) -> None:
        if method == "GET" and "/manifest" in path:
            goes_on.wait(60)

    north.intervene, said = hold, list[str]()
    with pytest.raises(errors.Interrupted):
        transfers.carry_out(plans, here, observe=lambda _planned: Observer(say=said.append), sleep=press_ctrl_c)
    [left] = list_copies(here, image)
    assert said == [f"project-a goes on to import image {left['id']}. Run the same command again to wait."]
    [planned] = transfers.plan_transfer(source, [image], here)
    assert planned.method == "import"
    goes_on.set()
    [result] = transfers.carry_out([planned], here)
    assert result.copied is not None, result.problem
    assert (result.copied.method, result.copied.image["id"]) == ("import", left["id"])
    assert [MARKER in each for each in list_copies(here, image)] == [False]
