"""Handlers of images: documents in, documents out."""

from functools import partial
from typing import Literal

from partage import problems
from partage.http import json_documents
from partage.http.errors import PATCH_TYPES
from partage.http.messages import Header, Reply, Request, json_reply
from partage.http.v2 import query, wire
from partage.model import document, patch
from partage.model.query import ImageQuery
from partage.operations import images

_LONG_BODY_BYTES = 65_536
"""What is longer is checked in a thread: nobody else should wait for that."""
_VERSIONS: dict[str, Literal["2.0", "2.1"]] = {PATCH_TYPES[0]: "2.0", PATCH_TYPES[1]: "2.1"}


async def create_image(request: Request) -> Reply:
    """Create an image."""
    body = await request.read_body()
    given = json_documents.parse(body)
    parse = partial(document.parse_new_image, given, request.edge.options.formats)
    new = await request.edge.threads.call(parse) if len(body) > _LONG_BODY_BYTES else parse()
    image = await request.run(images.create_image, new)
    written = json_reply(wire.image_to_wire(image, request.caller, _shown(request)))
    location = f"{request.origin}/v2/images/{image.id}".encode()
    headers: tuple[Header, ...] = (
        (b"location", location),
        (b"openstack-image-store-ids", ",".join(store.id for store in request.edge.service.all_stores).encode()),
    )
    if request.edge.options.import_methods:
        headers += ((b"openstack-image-import-methods", ",".join(request.edge.options.import_methods).encode()),)
    return Reply(body=written.body, content_type=written.content_type, headers=headers)


async def list_images(request: Request) -> Reply:
    """List images."""
    parameters = query.parameters_of(request.query)
    limits = request.edge.service.limits
    asked = query.parse(parameters, page_default=limits.page_default, page_max=limits.page_max)
    return await request.edge.threads.call_listing(_listed, request, parameters, asked)


async def show_image(request: Request) -> Reply:
    """Show one image."""
    image = await request.run_reading(images.show_image, request.image_id)
    return json_reply(wire.image_to_wire(image, request.caller, _shown(request)))


async def update_image(request: Request) -> Reply:
    """Change an image by a JSON patch of either media type."""
    version = _VERSIONS.get(request.media_type)
    if version is None:
        raise problems.PatchTypeUnsupported(f"Image PATCH expects Content-Type one of: {', '.join(PATCH_TYPES)}")
    body = await request.read_body()
    given = json_documents.parse(body)
    most = request.edge.service.limits.patch_operations
    parse = partial(patch.parse, given, version=version, known=request.edge.options.formats, most=most)
    changes = await request.edge.threads.call(parse) if len(body) > _LONG_BODY_BYTES else parse()
    run = request.run_remote if "locations" in patch.list_changed_names(changes) else request.run
    image = await run(images.update_image, request.image_id, changes)
    return json_reply(wire.image_to_wire(image, request.caller, _shown(request)))


async def delete_image(request: Request) -> Reply:
    """Delete an image."""
    await request.run(images.delete_image, request.image_id)
    return Reply()


async def deactivate_image(request: Request) -> Reply:
    """Withhold an image's data."""
    await request.run(images.deactivate_image, request.image_id)
    return Reply()


async def reactivate_image(request: Request) -> Reply:
    """Give an image's data out again."""
    await request.run(images.reactivate_image, request.image_id)
    return Reply()


def _listed(request: Request, parameters: query.Parameters, asked: ImageQuery) -> Reply:
    """Find a page and write it, in a thread: writing a thousand images takes milliseconds, for which nobody else should wait."""
    page = images.list_images(request.edge.service, request.caller, asked)
    first = query.link(parameters)
    following = None if page.next_marker is None else query.link(parameters, page.next_marker, page.position)
    return json_reply(wire.images_to_wire(page.items, request.caller, _shown(request), first=first, following=following))


def _shown(request: Request) -> wire.Shown:
    options = request.edge.options
    return wire.Shown(direct_url=options.show_direct_url, locations=request.edge.service.locations_shown)
