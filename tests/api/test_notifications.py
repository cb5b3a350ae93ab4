"""What happened is told on the message bus in Glance's words: the same events in the same stories, with the same documents.

`tests/golden/notifications.json` holds what a running Glance 33.0.0 sends when it is asked the same.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from partage.notifications import connection
from partage.notifications.bus import Bus
from tests.api.conftest import World, cast_of
from tests.api.connection import Connection, head
from tests.api.listening import Listener, listening
from tests.api.personas import Cast, Persona

GLANCE = json.loads((Path(__file__).parents[1] / "golden/notifications.json").read_text())
ADDED = {"image.send": {"destination_ip"}}
"""Glance tells it only of downloads out of its cache. Here every download tells it."""

MORE = {"import that fails": ["INFO task.run"]}
"""Glance says that a task runs when it has run, and not at all when it failed. Here it is said when the task waits for a worker."""

Everybody = dict[str, tuple[str, str]]


@pytest.fixture
def bus_url() -> str:
    """Name oslo.messaging's in-memory bus."""
    return "fake://"


@pytest.fixture
def listener(bus_url: str) -> Iterator[Listener]:
    """Listen to it."""
    with listening(bus_url) as found:
        yield found


@pytest.fixture
def told(another_world: Callable[..., World], bus_url: str, everybody: Everybody) -> Iterator[Cast]:
    """Everybody, on a service that tells the bus what happened."""
    world = another_world(announcer=Bus(connection.Connection(bus_url, topics=["notifications"], publisher_id="image.here")))
    people = cast_of(world, everybody)
    people.people["world"] = world  # type: ignore[assignment]
    yield people
    people.people.pop("world")
    people.leave()
    world.service.integrations.announcer.close()


def life_of_an_image(cast: Cast) -> None:
    owner, member = cast.owner, cast.member
    image = owner.has_an_image(None, name="n", colour="blue", tags=["t"])
    owner.sets(image, "name", "m")
    owner.patches(image)
    owner.uploads(image)
    owner.downloads(image)
    owner.downloads(image, Range="bytes=5-9")
    owner.call("PUT", f"/v2/images/{image}/tags/t2")
    owner.call("DELETE", f"/v2/images/{image}/tags/t2")
    owner.shares_with(image, member.project_id)
    member.accepts(image)
    owner.removes_member(image, member.project_id)
    owner.does("deactivate", image)
    owner.does("deactivate", image)
    owner.does("reactivate", image)
    owner.deletes(image)


def upload_that_fails(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, disk_format="qcow2")
    assert cast.owner.uploads(image).status_code == 415
    cast.owner.deletes(image)


def staged_import(cast: Cast, disk_format: str = "raw") -> None:
    image = cast.owner.has_an_image(None, disk_format=disk_format)
    cast.owner.stages(image)
    cast.owner.imports(image)
    cast.world.works()  # type: ignore[operator]
    cast.owner.deletes(image)


def import_that_fails(cast: Cast) -> None:
    staged_import(cast, "qcow2")


def definitions(cast: Cast) -> None:
    def call(method: str, path: str, document: Any = None) -> None:
        answer = cast.admin.call(method, f"/v2/metadefs/namespaces{path}", json=document)
        assert answer.ok, answer.text

    text = {"type": "string", "title": "P"}
    first = f"Rec-{uuid4()}"
    call("POST", "", {
        "namespace": first,
        "objects": [{"name": "o0", "properties": {"p": text}, "required": ["p"]}],
        "properties": {"p0": {"type": "integer", "title": "P0", "minimum": 1}},
        "tags": [{"name": "t0"}],
        "resource_type_associations": [{"name": "OS::Glance::Image"}],
    })  # fmt: skip
    at = f"/{first}-2"
    call("PUT", f"/{first}", {"namespace": at[1:], "description": "d"})
    call("POST", f"{at}/objects", {"name": "o", "properties": {"p": text}, "required": ["p"]})
    call("PUT", f"{at}/objects/o", {"name": "o2"})
    call("DELETE", f"{at}/objects/o2")
    call("POST", f"{at}/properties", {"name": "q", **text})
    call("PUT", f"{at}/properties/q", {"name": "q2", **text})
    call("DELETE", f"{at}/properties/q2")
    call("POST", f"{at}/tags/t")
    call("PUT", f"{at}/tags/t", {"name": "t2"})
    call("DELETE", f"{at}/tags/t2")
    call("POST", f"{at}/tags", {"tags": [{"name": "t8"}, {"name": "t9"}]})
    call("POST", f"{at}/resource_types", {"name": "OS::Nova::Server", "prefix": "x_"})
    call("DELETE", f"{at}/resource_types/OS::Nova::Server")
    for kind in ("objects", "properties", "tags"):
        call("DELETE", f"{at}/{kind}")
    call("DELETE", at)


STORIES: dict[str, tuple[Callable[[Cast], None], str]] = {
    "image": (life_of_an_image, "image.delete"),
    "upload that fails": (upload_that_fails, "image.delete"),
    "import": (staged_import, "image.delete"),
    "import that fails": (import_that_fails, "image.delete"),
    "metadata definitions": (definitions, "metadef_namespace.delete"),
}


