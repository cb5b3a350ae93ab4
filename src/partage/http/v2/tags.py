"""Handlers of tags."""

from partage.http.messages import Reply, Request
from partage.model import document
from partage.operations import tags


async def add_tag(request: Request) -> Reply:
    """Add a tag to an image."""
    tag = document.parse_tag(request.path["tag"])
    await request.run(tags.add_tag, request.image_id, tag)
    return Reply()


async def remove_tag(request: Request) -> Reply:
    """Remove a tag from an image."""
    await request.run(tags.remove_tag, request.image_id, request.path["tag"])
    return Reply()
