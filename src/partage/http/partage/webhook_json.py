"""The JSON of webhooks: what requests say, checked, and what replies say."""

from collections.abc import Mapping
from typing import Any

from partage import problems
from partage.http.partage.share_json import Document, require_object
from partage.model.webhook import LONGEST_DESCRIPTION, LONGEST_URL, NewWebhook, Webhook, WebhookChange, WebhookStatus


def parse_webhook(document: object) -> NewWebhook:
    """Read a request to create a webhook.

    Raises:
        BodyInvalid: it does not fit its schema.
    """
    given = require_object(document, ("url", "description"))
    if "url" not in given:
        raise problems.BodyInvalid("url is missing")
    return NewWebhook(url=_read_text(given, "url", LONGEST_URL), description=_read_text(given, "description", LONGEST_DESCRIPTION))


def parse_change(document: object) -> WebhookChange:
    """Read a request to change a webhook.

    Raises:
        BodyInvalid: it does not fit its schema.
    """
    given = require_object(document, ("url", "description", "enabled"))
    enabled = given.get("enabled")
    if "enabled" in given and not isinstance(enabled, bool):
        raise problems.BodyInvalid("enabled must be true or false")
    return WebhookChange(
        url=_read_text(given, "url", LONGEST_URL) if "url" in given else None,
        description=_read_text(given, "description", LONGEST_DESCRIPTION) if "description" in given else None,
        enabled=enabled,
    )


def webhook_to_json(webhook: Webhook) -> Document:
    """Write a webhook, without its secret."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "description": webhook.description,
        "status": webhook.status,
        "created_at": webhook.created_at,
        "after": webhook.after,
        "delivered_at": webhook.delivered_at,
        "missed_at": webhook.missed_at,
        "failures": webhook.failures,
        "failing_since": webhook.failing_since,
        "last_error": webhook.last_error,
        "next_attempt_at": webhook.due_at if webhook.failures and webhook.status is WebhookStatus.ACTIVE else None,
    }


def new_webhook_to_json(webhook: Webhook) -> Document:
    """Write a new webhook with its secret, which no other reply has."""
    return webhook_to_json(webhook) | {"secret": webhook.secret}


def _read_text(given: Mapping[str, Any], name: str, longest: int) -> str:
    text = given.get(name, "")
    if not isinstance(text, str) or len(text) > longest or "\x00" in text or not text.isprintable():
        raise problems.BodyInvalid(f"{name} must be a text of at most {longest} printable characters")
    return text
