"""No setting makes anybody more than they are: each is set alone to something else, and what was refused stays refused.

T-58 of docs/security.md: in OSSN-0060 a setting made every call run as an administrator's.
"""

import asyncio
import json
import types
import typing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from partage import problems
from partage.http.app import Application, application
from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Visibility
from partage.operations.service import Service
from partage.records import images as image_rows
from tests import databases
from tests.operations import services

NOT_TRIED = {
    "policy_file": "it is there to say who may do what",
    "property_protection_file": "it is there to say who may do what",
    "property_protection_rule_format": "says how to read the file above",
    "database_url": "another database has other images",
    "stores": "tried with each of their attributes, by the suites of stores",
    "default_store": "has to be one of the stores",
    "limits.use_keystone_limits": "needs a Keystone; tests/api/test_unified_limits.py has one",
    "fetch.cafile": "has to be a file",
    "identity.cafile": "has to be a file",
    "identity.check_members": "needs a Keystone; tests/identity/test_projects.py has one",
    "signatures.castellan_file": "has to be a file",
    "image_schema_file": "has to be a file",
    "notifications.transport_url": "has to be that of a message bus",
    "sharing.least_notice": "has to be at most the default notice, and is zero already",
    "taking_over.glance_config": "has to be a file",
    "imports.convert_to": "has to be a format, and needs a program: tests/operations/test_imports.py",
    "imports.http_locations": "lets owners give locations, and says so; none of the calls below is about that",
}
"""Settings that are not set here, each with the reason."""

FITTING: dict[str, Any] = {
    "tracing.endpoint": "http://127.0.0.1:4318/v1/traces",
    "sharing.default_notice": "P30D",
    "sharing.longest_notice": "P30D",
    "sharing.resolve_names": "all",
    "sharing.claim_code_validity": "P3D",
    "sharing.longest_claim_code_validity": "P8D",
    "sharing.guard": "block",
    "sharing.guard_cool_down": "P2D",
    "sharing.while_used_grace": "P2D",
    "taking_over.stores": {"fast": "local"},
    "sharing.domains": {"default": {"default_notice": "P30D"}},
}
"""Values of settings that take text of one form only, or a table."""


class Faces:
    """An identity service that takes a name for a token."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def find_cached(self, token: str, service_token: str | None = None) -> Caller | None:
        del token, service_token
        return None

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        del token, service_token
        return False

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        del service_token
        project, _, role = token.partition("-")
        if role not in ("member", "reader", "service"):
            raise problems.Unauthenticated("nobody")
        roles = {"member": {"member", "reader"}, "reader": {"reader"}, "service": {"service"}}[role]
        caller = Caller(user_id=UserID("u"), project_id=ProjectID(project), roles=frozenset(roles))
        assert not self._service.authority.is_admin(caller)
        return caller


def settings() -> Iterator[tuple[str, FieldInfo]]:
    for name, each in Settings.model_fields.items():
        if isinstance(each.annotation, type) and issubclass(each.annotation, BaseModel):
            yield from ((f"{name}.{inner}", field) for inner, field in each.annotation.model_fields.items())
        else:
            yield name, each


def another(field: FieldInfo) -> Any:
    """Give a value other than the default, such as the setting takes."""
    default = field.get_default(call_default_factory=True)
    kind = typing.get_origin(field.annotation) or field.annotation
    if kind is types.UnionType:
        raise LookupError(field)
    if kind is bool:
        return not default
    if kind is Literal:
        return next(each for each in typing.get_args(field.annotation) if each != default)
    if kind is tuple:
        return default[:1]
    if kind is float and 0 < default <= 1:
        return default / 2  # a share
    if kind in (int, float):
        return kind(default / 2) if default > 1 else kind(default + 1)
    return "http://elsewhere.example" if kind is str else "elsewhere"


TRIED = [name for name, _ in settings() if name not in NOT_TRIED]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Make the data of the project A: a private image, a shared one, and one for everybody."""
    folder = tmp_path_factory.mktemp("data")
    service = services.make(folder)
    made = {name: str(services.image_with(service, b"data").id) for name in ("private", "shared", "public")}
    with service.database.write() as tx:
        for name in ("private", "public"):
            image = image_rows.find_for_work(tx, ImageID(made[name]))
            assert image is not None
            image_rows.save(tx, replace(image, visibility=Visibility(name)), was=image)
    service.database.close()
    return folder, made


