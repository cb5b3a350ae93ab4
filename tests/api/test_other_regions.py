"""Images copied from another region of the same cloud: two services, one real Keystone whose catalog knows both."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from partage.identity.catalog import Catalog
from partage.identity.keystone import connect
from partage.identity.sealing import TokenSeal
from partage.operations.other_regions import OtherRegions
from partage.outbound.rules import Rules, operators_rules
from tests import registering
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast
from tests.standalone import RunningKeystone

DATA = b"bytes of another region" * 1000
ABSENT = "c7edec8e-24b5-416a-9d42-b3e773bab62c"


@dataclass(frozen=True)
class Cloud:
    """The same people in two regions."""

    here: World
    there: World
    at_home: Cast
    abroad: Cast

    def tells(self, image: str) -> tuple[str, str]:
        """Do what waits, and give the status and the words of the image's last task."""
        self.here.works()
        task = self.at_home.owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][-1]
        return task["status"], task["message"]


@pytest.fixture
def cloud(keystone: RunningKeystone, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]) -> Iterator[Cloud]:
    there = another_world()
    regions = OtherRegions(
        catalog=Catalog(connect(keystone.credentials)),
        seal=TokenSeal(["a key of this cloud, drawn at random"]),
        rules=operators_rules(Rules(), cafile=""),
    )
    here = another_world(other_regions=regions)
    with registering.region(keystone, "There", {"public": f"{there.endpoint}/v2"}):
        made = Cloud(here, there, cast_of(here, everybody), cast_of(there, everybody))
        yield made
        made.at_home.leave()
        made.abroad.leave()


def from_there(image: str, region: str = "There") -> dict[str, str]:
    return {"_glance_region": region, "_glance_image_id": image}


def test_image_arrives_with_its_formats_and_properties(cloud: Cloud) -> None:
    source = cloud.abroad.owner.has_an_image(DATA, hw_cpu_cores="5", os_distro="rhel", speed="88mph", name="theirs")
    owner = cloud.at_home.owner
    image = owner.has_an_image(None, disk_format="iso", container_format="ovf", hw_cpu_cores="1")
    assert owner.imports(image, "glance-download", **from_there(source)).status_code == 202
    task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
    method = {"name": "glance-download", "glance_region": "There", "glance_image_id": source, "glance_service_interface": "public"}
    assert task["input"]["import_req"] == {"method": method}
    assert cloud.tells(image) == ("success", "Copied 0 MiB")
    shown = owner.shows(image).json()
    same = ("disk_format", "container_format", "os_hash_value", "checksum", "size", "hw_cpu_cores", "os_distro")
    remote = cloud.abroad.owner.shows(source).json()
    assert {name: shown[name] for name in same} == {name: remote[name] for name in same}
    assert (shown["status"], shown["name"], "speed" in shown) == ("active", None, False)
    assert owner.downloads(image).content == DATA


def test_glance_download_needs_access_in_the_other_region(cloud: Cloud) -> None:
    source = cloud.abroad.owner.has_an_image(DATA)
    stranger = cloud.at_home.outsider
    image = stranger.has_an_image(None)
    assert stranger.imports(image, "glance-download", **from_there(source)).status_code == 202
    cloud.here.works()
    task = stranger.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][-1]
    assert (task["status"], "has no such image that you may see" in task["message"]) == ("failure", True), task
    assert stranger.shows(image).json()["status"] == "queued"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (from_there(ABSENT), "has no such image that you may see"),
        (from_there(ABSENT, "Nowhere"), "no image service with the interface 'public' in the region 'Nowhere'"),
        (from_there(ABSENT) | {"_glance_service_interface": "not an interface"}, "with the interface 'not an interface'"),
    ],
)
def test_absent_remote_image_fails_the_task(fields: dict[str, str], words: str, cloud: Cloud) -> None:
    owner = cloud.at_home.owner
    image = owner.has_an_image(None, hw_cpu_cores="1", os_distro="windows")
    before = owner.shows(image).json()
    assert owner.imports(image, "glance-download", **fields).status_code == 202
    status, message = cloud.tells(image)
    assert (status, words in message) == ("failure", True), message
    after = owner.shows(image).json()
    for name in ("status", "hw_cpu_cores", "os_distro", "disk_format", "container_format", "size"):
        assert after[name] == before[name]
    assert owner.uploads(image).status_code == 204


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "glance_region"),
        ({"_glance_region": "There"}, "glance_image_id"),
        ({"_glance_region": ["There"], "_glance_image_id": ABSENT}, "glance_region"),
        ({"_glance_region": "There", "_glance_image_id": "foo"}, "image id does not look like a UUID"),
        ({"_glance_region": "There", "_glance_image_id": 5}, "glance_image_id"),
        ({"_glance_region": "There", "_glance_image_id": ABSENT, "_glance_service_interface": None}, "glance_service_interface"),
    ],
)
def test_invalid_request_is_refused_before_a_task_exists(fields: dict[str, object], words: str, cloud: Cloud) -> None:
    owner = cloud.at_home.owner
    image = owner.has_an_image(None)
    answer = owner.imports(image, "glance-download", **fields)
    assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}


def test_glance_download_is_an_unknown_method_when_disabled(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    owner = cast_of(another_world(options={"import_methods": ()}), everybody).owner
    image = owner.has_an_image(None)
    refused = owner.imports(image, "glance-download", **from_there(ABSENT))
    assert (refused.status_code, "Unknown import method name" in refused.text) == (400, True)


def test_token_is_in_no_answer_no_log_and_no_file(
    cloud: Cloud, everybody: dict[str, tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "keystoneauth", "keystoneauth.session", "urllib3", "sqlalchemy.engine", "partage"):
        caplog.set_level(logging.DEBUG, logger=name)
    token = everybody["owner"][1]
    owner, admin = cloud.at_home.owner, cloud.at_home.admin
    source = cloud.abroad.owner.has_an_image(DATA)
    answers = []
    for fields in (from_there(source), from_there(ABSENT), from_there(source, "Nowhere")):
        image = owner.has_an_image(None)
        answers.append(owner.imports(image, "glance-download", **fields))
        answers += [owner.call("GET", f"/v2/images/{image}/tasks"), admin.call("GET", "/v2/tasks"), owner.shows(image)]
        stored = b"".join(each.read_bytes() for each in cloud.here.folder.rglob("*") if each.is_file())
        assert token.encode() not in stored
        cloud.tells(image)
        answers += [owner.call("GET", f"/v2/images/{image}/tasks"), admin.call("GET", "/v2/tasks"), owner.shows(image)]
    answers += [admin.call("GET", f"/v2/tasks/{each['id']}") for each in admin.call("GET", "/v2/tasks").json()["tasks"]]
    assert not [answer for answer in answers if token in f"{answer.headers}{answer.text}"]
    records = [each for each in caplog.records if each.name != "urllib3.connectionpool"]  # the stories' own client
    logged = "\n".join(str(record.__dict__) + record.getMessage() for record in records)
    assert "sqlalchemy.engine" in logged
    assert "has no such image that you may see" in logged
    assert token not in logged
    stored = b"".join(each.read_bytes() for each in cloud.here.folder.rglob("*") if each.is_file())
    assert token.encode() not in stored
