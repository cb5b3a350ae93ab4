"""Handlers of locations."""

from partage.http.messages import Reply, Request, json_reply
from partage.model.location import parse_new_location
from partage.operations import locations


async def add_location(request: Request) -> Reply:
    """Let a worker fetch an image's bytes from where a service says they are."""
    given = parse_new_location(await request.document())
    await request.run(locations.add_location, request.image_id, given, request_id=request.request_id, token=request.token)
    return Reply()


async def list_locations(request: Request) -> Reply:
    """Say where an image's bytes are."""
    found = await request.run(locations.list_locations, request.image_id)
    return json_reply(found)