def composed(name: str, value: Any, folder: Path) -> Application:
    section, _, inner = name.rpartition(".")
    given: dict[str, Any] = {section: {inner: value}} if section else {name: value}
    found = Settings(**{"data": folder, **given})
    service = compose.build_service(found)
    databases.close_at_end(service.database)
    return application(service=service, identity=Faces(service), options=compose.build_edge_options(found, service))


CALLS = [
    ("nobody", "GET", "/v2/images", None, 401),
    ("nobody", "GET", "/v2/images/{public}", None, 401),
    ("B-member", "GET", "/v2/images/{private}", None, 404),
    ("B-member", "GET", "/v2/images/{private}/file", None, 404),
    ("B-member", "GET", "/v2/images/{shared}", None, 404),
    ("B-member", "GET", "/v2/images/{shared}/members", None, 404),
    ("B-member", "PATCH", "/v2/images/{private}", [{"op": "replace", "path": "/name", "value": "x"}], 404),
    ("B-member", "DELETE", "/v2/images/{private}", None, 404),
    ("B-member", "DELETE", "/v2/images/{public}", None, 403),
    ("B-member", "PATCH", "/v2/images/{public}", [{"op": "replace", "path": "/name", "value": "x"}], 403),
    ("B-member", "POST", "/v2/images/{public}/actions/deactivate", None, 403),
    ("B-member", "PUT", "/v2/images/{public}/tags/x", None, 403),
    ("B-member", "POST", "/v2/images", {"visibility": "public"}, 403),
    ("B-member", "POST", "/v2/images", {"owner": "A"}, 403),
    ("B-member", "GET", "/v2/tasks", None, 403),
    ("B-member", "GET", "/v2/info/stores/detail", None, 403),
    ("B-member", "POST", "/v2/metadefs/namespaces", {"namespace": "x"}, 403),
    ("A-reader", "GET", "/v2/images/{private}/file", None, 403),
    ("A-reader", "POST", "/v2/images", {}, 403),
    ("A-reader", "DELETE", "/v2/images/{private}", None, 403),
    ("A-reader", "PATCH", "/v2/images/{private}", [{"op": "replace", "path": "/name", "value": "x"}], 403),
    ("A-member", "PATCH", "/v2/images/{private}", [{"op": "replace", "path": "/visibility", "value": "public"}], 403),
    ("A-member", "PATCH", "/v2/images/{private}", [{"op": "replace", "path": "/owner", "value": "B"}], 403),
    ("A-member", "PATCH", "/v2/images/{private}", [{"op": "replace", "path": "/status", "value": "queued"}], 403),
    ("A-member", "GET", "/v2/images/{private}/locations", None, 403),
    ("A-member", "DELETE", "/v2/stores/local/{private}", None, 403),
    ("A-member", "GET", "/v2/tasks", None, 403),
    ("C-service", "GET", "/v2/images/{private}", None, 404),
    ("C-service", "DELETE", "/v2/images/{public}", None, 404),
    ("C-service", "POST", "/v2/images", {"visibility": "public"}, 403),
]
"""Who asks for what, and how that is refused."""


async def answers(app: Application, made: dict[str, str]) -> list[tuple[str, str, str, int]]:
    found = []
    for who, method, path, document, _ in CALLS:
        body = b"" if document is None else json.dumps(document).encode()
        sent: list[Any] = []

        async def receive(body: bytes = body) -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        raw = path.format_map(made)
        headers = [
            (b"host", b"x"),
            (b"x-auth-token", who.encode()),
            (b"content-type", b"application/openstack-images-v2.1-json-patch"),
            (b"content-length", b"%d" % len(body)),
            (b"x-openstack-request-id", str(uuid4()).encode()),
        ]
        scope = {"type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        found.append((who, method, path, sent[0]["status"]))
    return found


@pytest.mark.parametrize("name", TRIED)
def test_no_setting_grants_a_refused_call(name: str, data: tuple[Path, dict[str, str]]) -> None:
    folder, made = data
    field = dict(settings())[name]
    value = folder if name == "data" else FITTING.get(name) or another(field)
    app = composed(name, value, folder)
    assert asyncio.run(answers(app, made)) == [(who, method, path, status) for who, method, path, _, status in CALLS]


def test_reasons_are_given_for_settings_that_there_are() -> None:
    assert set(NOT_TRIED) <= {name for name, _ in settings()}
