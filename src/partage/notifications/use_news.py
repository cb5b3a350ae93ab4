"""Read Nova's and Cinder's notifications: which server or volume has which image.

Nova sends versioned notifications (`instance.create.end`), legacy ones (`compute.instance.create.end`), or both. Cinder sends
`volume.create.end` and `volume.delete.end`. Source: Nova, "Notifications in Nova"; `cinder.volume.volume_utils`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from partage.model.ids import ImageID, ProjectID
from partage.model.use import UseKind, is_use_id
from partage.model.use_news import UseChange, UseNews

EVENTS_OF_SERVERS = r"(?:compute\.)?instance\.(?P<action>.+)\.end"
EVENTS_OF_VOLUMES = r"volume\.(?P<action>create|delete)\.end"
_SERVER, _VOLUME = re.compile(EVENTS_OF_SERVERS), re.compile(EVENTS_OF_VOLUMES)
_LONGEST_PROJECT_ID = 255
_CHANGES = {"delete": UseChange.ENDED, "rebuild": UseChange.REBUILT}


def parse(event_type: str, payload: Any, timestamp: object = None) -> UseNews | None:
    """Read a notification. None if it says nothing of uses: only the end of an action does, and only if the action went well."""
    server, volume = _SERVER.fullmatch(event_type), _VOLUME.fullmatch(event_type)
    if not isinstance(payload, Mapping) or (server is None and volume is None):
        return None
    found = payload.get("nova_object.data", payload)
    if not isinstance(found, Mapping):
        return None
    if server is not None:
        kind, use_id, image_id = UseKind.SERVER, found.get("uuid") or found.get("instance_id"), _read_image_of_server(found)
        change = _CHANGES.get(server["action"], UseChange.SEEN)
    else:
        kind, use_id, image_id = UseKind.VOLUME, found.get("volume_id"), _read_image_of_volume(found)
        change = UseChange.ENDED if event_type == "volume.delete.end" else UseChange.SEEN
    project_id = found.get("tenant_id")
    if not isinstance(use_id, str) or not isinstance(project_id, str) or not 0 < len(project_id) <= _LONGEST_PROJECT_ID:
        return None
    if not is_use_id(use_id) or not f"{project_id}{image_id}".isprintable():
        return None
    return UseNews(
        kind=kind,
        use_id=use_id,
        project_id=ProjectID(project_id),
        image_id=ImageID(image_id) if image_id else None,
        change=change,
        at=_read_time(timestamp),
    )


def _read_image_of_server(found: Mapping[str, Any]) -> str:
    """Return the id of the image; empty for a server that boots from a volume. Legacy notifications have the image's URL."""
    named = found.get("image_uuid") if "image_uuid" in found else found.get("image_ref_url")
    return str(named or "").rpartition("/")[2]


def _read_image_of_volume(found: Mapping[str, Any]) -> str:
    rows = found.get("glance_metadata")
    values = {row.get("key"): row.get("value") for row in rows if isinstance(row, Mapping)} if isinstance(rows, list) else {}
    return str(values.get("image_id") or "")


def _read_time(timestamp: object) -> datetime | None:
    """Read the time of a message: UTC without an offset. Source: oslo.messaging, "Notifier"."""
    try:
        moment = datetime.fromisoformat(str(timestamp))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
