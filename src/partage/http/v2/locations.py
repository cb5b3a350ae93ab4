"""Handlers of locations."""

from partage.http import json_documents
from partage.http.messages import Reply, Request
from partage.model.ids import ImageID
from partage.model.location import parse_new_location
from partage.operations import locations


async def add(request: Request) -> Reply:
    """Let a worker fetch an image's bytes from where a service says they are."""
    edge = request.edge
    given = parse_new_location(json_documents.parse(await request.body.read(edge.options.document_bytes)))
    image_id = ImageID(request.path["image_id"])
    await edge.threads.call(
        locations.add_location,
        edge.service,
        request.caller,
        image_id,
        given,
        request_id=request.request_id,
        token=request.header(b"x-auth-token") or "",
    )
    return Reply()


async def index(request: Request) -> Reply:
    """Say where an image's bytes are."""
    edge = request.edge
    found = await edge.threads.call(locations.list_locations, edge.service, request.caller, ImageID(request.path["image_id"]))
    return json_documents.reply(found)
