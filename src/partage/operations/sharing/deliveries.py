"""Send events to webhooks: in order for each webhook, at least once, and one project at a time for each worker thread.

1. One transaction claims a webhook that has events, for a limited time. Its project is not served by another worker meanwhile.
2. Each event is sent without an open transaction. A response of 2xx moves the webhook's position in one transaction, if the claim
   still holds. A worker that dies before it leaves the position, so that the event is sent again when the claim has run out.
3. After a failure the next attempt waits for a back-off. Other webhooks continue.
"""

import logging
import random
from dataclasses import replace
from datetime import timedelta

import orjson

from partage import problems
from partage.measures import DELIVERIES
from partage.model.event import EventFeed, EventQuery, RecordedEvent
from partage.model.event_cursor import Cursor
from partage.model.webhook import Webhook, WebhookStatus, sign
from partage.operations.service import Service
from partage.outbound import fetch
from partage.records import event_keys, events, webhooks

_LOG = logging.getLogger("partage.webhooks")

CLAIM = timedelta(minutes=2)
"""How long a claim holds: longer than one attempt takes, with its DNS lookup."""

_TURN = timedelta(seconds=5)
_EVENTS_OF_TURN = 50
"""After so many events, or so long, other webhooks have their turn."""

_REMOVED = "events were removed before they were delivered; enable the webhook to receive those that are kept"
_NO_ANSWER = "the URL cannot be reached, or does not answer in time with HTTP"
_DELIVERED = range(200, 300)
_GONE = 410
"""Statuses of a response."""

_SOURCE = "/partage/v1/events"
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS


def deliver_next(service: Service) -> bool:
    """Send events of one webhook, for one turn; return whether there was one.

    Raises:
        DatabaseUnavailable: the database does not answer. What was sent is sent again.
    """
    claim, now = service.new_id(), service.clock()
    with service.database.read() as tx:
        last = events.find_last(tx)
        if not webhooks.is_any_due(tx, now=now, last=last):  # most polls find nothing, and must not wait for other writers
            return False
    with service.database.write() as tx:
        webhook = webhooks.claim_due(tx, claim=claim, now=now, until=now + CLAIM, last=last)
        if webhook is None:
            return False
        page = events.page(tx, EventQuery(project_id=webhook.project_id, limit=_EVENTS_OF_TURN, after=webhook.position), last=last)
        removed = events.find_removed(tx, webhook.project_id)
        if webhook.position < removed.last:
            paused = webhook.note_gap(removed.last, _REMOVED, now=now)
            if webhooks.save_claimed(tx, paused, claim=claim, until=None):
                _log_failure(paused)
            return True
        if webhook.position < removed.of_others:
            webhook = replace(webhook, missed_at=now)
        feed = EventFeed(page=page, cursors=event_keys.find_cipher(tx))
    _deliver(service, webhook, claim, feed)
    return True


def _deliver(service: Service, webhook: Webhook, claim: str, feed: EventFeed) -> None:
    ends_at = service.clock() + _TURN
    waiting = feed.page.events
    for position, event in enumerate(waiting, start=1):
        webhook = _attempt(service, webhook, event, feed.cursors.write(event.number))
        now = service.clock()
        goes_on = webhook.position == event.number and position < len(waiting) and now < ends_at
        with service.database.write() as tx:
            if not webhooks.save_claimed(tx, webhook, claim=claim, until=now + CLAIM if goes_on else None) or not goes_on:
                return


def _attempt(service: Service, webhook: Webhook, event: RecordedEvent, cursor: Cursor) -> Webhook:
    """Send one event; return the webhook afterwards."""
    body = orjson.dumps(_make_message(event, cursor), option=_OPTIONS)
    error, is_final = _send(service, webhook, cursor, body)
    now = service.clock()
    service.process.meter.add(DELIVERIES, "delivered" if error is None else "failed")
    if error is None:
        if webhook.failures:
            _LOG.info("webhook delivers again", extra={**_describe(webhook), "failures": webhook.failures})
        return webhook.note_delivery(event.number, now=now)
    jitter = random.random()  # noqa: S311 -- it spreads retries
    most = service.sharing.webhooks.most_failures
    failed = webhook.note_failure(error, now=now, jitter=jitter, most_failures=most, is_final=is_final)
    _log_failure(failed)
    return failed


def _log_failure(webhook: Webhook) -> None:
    """Log that an event could not be sent, or that the service gives the webhook up until its project enables it again."""
    if webhook.status is WebhookStatus.PAUSED:
        _LOG.info("webhook paused", extra={**_describe(webhook), "failures": webhook.failures, "reason": webhook.last_error})
        return
    times = {"failures": webhook.failures, "next_attempt": webhook.due_at.isoformat(timespec="seconds")}
    _LOG.info("webhook delivery failed", extra={**_describe(webhook), **times, "reason": webhook.last_error})


def _describe(webhook: Webhook) -> dict[str, object]:
    """Return what lines of the log say of a webhook. No line has its URL, which may contain a secret."""
    return {"webhook": webhook.id, "project": webhook.project_id}


def _send(service: Service, webhook: Webhook, message_id: str, body: bytes) -> tuple[str | None, bool]:
    """Send a message; return what went wrong, and whether the receiver wants no more. Redirects are not followed."""
    rules = replace(service.integrations.fetch, connect_seconds=service.sharing.webhooks.timeout_seconds)
    timestamp = int(service.clock().timestamp())
    headers = {
        "Content-Type": "application/cloudevents+json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(webhook.secret, message_id, timestamp, body),
    }
    try:
        status = fetch.post(webhook.url, rules, body=body, headers=headers)
    except problems.UriRefused as refusal:
        return refusal.sentence(), False
    except problems.FetchFailed:
        return _NO_ANSWER, False
    if status in _DELIVERED:
        return None, False
    return f"the URL answered with status {status}", status == _GONE


def _make_message(event: RecordedEvent, cursor: Cursor) -> dict[str, object]:
    """Write an event for its project. Source: CloudEvents 1.0, JSON event format."""
    return {
        "specversion": "1.0",
        "id": cursor,
        "source": _SOURCE,
        "type": f"partage.{event.type}",
        "time": event.at,
        "subject": event.image_id,
        "datacontenttype": "application/json",
        "data": event.document(cursor, complete=False),
    }
