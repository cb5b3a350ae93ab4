"""Handlers of images in the sharing API: adopt, lineage."""

from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import image_json
from partage.operations.sharing import adoption


async def adopt_image(request: Request) -> Reply:
    """Make an own image with the content of one that the caller can download. No bytes are copied."""
    wanted = image_json.parse_adoption(await request.document(), request.edge.options.formats)
    # Where quotas are limits of Keystone, it waits for it.
    image, lineage = await request.run_remote(adoption.adopt_image, request.image_id, wanted)
    return json_reply(image_json.adoption_to_json(image, lineage))


async def show_lineage(request: Request) -> Reply:
    """Show what an image of the caller's project was adopted from."""
    return json_reply(image_json.lineage_to_json(await request.run_reading(adoption.show_lineage, request.image_id)))
