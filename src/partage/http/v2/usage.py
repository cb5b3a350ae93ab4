"""The handler of usage against quotas."""

from partage.http.messages import Reply, Request, json_reply
from partage.operations import quota


async def show_usage(request: Request) -> Reply:
    """Report usage against unified limits; nothing when none are in force. Source: Glance answers the same."""
    found = await request.run(quota.usage)
    return json_reply({"usage": {name: {"usage": used, "limit": limit} for name, (used, limit) in found.items()}})
