"""Every call at an image in every state: none moves it along a way that the API does not have, none changes bytes that are there.

The database itself watches for both (tests/invariants.py). Numbers T-… are those of docs/security.md.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.import_request import ImportMethod, ImportRequest
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from tests.api.conftest import World
from tests.api.connection import Connection, head
from tests.api.personas import DATA, Cast, Persona
from tests.services import change_service
from tests.standalone import wait_for
from tests.unit.outbound import origins

BYTES = b"the bytes that members trust"


def saving(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    """Leave an upload unfinished until the block ends."""
    del world
    wire = block.enter_context(Connection(cast.owner.endpoint))
    wire.send(head(cast.owner, "PUT", f"/v2/images/{image}/file", f"Content-Type: {DATA}", "Content-Length: 10") + b"01234")
    wait_for(lambda: cast.owner.shows(image).json()["status"] == "saving", seconds=20)


def importing(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    """Let a worker fetch from a server that says nothing more until the block ends."""
    enough = threading.Event()

    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
        enough.wait(60)

    origin = block.enter_context(origins.serving(answer))
    service = change_service(world.service, fetch=origins.rules(origin.port, silence_seconds=60.0))
    caller = Caller(user_id=UserID("u"), project_id=ProjectID(cast.owner.project_id), roles=frozenset({"member", "reader"}))
    request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=origin.url())
    import_requests.request_import(service, caller, ImageID(image), request, request_id="req-1")
    work = import_runs.claim(service)
    assert work is not None
    worker = threading.Thread(target=import_runs.run, args=(service, work))
    worker.start()
    block.callback(worker.join)
    block.callback(enough.set)
    wait_for(lambda: cast.owner.shows(image).json()["status"] == "importing", seconds=20)


def staged(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    del world, block
    assert cast.owner.stages(image, BYTES).status_code == 204


def active(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    del world, block
    assert cast.owner.uploads(image, BYTES).status_code == 204


def deactivated(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    active(world, cast, image, block)
    assert cast.owner.does("deactivate", image).status_code == 204


def deleted(world: World, cast: Cast, image: str, block: ExitStack) -> None:
    active(world, cast, image, block)
    assert cast.owner.deletes(image).status_code == 204


STATES: dict[str, Callable[[World, Cast, str, ExitStack], object]] = {
    "queued": lambda *_: None,
    "saving": saving,
    "uploading": staged,
    "importing": importing,
    "active": active,
    "deactivated": deactivated,
    "deleted": deleted,
}
"""The states that this service has, and how an image gets there. `killed` and `pending_delete` no road leads to."""


def image_in(state: str, world: World, cast: Cast, block: ExitStack) -> str:
    image = cast.owner.has_an_image(None)
    for who in (cast.member, cast.pending, cast.rejected):
        assert cast.owner.shares_with(image, who.project_id).status_code == 200
    cast.member.accepts(image)
    cast.rejected.answers(image, "rejected")
    STATES[state](world, cast, image, block)
    found = cast.owner.shows(image)
    assert (found.json()["status"] if found.status_code == 200 else "deleted") == state
    return image


def locations(who: Persona, image: str) -> Iterator[requests.Response]:
    """Try every way in which an image's bytes were ever exchanged for others."""
    location = {"url": "http://93.184.215.14/disk", "metadata": {}}
    wrong = {**location, "validation_data": {"os_hash_algo": "sha512", "os_hash_value": "0" * 128}}
    for each in (location, wrong):
        yield who.patches(image, {"op": "add", "path": "/locations/-", "value": each})
        yield who.patches(image, {"op": "replace", "path": "/locations", "value": [each]})
    yield who.patches(image, {"op": "replace", "path": "/locations", "value": []})
    yield who.patches(image, {"op": "remove", "path": "/locations/0"})
    yield who.patches(image, {"op": "remove", "path": "/locations"})
    yield who.gives_location(image, location["url"])  # type: ignore[arg-type]
    for store in ("local", "second"):
        yield who.call("DELETE", f"/v2/stores/{store}/{image}")


@pytest.mark.parametrize("state", STATES)
def test_owner_cannot_replace_image_data_in_any_state(state: str, world: World, cast: Cast) -> None:
    """T-08 to T-10."""
    with ExitStack() as block:
        image = image_in(state, world, cast, block)
        before = cast.owner.shows(image).text
        for who in (cast.owner, cast.member, cast.admin):
            for answer in locations(who, image):
                assert answer.status_code in (400, 403, 404, 409), answer.text
        assert cast.owner.shows(image).text == before


SET_BY_THE_SERVICE = ("status", "size", "checksum", "os_hash_value", "os_hash_algo", "virtual_size", "created_at", "id", "stores")


