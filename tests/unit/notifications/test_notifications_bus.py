"""The queue before the bus: bounded, in order, and never in anybody's way."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import oslo_messaging
import pytest

from partage import problems
from partage.model.announcement import Announcement, Event
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.notifications.bus import Bus
from partage.notifications.connection import Connection

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def announced(name: str = "", event: Event = Event.IMAGE_CREATE) -> Announcement:
    image = Image(id=ImageID("i"), owner=ProjectID("A"), created_at=NOW, updated_at=NOW, name=name)
    return Announcement(event=event, subject=image, at=NOW)


class Wire:
    """A connection that fails or waits when told to, and remembers what got through: (topic, event, name)."""

    topics = ("notifications",)

    def __init__(self) -> None:
        self.away = False
        self.open = threading.Event()
        self.open.set()
        self.tried = 0
        self.closed = False
        self.sent: list[tuple[str, str, str]] = []

    def build_message(self, announcement: Announcement) -> Mapping[str, object]:
        image = announcement.subject
        assert isinstance(image, Image)
        if image.name == "unspeakable":
            raise KeyError("nobody foresaw this")
        return {"event_type": announcement.event.value, "name": image.name}

    def send(self, topic: str, message: Mapping[str, object]) -> None:
        self.tried += 1
        assert self.open.wait(20)
        if message["name"] == "unwritable":
            raise TypeError("no JSON")
        if self.away:
            raise oslo_messaging.MessageDeliveryFailure("amqp://user:secret@host")
        self.sent.append((topic, str(message["event_type"]), str(message["name"])))

    def close(self) -> None:
        self.closed = True


Make = Callable[..., tuple[Bus, Wire]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make a bus on such a connection."""
    made = []

    def bus(**given: Any) -> tuple[Bus, Wire]:
        wire = Wire()
        made.append((Bus(wire, retry_seconds=0.01, **given), wire))
        return made[-1]

    yield bus
    for one, wire in made:
        wire.open.set()
        one.close()


def eventually(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_notifications_keep_their_order(make: Make) -> None:
    bus, wire = make()
    for number in range(100):
        bus.announce(announced(str(number)))
    bus.close()
    assert [name for _topic, _event, name in wire.sent] == [str(number) for number in range(100)]
    assert wire.closed


def test_unavailable_bus_is_retried_until_it_accepts(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bus, wire = make()
    wire.away = True
    for number in range(5):
        bus.announce(announced(str(number)))
    eventually(lambda: wire.tried > 3)
    wire.away = False
    eventually(lambda: len(wire.sent) == 5)
    assert [name for _topic, _event, name in wire.sent] == ["0", "1", "2", "3", "4"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "secret" not in caplog.text


def test_notifications_continue_after_a_failure(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bus, wire = make()
    for name in ("first", "unspeakable", "last"):
        bus.announce(announced(name))
    eventually(lambda: len(wire.sent) == 2)
    assert [name for _topic, _event, name in wire.sent] == ["first", "last"]
    assert "image.create could not be built" in caplog.text


def test_full_queue_drops_and_counts_notifications(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bus, wire = make(queue_size=3)
    wire.open.clear()
    bus.announce(announced("under way"))
    eventually(lambda: wire.tried == 1)
    begun = time.monotonic()
    for number in range(10):
        bus.announce(announced(str(number)))
    assert time.monotonic() - begun < 5
    wire.open.set()
    eventually(lambda: len(wire.sent) == 4)
    assert [name for _topic, _event, name in wire.sent] == ["under way", "0", "1", "2"]
    eventually(lambda: "7 notifications were dropped" in caplog.text)


def test_failed_notification_does_not_stop_later_ones(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    bus, wire = make()
    bus.announce(announced("unwritable"))
    bus.announce(announced("good"))
    bus.close()
    assert [name for _topic, _event, name in wire.sent] == ["good"]
    assert "image.create cannot be serialised" in caplog.text


def test_disabled_events_and_groups_are_not_sent(make: Make) -> None:
    bus, wire = make(disabled=["image.member", "image.update", "metadef_tag"])
    told = [Event.IMAGE_CREATE, Event.IMAGE_SEND, Event.TASK_RUN, Event.NAMESPACE_DELETE_TAGS]
    for event in (Event.IMAGE_UPDATE, Event.MEMBER_CREATE, Event.MEMBER_DELETE, Event.TAG_CREATE, *told):
        bus.announce(announced(event=event))
    bus.close()
    assert [event for _topic, event, _name in wire.sent] == told


def test_a_group_disables_all_below_it(make: Make) -> None:
    bus, wire = make(disabled=["image"])
    for event in (Event.IMAGE_CREATE, Event.MEMBER_CREATE, Event.TASK_CREATE):
        bus.announce(announced(event=event))
    bus.close()
    assert [event for _topic, event, _name in wire.sent] == [Event.TASK_CREATE]


def test_closing_waits_for_a_bus_that_hangs_no_longer_than_said(make: Make) -> None:
    bus, wire = make(close_timeout_seconds=0.1)
    wire.open.clear()
    bus.announce(announced())
    begun = time.monotonic()
    bus.close()
    assert time.monotonic() - begun < 5
    bus.announce(announced("too late"))
    wire.open.set()
    eventually(lambda: len(wire.sent) == 1)


def test_nothing_starts_before_something_is_announced() -> None:
    bus = Bus(Connection("fake://", topics=["t"], publisher_id="p"))
    assert not [thread for thread in threading.enumerate() if thread.name == "notifications"]
    bus.close()


@pytest.mark.parametrize("url", ["nonsense", "nonsense://user:secret@host/", "rabbit://user:secret@host:port/"])
def test_invalid_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(problems.Invalid, match="transport_url") as caught:
        Connection(url, topics=["t"], publisher_id="p")
    assert "secret" not in str(caught.value)
