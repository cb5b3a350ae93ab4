"""Webhooks of a project: create, list, show, change, delete. `deliveries.py` sends the events."""

import secrets
from dataclasses import replace

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.webhook import SECRET_BYTES, NewWebhook, Webhook, WebhookChange, WebhookID, make_secret
from partage.operations.service import Service
from partage.outbound.rules import check_url
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import event_keys, events, projects, webhooks
from partage.records.database import Transaction


def create_webhook(service: Service, caller: Caller, new: NewWebhook) -> Webhook:
    """Send the events of the caller's project to a URL, from now on. The secret is shown to this caller only.

    Raises:
        PolicyForbids: the caller may not create webhooks.
        UriRefused: a rule of the operator forbids the URL.
        TooMany: the project has as many as it may have.
    """
    project_id = _authorise(service, caller, rules.CREATE_WEBHOOK)
    check_url(new.url, service.integrations.fetch)
    now = service.clock()
    with service.database.write() as tx:
        projects.lock(tx, project_id)
        most = service.sharing.webhooks.per_project
        if webhooks.count(tx, project_id) >= most:
            raise problems.TooMany(f"A project has at most {most} webhooks; delete one first")
        webhook = Webhook(
            id=WebhookID(service.new_id()),
            project_id=project_id,
            url=new.url,
            description=new.description,
            secret=make_secret(secrets.token_bytes(SECRET_BYTES)),
            created_at=now,
            position=events.find_position(tx, project_id, last=events.find_last(tx)),
            due_at=now,
        )
        webhooks.add(tx, webhook)
        return _show(tx, webhook)


def list_webhooks(service: Service, caller: Caller) -> list[Webhook]:
    """List the webhooks of the caller's project.

    Raises:
        PolicyForbids: the caller may not list them.
    """
    project_id = _authorise(service, caller, rules.LIST_WEBHOOKS)
    with service.database.read() as tx:
        return _show_all(tx, webhooks.list_of_project(tx, project_id))


def show_webhook(service: Service, caller: Caller, webhook_id: WebhookID) -> Webhook:
    """Return a webhook of the caller's project.

    Raises:
        PolicyForbids: the caller may not see webhooks.
        WebhookNotFound: the project has no such webhook.
    """
    project_id = _authorise(service, caller, rules.GET_WEBHOOK)
    with service.database.read() as tx:
        return _show(tx, webhooks.find(tx, project_id, webhook_id))


def change_webhook(service: Service, caller: Caller, webhook_id: WebhookID, change: WebhookChange) -> Webhook:
    """Change a webhook, disable it, or enable it again.

    Raises:
        PolicyForbids: the caller may not change webhooks.
        WebhookNotFound: the project has no such webhook.
        UriRefused: a rule of the operator forbids the URL.
    """
    project_id = _authorise(service, caller, rules.CHANGE_WEBHOOK)
    if change.url is not None:
        check_url(change.url, service.integrations.fetch)
    with service.database.write() as tx:
        webhook = webhooks.find(tx, project_id, webhook_id, for_change=True)
        changed = webhook.change(change, now=service.clock())
        webhooks.save(tx, changed)
        return _show(tx, changed)


def delete_webhook(service: Service, caller: Caller, webhook_id: WebhookID) -> None:
    """Delete a webhook. A request that is under way is not taken back.

    Raises:
        PolicyForbids: the caller may not delete webhooks.
        WebhookNotFound: the project has no such webhook.
    """
    project_id = _authorise(service, caller, rules.DELETE_WEBHOOK)
    with service.database.write() as tx:
        webhooks.find(tx, project_id, webhook_id, for_change=True)
        webhooks.remove(tx, webhook_id)


def _show(tx: Transaction, webhook: Webhook) -> Webhook:
    (shown,) = _show_all(tx, [webhook])
    return shown


def _show_all(tx: Transaction, found: list[Webhook]) -> list[Webhook]:
    """Return the webhooks with the cursors of their positions."""
    cursors = event_keys.find_cipher(tx)
    return [replace(each, after=cursors.write(each.position)) for each in found]


def _authorise(service: Service, caller: Caller, rule: str) -> ProjectID:
    service.authority.require(caller, rule, authority.project_target(caller.project_id))
    if caller.project_id is None:
        raise problems.PolicyForbids(rule=rule)
    return caller.project_id