def everything(who: Persona, image: str, store: str) -> Iterator[requests.Response]:
    for target in ("queued", "saving", "active", "deactivated", "killed", "pending_delete", "deleted", "importing", "uploading"):
        yield who.sets(image, "status", target)
    for name in SET_BY_THE_SERVICE:
        yield who.patches(image, {"op": "add", "path": f"/{name}", "value": "1"})
    headers = {"X-Image-Meta-Status": "active", "X-Image-Meta-Size": "1", "X-Image-Meta-Checksum": "f" * 32}
    yield who.uploads(image, BYTES[::-1], **headers)
    yield who.stages(image, BYTES[::-1])
    yield who.imports(image)
    yield who.imports(image, "web-download", _uri="http://127.0.0.1/")
    yield who.imports(image, "copy-image", stores=[store])
    for action in ("reactivate", "deactivate", "reactivate", "delete", "activate"):
        yield who.does(action, image)


@pytest.mark.parametrize("state", STATES)
def test_every_call_in_every_state_makes_only_legal_transitions(state: str, world: World, cast: Cast) -> None:
    """T-11, T-13: a way that the API does not have is a failure of the database, and so an answer of 500."""
    with ExitStack() as block:
        image = image_in(state, world, cast, block)
        for who in (cast.outsider, cast.member, cast.owner_reader, cast.owner, cast.admin):
            for answer in everything(who, image, "second"):
                assert answer.status_code < 500, answer.text
                assert who in (cast.owner, cast.admin) or answer.status_code >= 400
            world.works()
    if state in ("active", "deactivated"):
        assert cast.admin.downloads(image).content == BYTES


ROADS: dict[str, Callable[[Persona, str], requests.Response]] = {
    "whole": lambda who, image: who.downloads(image),
    "head": lambda who, image: who.call("HEAD", f"/v2/images/{image}/file"),
    "first byte": lambda who, image: who.downloads(image, Range="bytes=0-0"),
    "last byte": lambda who, image: who.downloads(image, Range="bytes=-1"),
    "head of a range": lambda who, image: who.call("HEAD", f"/v2/images/{image}/file", headers={"Range": "bytes=0-0"}),
    "resumed": lambda who, image: who.downloads(image, **{"Range": "bytes=5-", "If-Range": '"x"'}),
    "unless known": lambda who, image: who.downloads(image, **{"If-None-Match": "*"}),
    "no such range": lambda who, image: who.downloads(image, Range="bytes=999999-"),
    "another store": lambda who, image: who.call("GET", f"/v2/images/{image}/file?prefer=second"),
    "no such store": lambda who, image: who.call("GET", f"/v2/images/{image}/file?prefer=nowhere"),
    "older version": lambda who, image: who.call("GET", f"/v2.0/images/{image}/file"),
}


@pytest.mark.parametrize("road", ROADS)
def test_no_route_serves_data_of_a_deactivated_image(road: str, world: World, cast: Cast) -> None:
    """T-16: 403 for whoever sees the image, 404 for whoever does not, and bytes for administrators alone."""
    with ExitStack() as block:
        image = image_in("deactivated", world, cast, block)
        for who in (cast.owner, cast.owner_reader, cast.member, cast.member_reader, cast.pending, cast.rejected):
            assert ROADS[road](who, image).status_code == 403, who.name
        for who in (cast.outsider, cast.outsider_reader, cast.no_role):
            assert ROADS[road](who, image).status_code == 404, who.name
        assert ROADS[road](cast.admin, image).status_code in (200, 206, 304, 416, 400, 409)


def test_a_deactivated_image_is_not_copied_out_either(world: World, cast: Cast) -> None:
    """T-16: not to another store, nor as the source of anything."""
    world.works()  # what others left to be done
    with ExitStack() as block:
        image = image_in("deactivated", world, cast, block)
        for who, status in ((cast.owner, 409), (cast.member, 409), (cast.outsider, 404), (cast.admin, 409)):
            assert who.imports(image, "copy-image", stores=["second"]).status_code == status
        assert world.works() == 0


def test_digest_filter_finds_only_images_visible_to_the_caller(cast: Cast) -> None:
    """Malware that was shared and copied by hand can be withheld everywhere; that others have it too is told to no user."""
    theirs, mine = cast.owner.has_an_image(BYTES * 3, visibility="private"), cast.outsider.has_an_image(BYTES * 3)
    digest = cast.owner.shows(theirs).json()["os_hash_value"]
    everywhere = {each["id"] for each in cast.admin.lists(f"os_hash_value={digest}&limit=1000")}
    assert everywhere == {theirs, mine}
    assert {each["id"] for each in cast.outsider.lists(f"os_hash_value={digest}&limit=1000")} == {mine}
    for image in everywhere:
        assert cast.admin.does("deactivate", image).status_code == 204
    assert cast.outsider.downloads(mine).status_code == 403
