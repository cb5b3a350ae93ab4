"""What must not be said stays unsaid, even when everything is logged: tokens, passwords, and lines that a client would like to add.

T-73, T-75 and T-77 of the list of advisories that every release is tested with.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from partage.identity.keystone import Keystone, connect
from partage.identity.tokens import TokenCache
from partage.policies.authority import Authority
from partage.records.database import Database
from tests.api.conftest import World, cast_of, make_service, serving
from tests.api.connection import Connection, chunk, head
from tests.api.personas import DATA, Cast
from tests.standalone import RunningKeystone

Everybody = dict[str, tuple[str, str]]


@pytest.fixture
def talkative(
    keystone: RunningKeystone, everybody: Everybody, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[tuple[World, Cast]]:
    """Give a service, and everybody on it, of which every library says everything it can; no answer of Keystone is remembered."""
    caplog.set_level(logging.DEBUG)
    for name in (
        "keystoneauth",
        "keystoneauth.session",
        "urllib3",
        "uvicorn",
        "uvicorn.error",
        "sqlalchemy.engine",
        "partage",
        "asyncio",
    ):
        caplog.set_level(logging.DEBUG, logger=name)
    service, rules = make_service(tmp_path)
    identity = Keystone(connect(keystone.credentials), TokenCache(seconds=0.001), is_admin=Authority().is_admin)
    with serving(service, identity, rules, tmp_path) as world:
        cast = cast_of(world, everybody)
        yield world, cast
        cast.leave()
    service.close()


def a_long_day(cast: Cast, planted: dict[str, str]) -> Iterator[requests.Response]:
    """Do what people do and what goes wrong, with secrets wherever a client may put them."""
    owner = cast.owner
    image = owner.has_an_image(b"data")
    for who in (owner, cast.outsider, cast.admin, cast.badtoken, cast.anonymous, cast.no_role):
        yield who.shows(image)
        yield who.downloads(image)
        yield who.creates(visibility="public")
    queued = owner.has_an_image(None, disk_format="qcow2")
    yield owner.uploads(queued, b"no qcow2")
    yield owner.uploads(queued, b"x", **{"X-OpenStack-Image-Size": "9"})
    yield owner.call("GET", "/v2/images", headers={"X-Auth-Token": planted["garbage token"]})
    yield owner.call("GET", "/v2/images", headers={"X-Auth-Token": "gAAAAA" + planted["fernet token"]})
    yield owner.call("GET", "/v2/images", headers={"X-Service-Token": planted["service token"]})
    yield owner.call("GET", "/v2/images", headers={"Authorization": f"Basic {planted['basic']}", "Cookie": planted["cookie"]})
    yield owner.call("GET", f"/v2/images?X-Auth-Token={planted['query']}&sort=x")
    yield owner.call("GET", f"/v2/{planted['path']}")
    yield owner.call("POST", "/v2/images", data="{" + planted["broken document"])
    yield owner.call("PATCH", f"/v2/images/{image}", data=planted["broken patch"])
    with Connection(owner.endpoint) as wire:
        lines = (f"Content-Type: {DATA}", "Transfer-Encoding: chunked")
        wire.send(head(owner, "PUT", f"/v2/images/{queued}/file", *lines) + chunk(planted["cut body"].encode()))
    with Connection(owner.endpoint) as wire:
        wire.send(head(owner, "GET", "/v2/images", f"Broken\x00Header: {planted['broken header']}"))
        wire.answer()


PLACES = (
    "garbage token",
    "fernet token",
    "service token",
    "basic",
    "cookie",
    "query",
    "path",
    "broken document",
    "broken patch",
    "cut body",
    "broken header",
)


def test_no_secret_is_logged_or_answered(
    talkative: tuple[World, Cast], keystone: RunningKeystone, everybody: Everybody, caplog: pytest.LogCaptureFixture
) -> None:
    world, cast = talkative
    planted = {place: f"planted-{uuid4().hex}" for place in PLACES}
    answers = [f"{answer.headers}{answer.text}" for answer in a_long_day(cast, planted)]
    records = [each for each in caplog.records if world.endpoint not in each.getMessage()]  # what the stories' own client says
    logged = "\n".join(str(record.__dict__) + record.getMessage() for record in records)
    for name in ("sqlalchemy.engine", "urllib3", "partage.requests"):
        assert name in logged
    passwords = [keystone.admin_password, keystone.credentials.password]
    tokens = [token for _, token in everybody.values()]
    for secret in [*planted.values(), *passwords, *tokens]:
        assert secret not in logged
    for secret in [*passwords, *tokens, *(planted[place] for place in PLACES if place not in ("query", "path"))]:
        assert not [answer for answer in answers if secret in answer]
    stored = b"".join(each.read_bytes() for each in world.folder.rglob("*") if each.is_file())
    for secret in [*planted.values(), *passwords, *tokens]:
        assert secret.encode() not in stored


def test_database_password_is_not_shown_when_it_is_down(
    identity: Keystone, everybody: Everybody, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password = f"planted-{uuid4().hex}"
    service, rules = make_service(tmp_path, database=Database(f"postgresql://partage:{password}@127.0.0.1:1/partage"))
    with serving(service, identity, rules, tmp_path) as world:
        cast = cast_of(world, everybody)
        for answer in (
            cast.owner.call("GET", "/v2/images"),
            cast.owner.creates(),
            cast.owner.uploads(str(uuid4())),
            cast.owner.shows("x"),
        ):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert "The database does not answer at the moment; try again in a few seconds" in answer.text
            assert not [
                word for word in (password, "127.0.0.1:1", "psycopg", "Traceback") if word in answer.text + str(answer.headers)
            ]
        cast.leave()
    assert password not in "\n".join(str(record.__dict__) + record.getMessage() for record in caplog.records)


REQUEST_IDS = [
    "",
    "x" * 65,
    "req-with space",
    "req-%0d%0aSet-Cookie: a=b",
    "req-ü",
    "req-<script>",
    "req-a\tb",
    "req-'; --",
    "${jndi:x}",
]


@pytest.mark.parametrize("given", REQUEST_IDS, ids=ascii)
def test_invalid_request_id_is_replaced(given: str, cast: Cast) -> None:
    with Connection(cast.owner.endpoint) as wire:
        wire.send(head(cast.owner, "GET", "/v2/images?limit=0", f"X-Openstack-Request-Id: {given}"))
        found = wire.answer().header("x-openstack-request-id")
    assert re.fullmatch(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", str(found))


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n ", b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8"], ids=ascii)
def test_client_cannot_inject_lines_into_logs_or_answers(newline: bytes, cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    mark = f"forged{os.getpid()}"
    for name in ("X-Openstack-Request-Id", "X-Auth-Token", "Range", "Content-Type", "Host", "Accept"):
        lines = (
            head(cast.anonymous, "GET", "/v2/images")[:-2] + name.encode() + b": req-a" + newline + mark.encode() + b": x\r\n\r\n"
        )
        with Connection(cast.owner.endpoint) as wire:
            wire.send(lines)
            answer = wire.answer()
        assert answer.status in (400, 401)
        assert mark not in [each for each, _ in answer.headers]
    for record in caplog.records:
        assert f"\n{mark}" not in record.getMessage()
