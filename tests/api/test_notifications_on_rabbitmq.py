"""Notifications on a real message bus: RabbitMQ, also while it is away."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from partage.notifications.bus import Bus
from partage.notifications.connection import Connection
from tests import rabbitmq
from tests.api.conftest import World, cast_of
from tests.api.listening import listening
from tests.api.personas import Cast

pytestmark = rabbitmq.MARKS


@pytest.fixture(scope="module")
def broker() -> Iterator[rabbitmq.Broker]:
    """A RabbitMQ for this module."""
    with rabbitmq.broker() as running:
        yield running


@pytest.fixture
def told(
    another_world: Callable[..., World], broker: rabbitmq.Broker, everybody: dict[str, tuple[str, str]]
) -> Iterator[tuple[Cast, list[str]]]:
    """Everybody, on a service that tells RabbitMQ what happened; it tries every fifth of a second when it must."""
    topics = [f"{name}-{uuid4()}" for name in ("first", "second")]
    bus = Bus(Connection(broker.url, topics=topics, publisher_id="image.here"), retry_seconds=0.2)
    people = cast_of(another_world(announcer=bus), everybody)
    yield people, topics
    people.leave()
    bus.close()


def test_every_topic_receives_notifications(told: tuple[Cast, list[str]], broker: rabbitmq.Broker) -> None:
    owner, topics = told[0].owner, told[1]
    with listening(broker.url, topic=topics[0]) as first, listening(broker.url, topic=topics[1]) as second:
        image = owner.has_an_image(name="n")
        owner.downloads(image)
        owner.deletes(image)
        heard = [listener.until("image.delete") for listener in (first, second)]
    expected = ["create", "update", "prepare", "upload", "activate", "update", "send", "delete"]
    assert [[each.event for each in by_one] for by_one in heard] == [[f"image.{name}" for name in expected]] * 2
    assert heard[0] == heard[1]
    assert heard[0][0].payload["name"] == "n"


def test_unavailable_bus_delays_no_request_and_gets_notifications_later(
    told: tuple[Cast, list[str]], broker: rabbitmq.Broker, caplog: pytest.LogCaptureFixture
) -> None:
    owner, topics = told[0].owner, told[1]
    owner.deletes(owner.has_an_image())
    broker.stop()
    times = []
    for number in range(20):
        begun = time.monotonic()
        assert owner.creates(name=f"away-{number}").status_code == 201
        times.append(time.monotonic() - begun)
    broker.start()
    with listening(broker.url, topic=topics[0]) as listener:
        names: list[str] = []
        while "away-19" not in names:
            names += [each.payload["name"] for each in listener.until("image.create", within_seconds=60)]
    assert sorted(times)[10] < 1
    assert [name for name in names if (name or "").startswith("away")] == [f"away-{number}" for number in range(20)]
    words = [record.message for record in caplog.records if record.name == "partage.notifications.bus"]
    assert len([each for each in words if "does not accept notifications" in each]) == 1
    assert "guest" not in " ".join(words)
