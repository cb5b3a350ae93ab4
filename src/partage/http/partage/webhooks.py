"""Handlers of webhooks: create, list, show, change, delete."""

from dataclasses import replace
from http import HTTPStatus

from partage.http.messages import NOT_STORED, Reply, Request, json_reply
from partage.http.partage import webhook_json
from partage.model.webhook import WebhookID
from partage.operations.sharing import webhooks


async def create_webhook(request: Request) -> Reply:
    """Create a webhook; this reply alone has its secret."""
    new = webhook_json.parse_webhook(await request.document())
    reply = json_reply(webhook_json.new_webhook_to_json(await request.run(webhooks.create_webhook, new)))
    return replace(reply, headers=(NOT_STORED,))


async def list_webhooks(request: Request) -> Reply:
    """List the webhooks of the caller's project; there are few."""
    found = await request.run_reading(webhooks.list_webhooks)
    return json_reply({"webhooks": [webhook_json.webhook_to_json(each) for each in found]})


async def show_webhook(request: Request) -> Reply:
    """Show a webhook."""
    return json_reply(webhook_json.webhook_to_json(await request.run_reading(webhooks.show_webhook, _read_id(request))))


async def change_webhook(request: Request) -> Reply:
    """Change a webhook, disable it, or enable it again."""
    change = webhook_json.parse_change(await request.document())
    return json_reply(webhook_json.webhook_to_json(await request.run(webhooks.change_webhook, _read_id(request), change)))


async def delete_webhook(request: Request) -> Reply:
    """Delete a webhook."""
    await request.run(webhooks.delete_webhook, _read_id(request))
    return Reply(status=HTTPStatus.NO_CONTENT)


def _read_id(request: Request) -> WebhookID:
    return WebhookID(request.path["webhook_id"])
