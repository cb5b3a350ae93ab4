"""Handlers of tags."""

from partage.http.messages import Reply, Request
from partage.model import document
from partage.model.ids import ImageID
from partage.operations import tags


async def add(request: Request) -> Reply:
    """Give an image a tag."""
    edge = request.edge
    tag = document.parse_tag(request.path["tag"])
    await edge.threads.call(tags.add_tag, edge.service, request.caller, ImageID(request.path["image_id"]), tag)
    return Reply()


async def remove(request: Request) -> Reply:
    """Take a tag from an image."""
    edge = request.edge
    image_id = ImageID(request.path["image_id"])
    await edge.threads.call(tags.remove_tag, edge.service, request.caller, image_id, request.path["tag"])
    return Reply()
