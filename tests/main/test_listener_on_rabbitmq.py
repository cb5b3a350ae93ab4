"""Keystone's notifications over a real RabbitMQ: none is lost, and other consumers get every one."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from partage import problems
from partage.main.composition import listening
from partage.main.configuration.listener_settings import ListenerSettings
from partage.notifications.listener import Listener, Source
from tests import rabbitmq
from tests.main.test_listener import CADF, PROJECT, requests, sending, wait_for
from tests.operations.services import make

pytestmark = rabbitmq.MARKS


@pytest.fixture(scope="module")
def broker() -> Iterator[rabbitmq.Broker]:
    """A RabbitMQ for this module."""
    with rabbitmq.broker() as running:
        yield running


def test_messages_wait_while_no_worker_runs_and_others_get_them_too(broker: rabbitmq.Broker, tmp_path: Path) -> None:
    service, exchange = make(tmp_path), f"keystone-{uuid4()}"
    settings = ListenerSettings(transport_url=SecretStr(broker.url), keystone_exchange=exchange)
    heard: list[str] = []
    other = Source(
        exchange=exchange,
        topics=("notifications",),
        event_types=".*",
        handle=lambda _kind, payload: heard.append(payload["resource_info"]),
    )
    with Listener(broker.url, [other], pool="other"), sending(broker.url, exchange=exchange, topic="notifications") as send:
        with listening.build_listener(settings, service):
            send("identity.project.deleted", CADF)
            wait_for(lambda: requests(service) and len(heard) == 1)
        away = CADF | {"resource_info": "away", "target": {"id": "away"}}
        send("identity.project.deleted", away)
        wait_for(lambda: len(heard) == 2)
        assert requests(service) == [(PROJECT, "notification")]
        with listening.build_listener(settings, service):
            wait_for(lambda: len(requests(service)) == 2)
    assert sorted(heard) == sorted([PROJECT, "away"])


def test_message_whose_handler_fails_comes_again(broker: rabbitmq.Broker) -> None:
    exchange = f"keystone-{uuid4()}"
    attempts: list[str] = []

    def handle(event_type: str, _payload: object) -> None:
        attempts.append(event_type)
        if len(attempts) < 3:
            raise problems.DatabaseUnavailable("The database is away")

    source = Source(exchange=exchange, topics=("t",), event_types="a", handle=handle)
    with (
        Listener(broker.url, [source], pool=f"pool-{uuid4()}", retry_seconds=0.01),
        sending(broker.url, exchange=exchange, topic="t") as send,
    ):
        send("a", {})
        wait_for(lambda: len(attempts) == 3)