@pytest.mark.parametrize("story", STORIES)
def test_notifications_equal_those_of_glance(story: str, told: Cast, listener: Listener) -> None:
    act, last = STORIES[story]
    act(told)
    heard = listener.until(last)
    lines, expected = [each.line for each in heard], GLANCE["stories"][story] + MORE.get(story, [])
    if "import" in story:  # Glance's threads say some of it in an order of their own
        lines, expected = sorted(lines), sorted(expected)
    assert lines == expected
    for each in heard:
        if isinstance(each.payload, dict):
            assert set(each.payload) == set(GLANCE["keys"][each.event].split()) | ADDED.get(each.event, set()), each.event
        assert (each.publisher_id, each.context) == ("image.here", {})


def test_every_recorded_event_of_glance_is_covered() -> None:
    told = {line.partition(" ")[2] for story in GLANCE["stories"].values() for line in story}
    assert told == set(GLANCE["keys"])


def test_image_payload_has_the_current_values(told: Cast, listener: Listener) -> None:
    owner = told.owner
    image = owner.has_an_image(None, name="n", colour="blue", tags=["t"], visibility="private", min_disk=3)
    owner.deletes(image)
    created, deleted = (each.payload for each in listener.until("image.delete"))
    told_times = {name: created.pop(name) for name in ("created_at", "updated_at")}
    assert created == {
        "id": image, "name": "n", "status": "queued", "min_disk": 3, "min_ram": 0, "protected": False, "checksum": None,
        "owner": owner.project_id, "disk_format": "raw", "container_format": "bare", "size": None, "virtual_size": None,
        "is_public": False, "visibility": "private", "properties": {"colour": "blue"}, "tags": ["t"], "deleted": False,
        "deleted_at": None,
    }  # fmt: skip
    assert (deleted["status"], deleted["deleted"]) == ("deleted", True)
    assert told_times["created_at"] <= deleted["deleted_at"]
    assert deleted["deleted_at"].endswith("Z")


def test_download_notification_names_receiver_owner_and_bytes(told: Cast, listener: Listener) -> None:
    image = told.owner.has_an_image(b"x" * 10_000)
    told.owner.shares_with(image, told.member.project_id)
    told.member.downloads(image)
    told.member.downloads(image, Range="bytes=0-99")
    told.member.call("HEAD", f"/v2/images/{image}/file")
    told.owner.deletes(image)
    whole, part = (each for each in listener.until("image.delete") if each.event == "image.send")
    user = whole.payload.pop("receiver_user_id")
    assert whole.payload == {
        "bytes_sent": 10_000, "image_id": image, "owner_id": told.owner.project_id,
        "receiver_tenant_id": told.member.project_id, "destination_ip": "127.0.0.1",
    }  # fmt: skip
    assert len(user) == 32
    assert (part.priority, part.payload["bytes_sent"]) == ("info", 100)


def test_aborted_download_is_notified_as_error_with_bytes_sent(told: Cast, listener: Listener) -> None:
    size = 64 << 20
    image = told.owner.has_an_image(b"\0" * size)
    _gives_up(told.owner, image)
    (sent,) = (each for each in listener.until("image.send") if each.event == "image.send")
    assert sent.priority == "error"
    assert 0 < sent.payload["bytes_sent"] < size


def _gives_up(who: Persona, image: str) -> None:
    with Connection(who.endpoint) as line:
        line.send(head(who, "GET", f"/v2/images/{image}/file"))
        got = 0
        while got < 1 << 17:  # more than the head, which may come alone
            got += len(line.socket.recv(1 << 16))


def test_failed_upload_is_notified_with_the_answers_sentence(told: Cast, listener: Listener) -> None:
    image = told.owner.has_an_image(None)
    told.owner.uploads(image, b"x" * 10, **{"X-OpenStack-Image-Size": "11"})
    told.owner.deletes(image)
    (failed,) = (each.payload for each in listener.until("image.delete") if each.priority == "error")
    assert failed.startswith(f"Failed to upload image data for image {image}: Announced size 11 bytes")


def test_refused_requests_send_no_notification(told: Cast, listener: Listener) -> None:
    image = told.owner.has_an_image(protected=True)
    told.owner.deletes(image)
    told.outsider.deletes(image)
    told.owner_reader.sets(image, "name", "x")
    told.owner.shares_with(image, "")
    told.owner.call("DELETE", f"/v2/images/{image}/tags/none")
    told.owner.sets(image, "protected", False)
    told.owner.deletes(image)
    assert [each.event for each in listener.until("image.delete")][-3:] == ["image.update", "image.update", "image.delete"]


def test_task_notification_omits_input_result_and_message(told: Cast, listener: Listener) -> None:
    image = told.owner.has_an_image(None)
    address = "http://127.0.0.1/secret-path?signature=abc"
    told.owner.imports(image, "web-download", _uri=address)
    told.owner.imports(image, "web-download", _uri="http://example.invalid/secret-path?signature=abc")
    told.world.works()  # type: ignore[operator]
    heard = listener.until("task.failure")
    assert "secret-path" not in str(heard)
    (failure,) = (each.payload for each in heard if each.event == "task.failure")
    assert (failure["status"], failure["result"], failure["message"]) == ("failure", None, None)
