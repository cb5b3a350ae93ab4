"""Events: what happened to the images and shares of a project, in order. Only Partage has them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient import errors
from partageclient.connections import Cloud, as_cloud

_PAGE = 100
_EVENTS = "/partage/v1/events"
_INSTEAD = "`openstack image share list` shows the shares as they are now, `openstack image list --long` the images"


@dataclass(frozen=True)
class ImageEvent:
    """One event; `data` depends on the type, and `cursor` is where to read on."""

    cursor: str
    type: str
    time: str
    image_id: str | None
    owner_id: str | None
    member_id: str | None
    role: str | None
    user_id: str | None
    data: dict[str, Any]

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ImageEvent":
        """Read an event of the sharing API."""
        actor = document.get("actor") or {}
        same = ("cursor", "type", "time", "image_id", "owner_id", "member_id")
        return cls(
            **{each: document.get(each) for each in same},  # type: ignore[arg-type]
            role=actor.get("role"),
            user_id=actor.get("user_id"),
            data=document.get("data") or {},
        )


def list_events(conn: Connection | Cloud, *, after: str | None = None, limit: int | None = None) -> list[ImageEvent]:
    """List events, the oldest first: after a cursor, or from the oldest that is kept; at most `limit`.

    Raises:
        Unsupported: the image service has no events.
        ClientError: events after the cursor were removed.
    """
    found: list[ImageEvent] = []
    cursor = after
    while limit is None or len(found) < limit:
        page, cursor, more = _read_page(as_cloud(conn), cursor, min(_PAGE, limit - len(found)) if limit else _PAGE)
        found += page
        if not more:
            break
    return found


def watch_events(
    conn: Connection | Cloud, *, after: str = "latest", interval_seconds: float = 5.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[ImageEvent]:
    """Yield events as they happen, without end: those after a cursor, or from now on. A service that is away is asked again.

    Raises:
        Unsupported: the image service has no events.
        ClientError: events after the cursor were removed, or the credentials are refused.
    """
    cloud, cursor, more = as_cloud(conn), after, True
    while True:
        try:
            page, cursor, more = _read_page(cloud, cursor, _PAGE)
        except (errors.Unreachable, errors.Overloaded):
            page, more = [], False
        yield from page
        if not more:
            sleep(interval_seconds)


def _read_page(cloud: Cloud, after: str | None, limit: int) -> tuple[list[ImageEvent], str, bool]:
    """Return events, where to read on, and whether there are more."""
    asked = "List events"
    cloud.features.require("events", asked, _INSTEAD)
    query: dict[str, str | int] = {"limit": limit, **({"after": after} if after else {})}
    response = cloud.request("GET", _EVENTS, query=query, asked=asked, also=(410,))
    if response.status == 410:  # noqa: PLR2004 - gone
        remedy = "Read the state with `openstack image share list`, and the events without --after"
        raise errors.NotFound(asked, f"events after {after} were removed", remedy)
    document = response.document
    return [ImageEvent.from_json(each) for each in document["events"]], str(document["after"]), "next" in document
