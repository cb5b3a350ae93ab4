"""The handler of usage against quotas."""

from partage.http import json_documents
from partage.http.messages import Reply, Request
from partage.operations import quota


async def show_usage(request: Request) -> Reply:
    """Report usage against unified limits; nothing when none are in force. Source: Glance answers the same."""
    edge = request.edge
    found = await edge.threads.call(quota.usage, edge.service, request.caller)
    return json_documents.reply({"usage": {name: {"usage": used, "limit": limit} for name, (used, limit) in found.items()}})
