"""Adoption and transfer on Partage and on a real Glance, with everything that goes wrong on the way."""

import hashlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

import partageclient
from faulty_endpoint import Fault, FaultyEndpoint, run
from partageclient import adoption, copying, errors, transfers
from partageclient.connections import Cloud
from partageclient.copied_metadata import MARKER
from partageclient.copying import Observer
from partageclient.image_data import Patience
from partageclient.images import Image
from places import Place

DATA = random.Random(1).randbytes(5_000_000)
HASTE = Patience(attempts=4, first_delay_seconds=0.01, longest_delay_seconds=0.05)
UPLOADS = {True: ("PUT", "/file"), False: ("PATCH", "/upload")}
"""How the data is sent to Glance, and to Partage."""

PROPERTIES = {"os_distro": "debian", "hw_disk_bus": "virtio", "a/b~c": "slash and tilde"}


class Said:
    """An observer that keeps what it is told, and can press Ctrl-C."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.sentences: list[str] = []
        self.positions: list[int] = []
        self._interrupt_at = interrupt_at

    @property
    def observer(self) -> Observer:
        return Observer(self._progress, self.sentences.append)

    def _progress(self, done: int, _total: int) -> None:
        self.positions.append(done)
        if self._interrupt_at is not None and done >= self._interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def backup(place: Place) -> Image:
    """Give an image with properties and tags."""
    return make_backup(place, "backup-1")


def make_backup(place: Place, name: str, data: bytes = DATA, **more: Any) -> Image:
    body = {"name": name, "visibility": "private", "disk_format": "raw", "container_format": "bare", "min_disk": 3, "min_ram": 64,
            "tags": ["web", "weekly"], **PROPERTIES, **more}  # fmt: skip
    a = place.cloud("project-a")
    image: Image = a.request("POST", "/v2/images", asked="Create", body=body).document
    if data:
        url = f"{a.image_url}/v2/images/{image['id']}/file"
        a.connection.session.put(url, data=data, headers={"Content-Type": "application/octet-stream"})
    return show(a, image["id"])


def show(cloud: Cloud, image_id: str) -> Image:
    shown: Image = cloud.request("GET", f"/v2/images/{image_id}", asked="Show").document
    return shown


def images_of(cloud: Cloud) -> list[Image]:
    listed: list[Image] = cloud.request("GET", "/v2/images", asked="List", query={"owner": cloud.project_id}).document["images"]
    return listed


def read(cloud: Cloud, image_id: str) -> bytes:
    content: bytes = cloud.connection.session.get(f"{cloud.image_url}/v2/images/{image_id}/file").content
    return content


@pytest.fixture
def endpoint(place: Place) -> Iterator[FaultyEndpoint]:
    """Give an endpoint that misbehaves on demand."""
    with run(place.cloud("project-a").image_url) as running:
        yield running


def through(endpoint: FaultyEndpoint, place: Place, profile: str) -> Cloud:
    """Connect through the endpoint."""
    return Cloud(place.connect(profile, image_endpoint_override=endpoint.url), profile)


def transfer(source: Cloud, image: Image, destination: Cloud, said: Said | None = None) -> transfers.Transferred:
    """Transfer one image without waiting long."""
    plans = transfers.plan_transfer(source, [image], destination)
    observer = (said or Said()).observer
    [result] = transfers.carry_out(plans, destination, observe=lambda _planned: observer, patience=HASTE)
    return result


def test_transfer_keeps_data_properties_tags_and_formats(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [result] = partageclient.transfer(a, partageclient.choose_images(a, "backup-1"), b)
    assert result.copied is not None
    made = result.copied.image
    assert (result.copied.method, result.copied.verified, result.copied.left_out) == ("stream", "sha512", {})
    kept = ("name", "disk_format", "container_format", "min_disk", "min_ram", "size", "os_hash_value", *PROPERTIES)
    assert {each: made[each] for each in kept} == {each: backup[each] for each in kept}
    assert sorted(made["tags"]) == ["web", "weekly"]
    assert (made["owner"], made["visibility"], MARKER in made) == (b.project_id, "private", False)
    assert read(b, made["id"]) == DATA


def test_transfer_that_is_repeated_copies_nothing_again(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    first, second = transfer(a, backup, b), transfer(a, backup, b)
    assert (first.copied and first.copied.method, second.copied and second.copied.method) == ("stream", "present")
    assert len(images_of(b)) == 1


def test_pattern_and_property_choose_images_of_the_project(place: Place) -> None:
    for name in ("backup-1", "backup-2", "golden"):
        make_backup(place, name, b"disk", tier="gold" if name == "backup-2" else "silver")
    a = place.cloud("project-a")
    assert sorted(each["name"] for each in transfers.choose_images(a, "backup-*")) == ["backup-1", "backup-2"]
    assert [each["name"] for each in transfers.choose_images(a, "backup-*", {"tier": "gold"})] == ["backup-2"]
    with pytest.raises(errors.NotFound, match=r"nothing-\* of project-a: there are none"):
        transfers.choose_images(a, "nothing-*")
    with pytest.raises(errors.Invalid, match="no image was named"):
        transfers.choose_images(a, "")


def test_download_that_breaks_off_is_resumed_from_the_last_byte(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    endpoint.faults = [Fault("GET", "/file", cut_after=3_000_000)]
    result = transfer(through(endpoint, place, "project-a"), backup, place.cloud("project-b"))
    assert result.copied is not None, result.problem
    [position] = result.copied.resumed_from
    assert 1_900_000 < position <= 3_000_000
    assert [each[2] for each in endpoint.requests if each[1].endswith("/file")] == [None, f"bytes={position}-"]
    assert result.copied.verified == "sha512"


def test_download_is_repeated_where_ranges_are_not_served(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    endpoint.has_ranges = False
    endpoint.faults = [Fault("GET", "/file", cut_after=3_000_000)]
    result = transfer(through(endpoint, place, "project-a"), backup, place.cloud("project-b"))
    assert result.copied is not None, result.problem
    assert result.copied.resumed_from == ()
    assert read(place.cloud("project-b"), result.copied.image["id"]) == DATA


@pytest.mark.parametrize("fault", [Fault("GET", "/file", times=3), Fault("GET", "/file", times=3, status=503)])
def test_endpoint_that_is_away_for_a_while_is_waited_for(
    place: Place, backup: Image, endpoint: FaultyEndpoint, fault: Fault
) -> None:
    endpoint.faults = [fault]
    result = transfer(through(endpoint, place, "project-a"), backup, place.cloud("project-b"))
    assert result.copied is not None, result.problem


def test_endpoint_that_stays_away_fails_with_the_position_and_leaves_nothing(
    place: Place, backup: Image, endpoint: FaultyEndpoint
) -> None:
    endpoint.faults = [Fault("GET", "/file", cut_after=2_500_000), Fault("GET", "/file", times=99)]
    said = Said()
    result = transfer(through(endpoint, place, "project-a"), backup, place.cloud("project-b"), said)
    assert isinstance(result.problem, errors.Unreachable)
    assert f"of {len(DATA)} on" in str(result.problem)
    assert "gave up after 4 attempts" in str(result.problem)
    if place.is_glance:
        assert [each for each in said.sentences if "was removed" in each]
        assert images_of(place.cloud("project-b")) == []
    else:
        assert "Run the same command again within" in said.sentences[-1]
        assert [each["status"] for each in images_of(place.cloud("project-b"))] == ["queued"]


def test_damaged_download_is_refused_and_the_copy_removed(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    endpoint.faults = [Fault("GET", "/file", flip_at=4_000_000)]
    said = Said()
    result = transfer(through(endpoint, place, "project-a"), backup, place.cloud("project-b"), said)
    assert isinstance(result.problem, errors.Damaged)
    assert hashlib.sha512(DATA).hexdigest() in str(result.problem)
    assert images_of(place.cloud("project-b")) == []
    assert "was removed" in said.sentences[-1]


def test_upload_to_glance_that_breaks_off_is_sent_again(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    endpoint.is_plain = True
    endpoint.faults = [Fault("PUT", "/file", cut_after=2_000_000)]
    b, said = through(endpoint, place, "project-b"), Said()
    result = transfer(place.cloud("project-a"), backup, b, said)
    broken = "The upload in project-b broke off. This image service cannot go on with an upload, so it begins anew."
    assert said.sentences == [broken]
    assert result.copied is not None, result.problem
    assert [each[0] for each in endpoint.requests if each[1].endswith("/file")] == ["PUT", "PUT"]
    assert read(place.cloud("project-b"), result.copied.image["id"]) == DATA
    assert len(images_of(b)) == 1


def test_token_that_expires_while_data_flows_is_renewed(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    """The download breaks off when the token is no longer good: the rest is fetched with a new one."""
    a, b = through(endpoint, place, "project-a"), through(endpoint, place, "project-b")
    endpoint.faults = [Fault("GET", "/file", cut_after=3_000_000)]
    plans = transfers.plan_transfer(a, [backup], b)

    def revoke(done: int, _total: int) -> None:
        if done and not endpoint.refused_tokens:
            endpoint.refused_tokens = {str(each.connection.session.get_token()) for each in (a, b)}

    [result] = transfers.carry_out(plans, b, observe=lambda _planned: Observer(revoke), patience=HASTE)
    assert len(endpoint.refused_tokens) == 2
    assert result.copied is not None, result.problem
    assert len(result.copied.resumed_from) == 1
    assert read(place.cloud("project-b"), result.copied.image["id"]) == DATA


def test_upload_that_is_refused_for_its_token_is_sent_again(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    b = through(endpoint, place, "project-b")
    endpoint.faults = [Fault(*UPLOADS[place.is_glance], status=401)]
    result = transfer(place.cloud("project-a"), backup, b)
    assert result.copied is not None, result.problem
    assert read(place.cloud("project-b"), result.copied.image["id"]) == DATA


def test_quota_of_the_destination_is_said_and_nothing_stays(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    b = through(endpoint, place, "project-b")
    refusal = {"message": "Request exceeds image_size_total quota"}
    endpoint.faults = [Fault(*UPLOADS[place.is_glance], status=413, document=refusal, headers={"Upload-Complete": "?1"})]
    result = transfer(place.cloud("project-a"), backup, b)
    assert isinstance(result.problem, errors.Overloaded)
    assert "image_size_total" in str(result.problem)
    assert images_of(b) == []


def test_quota_that_has_no_room_is_known_before_any_byte_is_copied(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    b = through(endpoint, place, "project-b")
    usage = {"usage": {"image_size_total": {"limit": 10, "usage": 8}, "image_count_total": {"limit": -1, "usage": 3}}}
    endpoint.faults = [Fault("GET", "/v2/info/usage", status=200, document=usage)]
    with pytest.raises(errors.Overloaded, match="no room for 5 MiB more: 8 of 10 are used"):
        transfer(place.cloud("project-a"), backup, b)
    assert [each for each in endpoint.requests if each[0] != "GET"] == []


def test_interruption_on_glance_removes_the_half_made_image_and_says_so(
    place: Place, backup: Image, endpoint: FaultyEndpoint
) -> None:
    endpoint.is_plain = True
    b, said = through(endpoint, place, "project-b"), Said(interrupt_at=2_000_000)
    with pytest.raises(errors.Interrupted) as caught:
        transfer(place.cloud("project-a"), backup, b, said)
    assert (caught.value.results, caught.value.left) == ([], 1)
    assert "was removed" in said.sentences[-1]
    assert images_of(b) == []


def test_what_a_killed_run_has_left_is_removed_by_the_next(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [planned] = transfers.plan_transfer(a, [backup], b)
    left, _refused = copying.create(b, planned.metadata)
    said = Said()
    result = transfer(a, backup, b, said)
    assert result.copied is not None, result.problem
    assert any(left["id"] in each and "was removed" in each for each in said.sentences)
    assert [each["id"] for each in images_of(b)] == [result.copied.image["id"]]


def test_whole_image_whose_run_was_killed_before_the_end_is_finished(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [planned] = transfers.plan_transfer(a, [backup], b)
    left, _refused = copying.create(b, planned.metadata)
    b.connection.session.put(
        f"{b.image_url}/v2/images/{left['id']}/file", data=DATA, headers={"Content-Type": "application/octet-stream"}
    )
    result = transfer(a, backup, b)
    assert result.copied is not None, result.problem
    assert (result.copied.method, result.copied.image["id"]) == ("present", left["id"])
    assert MARKER not in show(b, left["id"])


def test_image_that_another_run_is_writing_is_left_alone(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [planned] = transfers.plan_transfer(a, [backup], b)
    left, _refused = copying.create(b, planned.metadata)
    target = urlsplit(b.image_url)
    with socket.create_connection((str(target.hostname), int(target.port or 80)), timeout=30) as other_run:
        token = b.connection.session.get_token()
        head = f"PUT /v2/images/{left['id']}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Length: 100\r\n"
        other_run.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\nabc".encode())
        wait_until_saving(b, left["id"])
        [planned] = transfers.plan_transfer(a, [backup], b)
    assert isinstance(planned.problem, errors.Conflict)
    assert "another run is writing" in str(planned.problem)


def wait_until_saving(cloud: Cloud, image_id: str) -> None:
    pause = threading.Event()
    for _ in range(300):
        if show(cloud, image_id)["status"] == "saving":
            return
        pause.wait(0.05)
    raise AssertionError("the upload did not begin")


def test_adopted_image_is_an_own_one_with_the_same_data(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, [backup["id"]], [b.project_id])
    plan = partageclient.plan_adoption(b, backup["id"], name="mine")
    assert (plan.method, plan.bytes) == (("stream", len(DATA)) if place.is_glance else ("adopt", 0))
    adopted = partageclient.adopt(b, backup["id"], name="mine")
    made = adopted.image
    assert (made["name"], made["owner"], made["visibility"]) == ("mine", b.project_id, "private")
    assert {each: made[each] for each in PROPERTIES} == PROPERTIES
    assert sorted(made["tags"]) == ["web", "weekly"]
    a.request("DELETE", f"/v2/images/{backup['id']}", asked="Delete")
    assert read(b, made["id"]) == DATA


def test_adoption_on_plain_glance_streams_in_the_same_way(place: Place, backup: Image, endpoint: FaultyEndpoint) -> None:
    """What plain Glance can carry: Partage without its sharing API."""
    endpoint.is_plain = True
    b = through(endpoint, place, "project-b")
    partageclient.share(place.cloud("project-a"), [backup["id"]], [b.project_id])
    adopted = partageclient.adopt(b, backup["id"])
    assert (adopted.method, adopted.verified, adopted.image["owner"]) == ("stream", "sha512", b.project_id)


def test_image_that_only_the_reader_sees_is_streamed_to_the_project(place: Place, backup: Image) -> None:
    a, b = place.cloud("project-a"), place.cloud("project-b")
    with pytest.raises(errors.NotFound):
        partageclient.plan_adoption(b, backup["id"])
    adopted = adoption.adopt(b, backup["id"], reader=a)
    assert (adopted.method, adopted.image["owner"]) == ("stream", b.project_id)


def test_private_certificate_authority_is_trusted_when_it_is_named(place: Place, backup: Image, tmp_path: Path) -> None:
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    with run(place.cloud("project-a").image_url, tls) as endpoint:
        a = Cloud(place.connect("project-a", image_endpoint_override=endpoint.url, cacert=str(file)), "project-a")
        endpoint.faults = [Fault("GET", "/file", cut_after=3_000_000)]
        result = transfer(a, backup, place.cloud("project-b"))
        stranger = Cloud(place.connect("project-a", image_endpoint_override=endpoint.url), "project-a")
        with pytest.raises(errors.Unreachable, match=r"name its file: --os-cacert, or cacert in clouds\.yaml"):
            transfers.choose_images(stranger, "backup-1")
    assert result.copied is not None, result.problem
    assert len(result.copied.resumed_from) == 1


def test_image_without_data_is_refused_before_anything_is_made(place: Place) -> None:
    queued = make_backup(place, "queued", b"")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [planned] = transfers.plan_transfer(a, [queued], b)
    assert (planned.method, planned.bytes) == ("refused", 0)
    assert "the image is queued" in str(planned.problem)
    result = transfer(a, queued, b)
    assert result.problem is planned.problem or isinstance(result.problem, errors.Conflict)
    assert images_of(b) == []
