"""Rows of webhooks: add, find, list, save, remove; and the claims of workers that send their events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, tuple_, update

from partage import problems
from partage.model.ids import ProjectID
from partage.model.webhook import Webhook, WebhookID, WebhookStatus
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.event_tables import events, webhooks

_COLUMNS = tuple(column for column in webhooks.c if column.name not in ("claim", "claimed_until"))
_OF_PROJECT = (
    select(*_COLUMNS).where(webhooks.c.project_id == bindparam("project_id")).order_by(webhooks.c.created_at, webhooks.c.id)
)
_BUSY = webhooks.alias("busy")

_HAS_EVENTS = (
    select(events.c.id)
    .where(
        tuple_(events.c.project_id, events.c.id) > tuple_(webhooks.c.project_id, webhooks.c.position),
        tuple_(events.c.project_id, events.c.id) <= tuple_(webhooks.c.project_id, bindparam("last")),
    )
    .correlate(webhooks)
    .exists()
)
_IS_BUSY = (
    select(_BUSY.c.id)
    .where(_BUSY.c.project_id == webhooks.c.project_id, _BUSY.c.claimed_until > bindparam("now"))
    .correlate(webhooks)
    .exists()
)
_DUE = (
    select(webhooks.c.id, webhooks.c.claimed_until)
    .where(
        and_(webhooks.c.status == WebhookStatus.ACTIVE.value, webhooks.c.due_at <= bindparam("now")),
        ~_IS_BUSY,
        _HAS_EVENTS,
    )
    .order_by(webhooks.c.due_at, webhooks.c.id)
    .limit(1)
)
"""The webhook that waits longest among those with events. Each project is served by one worker at a time."""


def add(tx: Transaction, webhook: Webhook) -> None:
    """Insert a webhook."""
    tx.execute(insert(webhooks), _row(webhook) | {"claimed_until": 0})


def count(tx: Transaction, project_id: ProjectID) -> int:
    """Count the webhooks of a project."""
    return int(tx.execute(select(func.count()).where(webhooks.c.project_id == project_id)).scalar_one())


def list_of_project(tx: Transaction, project_id: ProjectID) -> list[Webhook]:
    """List the webhooks of a project, oldest first."""
    return [_webhook(row) for row in tx.execute(_OF_PROJECT, {"project_id": project_id})]


def find(tx: Transaction, project_id: ProjectID | None, webhook_id: WebhookID, *, for_change: bool = False) -> Webhook:
    """Return a webhook of a project; with `for_change` its row is locked.

    Raises:
        WebhookNotFound: the project has no such webhook.
    """
    statement = select(*_COLUMNS).where(webhooks.c.id == webhook_id, webhooks.c.project_id == project_id)
    row = tx.execute(statement.with_for_update() if for_change else statement).first()
    if row is None:
        raise problems.WebhookNotFound(f"There is no webhook {webhook_id}")
    return _webhook(row)


def save(tx: Transaction, webhook: Webhook) -> None:
    """Write a webhook that its project changed. A worker that has it notices: its claim ends."""
    tx.execute(update(webhooks).where(webhooks.c.id == webhook.id), _row(webhook) | {"claim": None, "claimed_until": 0})


def remove(tx: Transaction, webhook_id: WebhookID) -> None:
    """Delete a webhook."""
    tx.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def is_any_due(tx: Transaction, *, now: datetime, last: int) -> bool:
    """Whether a webhook has events up to the id `last` to send now."""
    return tx.execute(_DUE, {"now": to_microseconds(now), "last": last}).first() is not None


def claim_due(tx: Transaction, *, claim: str, now: datetime, until: datetime, last: int) -> Webhook | None:
    """Claim a webhook that has events up to the id `last` to send now; None if there is none, or another worker was faster."""
    given = {"now": to_microseconds(now), "last": last}
    due = tx.execute(_DUE, given).first()
    if due is None:
        return None
    found = update(webhooks).where(webhooks.c.id == due.id, webhooks.c.claimed_until == due.claimed_until)
    if not tx.execute(found.values(claim=claim, claimed_until=to_microseconds(until))).rowcount:
        return None
    return _webhook(tx.execute(select(*_COLUMNS).where(webhooks.c.id == due.id)).one())


def save_claimed(tx: Transaction, webhook: Webhook, *, claim: str, until: datetime | None) -> bool:
    """Write the progress of a claimed webhook, and keep the claim until a time, or give it up; return whether the claim held."""
    state = {name: value for name, value in _row(webhook).items() if name not in ("url", "description", "secret")}
    state |= {"claim": None, "claimed_until": 0} if until is None else {"claimed_until": to_microseconds(until)}
    return tx.execute(update(webhooks).where(webhooks.c.id == webhook.id, webhooks.c.claim == claim).values(state)).rowcount == 1


def _row(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "project_id": webhook.project_id,
        "url": webhook.url,
        "secret": webhook.secret,
        "description": webhook.description,
        "status": webhook.status.value,
        "created_at": to_microseconds(webhook.created_at),
        "position": webhook.position,
        "due_at": to_microseconds(webhook.due_at),
        "failures": webhook.failures,
        "failing_since": None if webhook.failing_since is None else to_microseconds(webhook.failing_since),
        "last_error": webhook.last_error,
        "delivered_at": None if webhook.delivered_at is None else to_microseconds(webhook.delivered_at),
        "missed_at": None if webhook.missed_at is None else to_microseconds(webhook.missed_at),
    }


def _webhook(row: Sequence[Any]) -> Webhook:
    (webhook_id, project_id, url, secret, description, status, created_at, position, due_at, failures, failing_since, last_error,
     delivered_at, missed_at) = row  # fmt: skip
    return Webhook(
        id=WebhookID(webhook_id),
        project_id=ProjectID(project_id),
        url=url,
        secret=secret,
        description=description,
        status=WebhookStatus(status),
        created_at=from_microseconds(created_at),
        position=position,
        due_at=from_microseconds(due_at),
        failures=failures,
        failing_since=None if failing_since is None else from_microseconds(failing_since),
        last_error=last_error,
        delivered_at=None if delivered_at is None else from_microseconds(delivered_at),
        missed_at=None if missed_at is None else from_microseconds(missed_at),
    )
