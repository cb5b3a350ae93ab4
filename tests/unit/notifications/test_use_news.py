"""What Nova's and Cinder's notifications say of uses: recorded from nova 34 and cinder 29, in both formats of Nova."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from partage.model.use import UseKind
from partage.model.use_news import UseChange, UseNews
from partage.notifications import use_news

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "golden" / "use_notifications.json").read_text())
IMAGE = "71c675ab-6b71-4f3f-9f8e-000000000001"
CHANGES = {
    "instance.create.end": UseChange.SEEN,
    "compute.instance.create.end": UseChange.SEEN,
    "instance.rebuild.end": UseChange.REBUILT,
    "compute.instance.rebuild.end": UseChange.REBUILT,
    "instance.resize_finish.end": UseChange.SEEN,
    "instance.shelve_offload.end": UseChange.SEEN,
    "compute.instance.shelve_offload.end": UseChange.SEEN,
    "instance.unshelve.end": UseChange.SEEN,
    "compute.instance.unshelve.end": UseChange.SEEN,
    "instance.evacuate.end": UseChange.SEEN,
    "instance.delete.end": UseChange.ENDED,
    "compute.instance.delete.end": UseChange.ENDED,
    "volume.create.end": UseChange.SEEN,
    "volume.delete.end": UseChange.ENDED,
}


def read(recorded: dict[str, Any]) -> UseNews:
    found = use_news.parse(recorded["event_type"], recorded["payload"], recorded["timestamp"])
    assert found is not None
    return found


def test_recorded_notifications_name_server_project_and_image() -> None:
    found = [(each["event_type"], read(each)) for each in RECORDED]
    assert {event for event, _news in found} == CHANGES.keys()
    assert [news.change for _event, news in found] == [CHANGES[event] for event, _news in found]
    assert {news.project_id for _event, news in found} == {"b" * 32}
    servers = [news for _event, news in found if news.kind is UseKind.SERVER]
    assert {news.use_id for news in servers} == {"7f0e0b4e-2b0f-4a39-a3a5-0d5a6c1f0001"}
    # The last two are a server that boots from a volume, in both formats.
    assert [news.image_id for news in servers] == [IMAGE] * (len(servers) - 2) + [None] * 2
    volumes = [(news.use_id[-1], news.image_id) for _event, news in found if news.kind is UseKind.VOLUME]
    assert volumes == [("2", IMAGE), ("2", IMAGE), ("3", None)]
    assert all(news.at is not None and news.at.date() == datetime(2026, 11, 29, tzinfo=UTC).date() for _event, news in found)


@pytest.mark.parametrize(
    "event",
    ["instance.create.start", "instance.create.error", "instance.exists", "instance.update", "volume.resize.end", "image.delete"],
)
def test_other_notifications_say_nothing_of_uses(event: str) -> None:
    assert use_news.parse(event, RECORDED[0]["payload"]) is None


def test_soft_delete_is_not_the_end() -> None:
    found = use_news.parse("instance.soft_delete.end", RECORDED[0]["payload"])
    assert found is not None
    assert found.change is UseChange.SEEN


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"nova_object.data": 3}, {"uuid": 1, "tenant_id": "p"}, {"uuid": "u"}])
def test_malformed_payload_is_ignored(payload: object) -> None:
    assert use_news.parse("instance.create.end", payload) is None
    assert use_news.parse("volume.create.end", payload) is None


@pytest.mark.parametrize("timestamp", [None, "", "yesterday", "0001-01-01T00:00:00+14:00"])
def test_time_that_cannot_be_read_is_unknown(timestamp: object) -> None:
    found = use_news.parse("instance.create.end", RECORDED[0]["payload"], timestamp)
    assert found is not None
    assert found.at is None
