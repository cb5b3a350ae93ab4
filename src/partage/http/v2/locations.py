"""Handlers of locations."""

from partage.http.messages import Reply, Request, json_reply
from partage.model.location import parse_new_location
from partage.operations import locations


async def add_location(request: Request) -> Reply:
    """Add the location from which a worker fetches an image's data."""
    given = parse_new_location(await request.document())
    await request.run(locations.add_location, request.image_id, given, request_id=request.request_id, token=request.token)
    return Reply()


async def list_locations(request: Request) -> Reply:
    """List the locations of an image's data."""
    found = await request.run(locations.list_locations, request.image_id)
    return json_reply(found)
