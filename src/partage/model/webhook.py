"""Webhooks: URLs to which a project's events are sent. Pure."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from partage.model.event_cursor import Cursor
from partage.model.ids import ProjectID

WebhookID = NewType("WebhookID", str)

LONGEST_URL = 2000
LONGEST_DESCRIPTION = 255
SECRET_PREFIX = "whsec_"  # noqa: S105 -- how every secret begins
SECRET_BYTES = 32

_FIRST_RETRY = timedelta(seconds=5)
_LONGEST_RETRY = timedelta(hours=1)


class WebhookStatus(StrEnum):
    """Whether events are sent. The service pauses a webhook whose receiver fails; its project disables it."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook. `position` is the number of the last event that was delivered, or where it began.

    `failures` counts attempts that failed in a row, since `failing_since`; `last_error` is the last of them. The next attempt is
    due at `due_at`. `missed_at`: when events that others caused were last found removed before they were delivered. `after` is the
    cursor of the position, for replies.
    """

    id: WebhookID
    project_id: ProjectID
    url: str
    secret: str = field(repr=False)
    created_at: datetime
    position: int
    due_at: datetime
    description: str = ""
    status: WebhookStatus = WebhookStatus.ACTIVE
    failures: int = 0
    failing_since: datetime | None = None
    last_error: str | None = None
    delivered_at: datetime | None = None
    missed_at: datetime | None = None
    after: Cursor | None = None

    def note_delivery(self, number: int, *, now: datetime) -> "Webhook":
        """Return the webhook after an event was delivered."""
        return replace(self, position=number, failures=0, failing_since=None, last_error=None, delivered_at=now, due_at=now)

    def note_failure(self, error: str, *, now: datetime, jitter: float, most_failures: int, is_final: bool = False) -> "Webhook":
        """Return the webhook after an attempt failed: the next one is due after a back-off, which doubles up to an hour.

        `jitter` in [0, 1) spreads retries over the second half of the back-off. After `most_failures` in a row, or if the failure
        `is_final`, the webhook is paused.
        """
        failures = self.failures + 1
        longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(failures - 1, 16))
        return replace(
            self,
            failures=failures,
            failing_since=self.failing_since or now,
            last_error=error,
            due_at=now + longest * (0.5 + jitter / 2),
            status=WebhookStatus.PAUSED if is_final or failures >= most_failures else self.status,
        )

    def note_gap(self, position: int, error: str, *, now: datetime) -> "Webhook":
        """Return the webhook, paused, after events that it had not delivered were removed. It goes on after `position`."""
        return replace(
            self, position=position, status=WebhookStatus.PAUSED, last_error=error, failing_since=self.failing_since or now
        )

    def change(self, change: "WebhookChange", *, now: datetime) -> "Webhook":
        """Return the webhook with what its project changed.

        Enabling it sends what waits at once, and so does another URL: failures were those of the former one. Enabling an
        active webhook ends its back-off.
        """
        changed = replace(
            self,
            url=self.url if change.url is None else change.url,
            description=self.description if change.description is None else change.description,
        )
        if change.enabled is False:
            return replace(changed, status=WebhookStatus.DISABLED)
        if change.enabled is True or (changed.url != self.url and self.status is WebhookStatus.ACTIVE):
            return replace(changed, status=WebhookStatus.ACTIVE, failures=0, failing_since=None, last_error=None, due_at=now)
        return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """A request to create a webhook."""

    url: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChange:
    """A request to change a webhook; None leaves an attribute as it is."""

    url: str | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRules:
    """What the operator has chosen for webhooks."""

    per_project: int = 10
    most_failures: int = 16
    timeout_seconds: float = 10.0


def make_secret(random: bytes) -> str:
    """Write random bytes as a secret. Source: Standard Webhooks, "Signature scheme"."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of a message. Source: Standard Webhooks, "Signature scheme"."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
