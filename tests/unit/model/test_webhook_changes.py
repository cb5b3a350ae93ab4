"""Changes of a webhook by its project, while its receiver fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from partage.model.ids import ProjectID
from partage.model.webhook import Webhook, WebhookChange, WebhookID, WebhookStatus

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
NEW = Webhook(
    id=WebhookID("w"), project_id=ProjectID("A"), url="https://a/", secret="whsec_", created_at=NOW, position=0, due_at=NOW
)
FAILING = NEW.note_failure("refused", now=NOW, jitter=0.0, most_failures=16).note_failure(
    "refused", now=NOW, jitter=0.0, most_failures=16
)
PAUSED = replace(FAILING, status=WebhookStatus.PAUSED)


@pytest.mark.parametrize(
    ("webhook", "change"),
    [
        (FAILING, WebhookChange(url="https://b/")),
        (FAILING, WebhookChange(enabled=True)),
        (PAUSED, WebhookChange(enabled=True)),
        (PAUSED, WebhookChange(enabled=True, url="https://b/")),
        (replace(FAILING, status=WebhookStatus.DISABLED), WebhookChange(enabled=True)),
    ],
)
def test_repaired_webhook_is_tried_at_once(webhook: Webhook, change: WebhookChange) -> None:
    changed = webhook.change(change, now=LATER)
    assert (changed.status, changed.due_at, changed.failures) == (WebhookStatus.ACTIVE, LATER, 0)
    assert (changed.failing_since, changed.last_error) == (None, None)


@pytest.mark.parametrize("change", [WebhookChange(description="d"), WebhookChange(url=FAILING.url)])
def test_change_that_repairs_nothing_keeps_the_back_off(change: WebhookChange) -> None:
    changed = FAILING.change(change, now=LATER)
    assert (changed.due_at, changed.failures, changed.last_error) == (FAILING.due_at, 2, "refused")


@pytest.mark.parametrize("webhook", [PAUSED, replace(FAILING, status=WebhookStatus.DISABLED)])
def test_another_url_does_not_enable_a_webhook(webhook: Webhook) -> None:
    changed = webhook.change(WebhookChange(url="https://b/"), now=LATER)
    assert (changed.status, changed.url, changed.last_error) == (webhook.status, "https://b/", "refused")
    assert FAILING.change(WebhookChange(url="https://b/", enabled=False), now=LATER).status is WebhookStatus.DISABLED
