"""Every request leaves one line in the log: who asked for what, and how it ended, with nothing secret or chosen by a client."""

import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from partage.http.v2.routes import ROWS
from tests import standalone
from tests.api.conftest import World
from tests.api.connection import Connection, head
from tests.api.personas import Cast

DATA = random.Random(11).randbytes(24 << 20)
"""More than the buffers of both ends, so that a client that reads little of it leaves some unsent."""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.INFO, logger="partage.requests")
    return caplog


def line_of(caplog: pytest.LogCaptureFixture, **wanted: Any) -> dict[str, Any]:
    """Wait for the one line with these fields: it is written after the response was sent."""

    def find() -> list[dict[str, Any]]:
        fields = [vars(each) for each in caplog.records.copy() if each.name == "partage.requests"]
        return [each for each in fields if wanted.items() <= each.items()]

    standalone.wait_for(find, seconds=20)
    (found,) = find()
    return found


def id_of(answer: requests.Response) -> str:
    return answer.headers["x-openstack-request-id"]


def test_request_is_logged_with_its_route_caller_and_size(world: World, cast: Cast, lines: pytest.LogCaptureFixture) -> None:
    image = cast.owner.has_an_image(b"data")
    answer = cast.owner.call("GET", f"/v2/images/{image}?planted=query", headers={"X-Openstack-Request-Id": "req-of-the-client"})
    found = line_of(lines, request_id="req-of-the-client")
    assert found["method"] == "GET"
    assert found["route"] == "/v2/images/{image_id}"
    assert found["route"] in {row.path for row in ROWS}
    assert found["status"] == answer.status_code == 200
    assert found["bytes_out"] == len(answer.content)
    assert found["bytes_in"] == 0
    assert found["milliseconds"] >= 0
    assert found["global_request_id"] == "req-of-the-client"
    assert found["project"] == cast.owner.project_id
    assert found["address"] == "127.0.0.1"
    assert len(found["user"]) == 32
    assert "ended" not in found
    assert "planted" not in str(found)
    del world


@pytest.mark.parametrize(
    ("request_line", "route", "status"),
    [
        ("GET /healthcheck", "/healthcheck", 200),
        ("GET /nowhere", "/versions", 300),
        ("GET /v2/nowhere/planted", "-", 404),
        ("OPTIONS /v2/images", "-", 200),
        ("DELETE /v2/images", "/v2/images", 405),
        ("GET /partage/v1", "/partage/v1", 200),
    ],
)
def test_request_without_a_handler_has_a_route_that_no_client_chooses(
    cast: Cast, lines: pytest.LogCaptureFixture, request_line: str, route: str, status: int
) -> None:
    answer = cast.owner.call(*request_line.split())
    found = line_of(lines, request_id=id_of(answer))
    assert (found["route"], found["status"], answer.status_code) == (route, status, status)


def test_request_without_a_valid_token_has_no_caller(cast: Cast, lines: pytest.LogCaptureFixture) -> None:
    answer = cast.badtoken.call("GET", "/v2/images")
    found = line_of(lines, request_id=id_of(answer))
    assert found["status"] == 401
    assert "project" not in found
    assert "user" not in found


def test_upload_and_download_are_logged_with_their_bytes(cast: Cast, lines: pytest.LogCaptureFixture) -> None:
    image = str(cast.owner.creates().json()["id"])
    uploaded = cast.owner.uploads(image, DATA)
    assert uploaded.status_code == 204
    assert line_of(lines, request_id=id_of(uploaded))["bytes_in"] == len(DATA)
    downloaded = cast.owner.downloads(image)
    found = line_of(lines, request_id=id_of(downloaded))
    assert (found["route"], found["bytes_out"]) == ("/v2/images/{image_id}/file", len(DATA))
    assert "ended" not in found


def test_broken_off_transfers_say_so_with_the_bytes_that_passed(world: World, cast: Cast, lines: pytest.LogCaptureFixture) -> None:
    image = str(cast.owner.creates().json()["id"])
    path, kind = f"/v2/images/{image}/file", "Content-Type: application/octet-stream"
    with Connection(world.endpoint) as connection:
        lines_of_head = (kind, f"Content-Length: {len(DATA)}", "X-Openstack-Request-Id: req-half")
        connection.send(head(cast.owner, "PUT", path, *lines_of_head) + DATA[: 8 << 20])
    found = line_of(lines, request_id="req-half")
    assert found["ended"] == "client gone"
    assert 0 < found["bytes_in"] <= 8 << 20

    standalone.wait_for(lambda: cast.owner.shows(image).json()["status"] == "queued", seconds=20)
    assert cast.owner.uploads(image, DATA).status_code == 204
    with Connection(world.endpoint) as connection:
        connection.send(head(cast.owner, "GET", path, "X-Openstack-Request-Id: req-read-little"))
        read = 0
        while read < 1 << 20:
            read += len(connection.socket.recv(1 << 16))
    found = line_of(lines, request_id="req-read-little")
    assert found["ended"] == "client gone"
    assert found["status"] == 200
    assert 0 < found["bytes_out"] < len(DATA)


def test_request_that_is_refused_before_it_is_routed_is_logged(world: World, lines: pytest.LogCaptureFixture) -> None:
    with Connection(world.endpoint) as connection:
        connection.send(b"planted nonsense\r\n\r\n")
        connection.answer()
    found = line_of(lines, status=400, method="-")
    assert found["refused"] == "Invalid HTTP request received."
    assert found["address"] == "127.0.0.1"
    assert "planted" not in str(found)
