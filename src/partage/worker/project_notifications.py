"""Keystone's notification that a project was deleted: record that the project is to be closed.

The notification only starts the closing. Before anything is deleted, a worker asks Keystone whether it still has the project.
"""

import re
from collections.abc import Mapping
from typing import Any

from partage import problems
from partage.model.closing import ClosingSource
from partage.model.ids import ProjectID
from partage.operations.service import Service
from partage.operations.sharing import closing

EVENT_TYPES = r"identity\.project\.deleted"
"""Source: Keystone, "Keystone Event Notifications"."""

_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def handle(service: Service, payload: Any) -> None:
    """Record that the project of a notification is to be closed. Idempotent.

    Raises:
        Invalid: the payload names no project.
        DatabaseUnavailable: it cannot be recorded now.
    """
    closing.request_closing(service, read_project_id(payload), ClosingSource.NOTIFICATION)


def read_project_id(payload: Any) -> ProjectID:
    """Read the project from a payload of Keystone's format basic or CADF.

    Source: Keystone, "notification_format": basic has `resource_info`; in CADF the project is the `target`.

    Raises:
        Invalid: it names no project.
    """
    document = payload if isinstance(payload, Mapping) else {}
    target = document.get("target")
    found = target.get("id") if isinstance(target, Mapping) else document.get("resource_info")
    if not isinstance(found, str) or not _PROJECT_ID.fullmatch(found):
        raise problems.Invalid("The notification of a deleted project names no project")
    return ProjectID(found)
