"""The listener to other services' notifications, on oslo.messaging's bus inside the process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging import transport as transport_module
from pydantic import SecretStr

from partage import problems
from partage.main.composition import listening
from partage.main.configuration.listener_settings import ListenerSettings
from partage.notifications.listener import Listener, Source
from partage.operations.service import Service
from partage.worker import project_notifications
from tests.operations.services import make

PATIENCE_SECONDS = 30
PROJECT = "0123456789abcdef0123456789abcdef"
BASIC = {"resource_info": PROJECT, "request_id": "req-1"}
CADF = {
    "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
    "eventType": "activity",
    "action": "deleted.project",
    "outcome": "success",
    "resource_info": PROJECT,
    "initiator": {"typeURI": "service/security/account/user", "id": "u"},
    "target": {"typeURI": "data/security/project", "id": PROJECT},
    "observer": {"typeURI": "service/security", "id": "o"},
}


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@contextmanager
def sending(url: str, *, exchange: str, topic: str) -> Iterator[Callable[[str, Any], None]]:
    """Send notifications as Keystone does."""
    configuration = cfg.ConfigOpts()
    configuration([], project="keystone", default_config_files=[], default_config_dirs=[])
    configuration.register_opts(transport_module._transport_opts)  # noqa: SLF001 -- a transport reads its exchange when it is made
    configuration.set_override("control_exchange", exchange)
    transport = oslo_messaging.get_notification_transport(configuration, url=url)
    notifier = oslo_messaging.Notifier(transport, "identity.host", driver="messagingv2", topics=[topic], retry=-1)
    try:
        yield lambda event_type, payload: notifier.info({}, event_type, payload)
    finally:
        transport.cleanup()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


@pytest.fixture
def exchange() -> str:
    """Name an exchange that no other test uses: the bus belongs to the process."""
    return f"keystone-{uuid4()}"


def requests(service: Service) -> list[tuple[str, str]]:
    with service.database.read() as tx:
        return [(row.project_id, row.source) for row in tx.exec_driver_sql("SELECT project_id, source FROM project_closings")]


@pytest.mark.parametrize("payload", [BASIC, CADF], ids=["basic", "cadf"])
def test_deleted_project_is_to_be_closed(service: Service, exchange: str, payload: dict[str, Any]) -> None:
    settings = ListenerSettings(transport_url=SecretStr("fake://"), keystone_exchange=exchange)
    with listening.build_listener(settings, service), sending("fake://", exchange=exchange, topic="notifications") as send:
        send("identity.project.created", payload | {"resource_info": "other"})
        send("identity.project.deleted", payload)
        send("identity.project.deleted", payload)
        wait_for(lambda: requests(service))
    assert requests(service) == [(PROJECT, "notification")]


def test_without_a_transport_url_nothing_is_listened_to(service: Service) -> None:
    with listening.build_listener(ListenerSettings(), service) as listener:
        assert listener is None


def test_malformed_transport_url_is_refused_without_its_password(service: Service) -> None:
    settings = ListenerSettings(transport_url=SecretStr("nothing://user:hunter2@host/"))
    with pytest.raises(problems.Invalid, match=r"listener\.transport_url is not a transport URL") as refused:
        listening.build_listener(settings, service)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"resource_info": 5}, {"resource_info": "../users"}, {"target": {}}, BASIC | {"target": {"id": ""}}],
)
def test_payload_without_a_project_is_invalid(payload: Any) -> None:
    with pytest.raises(problems.Invalid, match="names no project"):
        project_notifications.read_project_id(payload)


def test_message_comes_again_after_a_failure_and_is_dropped_if_invalid(exchange: str) -> None:
    handled: list[str] = []

    def handle(_event_type: str, payload: Any, _timestamp: str | None) -> None:
        handled.append(payload["name"])
        if payload["name"] == "invalid":
            raise problems.Invalid("It can never be handled")
        if handled.count(payload["name"]) < 3:
            raise (problems.DatabaseUnavailable("The database is away") if len(handled) % 2 else RuntimeError("a mistake"))

    source = Source(exchange=exchange, topics=("t",), event_types="a|b", handle=handle)
    with (
        Listener("fake://", [source], pool="partage", retry_seconds=0.01),
        sending("fake://", exchange=exchange, topic="t") as send,
    ):
        send("c", {"name": "other"})
        send("ab", {"name": "other"})
        send("a", {"name": "invalid"})
        send("b", {"name": "valid"})
        wait_for(lambda: handled.count("valid") == 3)
    assert sorted(handled) == ["invalid", "valid", "valid", "valid"]


def test_sources_have_handlers_of_their_own(exchange: str) -> None:
    handled: list[tuple[str, str]] = []
    sources = [
        Source(
            exchange=exchange,
            topics=(name,),
            event_types=name,
            handle=lambda kind, payload, _at: handled.append((kind, payload)),
        )
        for name in ("first", "second")
    ]
    with (
        Listener("fake://", sources, pool="partage"),
        sending("fake://", exchange=exchange, topic="first") as send_first,
        sending("fake://", exchange=exchange, topic="second") as send_second,
    ):
        send_first("first", "first")
        send_second("second", "second")
        send_second("first", "of either topic")
        wait_for(lambda: len(handled) == 3)
    assert sorted(handled) == [("first", "first"), ("first", "of either topic"), ("second", "second")]
