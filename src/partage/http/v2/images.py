"""Handlers of images, and the JSON of an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from partage import problems
from partage.http import json_documents, query_strings
from partage.http.errors import PATCH_TYPES
from partage.http.messages import Header, Reply, Request, json_reply
from partage.http.v2 import paths, query
from partage.model import document, patch
from partage.model.caller import Caller
from partage.model.image import Image, ImageStatus
from partage.model.query import ImageQuery
from partage.operations import images
from partage.operations.locations import locations_of

_LONG_BODY_BYTES = 65_536
"""Longer documents are validated in a thread, so that other requests do not wait."""
_VERSIONS: dict[str, Literal["2.0", "2.1"]] = {PATCH_TYPES[0]: "2.0", PATCH_TYPES[1]: "2.1"}


@dataclass(frozen=True, slots=True)
class LocationOptions:
    """Which attributes of an image show where its data is; none by default. Source: OSSN-0065, OSSN-0090."""

    direct_url: bool = False
    locations: bool = False


NO_LOCATIONS = LocationOptions()


async def create_image(request: Request) -> Reply:
    """Create an image."""
    body = await request.read_body()
    given = json_documents.parse(body)
    parse = partial(document.parse_new_image, given, request.edge.options.formats)
    new = await request.edge.threads.call(parse) if len(body) > _LONG_BODY_BYTES else parse()
    image = await request.run(images.create_image, new)
    written = json_reply(image_to_json(image, request.caller, _find_location_options(request)))
    location = f"{request.origin}{paths.IMAGES}/{image.id}".encode()
    headers: tuple[Header, ...] = (
        (b"location", location),
        (b"openstack-image-store-ids", ",".join(store.id for store in request.edge.service.stores.all).encode()),
    )
    if request.edge.options.import_methods:
        headers += ((b"openstack-image-import-methods", ",".join(request.edge.options.import_methods).encode()),)
    return Reply(body=written.body, content_type=written.content_type, headers=headers)


async def list_images(request: Request) -> Reply:
    """List images."""
    parameters = query_strings.decode(request.query)
    limits = request.edge.service.limits
    asked = query.parse(parameters, page_default=limits.page_default, page_max=limits.page_max)
    return await request.edge.threads.call_listing(_render_page, request, parameters, asked)


async def show_image(request: Request) -> Reply:
    """Show one image."""
    image = await request.run_reading(images.show_image, request.image_id)
    return json_reply(image_to_json(image, request.caller, _find_location_options(request)))


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
    return json_reply(image_to_json(image, request.caller, _find_location_options(request)))


async def delete_image(request: Request) -> Reply:
    """Delete an image."""
    await request.run(images.delete_image, request.image_id)
    return Reply()


async def deactivate_image(request: Request) -> Reply:
    """Deactivate an image: its data cannot be downloaded."""
    await request.run(images.deactivate_image, request.image_id)
    return Reply()


async def reactivate_image(request: Request) -> Reply:
    """Reactivate an image."""
    await request.run(images.reactivate_image, request.image_id)
    return Reply()


def _render_page(request: Request, parameters: query_strings.Parameters, asked: ImageQuery) -> Reply:
    """Read and render a page, in a thread: to render a thousand images takes milliseconds, and other requests must not wait."""
    page = images.list_images(request.edge.service, request.caller, asked)
    first = query.link(parameters)
    following = None if page.next_marker is None else query.link(parameters, page.next_marker, page.position)
    return json_reply(images_to_json(page.items, request.caller, _find_location_options(request), first=first, following=following))


def _find_location_options(request: Request) -> LocationOptions:
    options = request.edge.options
    return LocationOptions(direct_url=options.show_direct_url, locations=request.edge.service.features.locations_shown)


def image_to_json(image: Image, caller: Caller, shown: LocationOptions = NO_LOCATIONS) -> dict[str, Any]:
    """Render an image. Custom properties are members beside the attributes, and never replace one.

    Only administrators see the stores and locations of a deactivated image. Source: Glance hides its locations.
    """
    path = f"{paths.IMAGES}/{image.id}"
    written: dict[str, Any] = {
        **image.properties,
        "name": image.name,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "visibility": image.visibility,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "status": image.status,
        "checksum": image.checksum,
        "protected": image.protected,
        "min_ram": image.min_ram,
        "min_disk": image.min_disk,
        "owner": image.former_owner or image.owner,
        "os_hidden": image.os_hidden,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "id": image.id,
        "created_at": image.created_at,
        "updated_at": image.updated_at,
        "tags": image.tags,
        "self": path,
        "file": path + "/file",
        "schema": f"{paths.SCHEMAS}/image",
    }
    hidden = image.status is ImageStatus.DEACTIVATED and not caller.is_admin
    if (image.stores or image.references) and not hidden:
        written["stores"] = ",".join(image.all_stores)
    if shown.locations or shown.direct_url:
        written |= _locations_to_json(image, shown, hidden=hidden)
    return written


def _locations_to_json(image: Image, shown: LocationOptions, *, hidden: bool) -> dict[str, Any]:
    found = [] if hidden else locations_of(image)
    written: dict[str, Any] = {"locations": found} if shown.locations else {}
    return {**written, "direct_url": found[0]["url"]} if shown.direct_url and found else written


def images_to_json(
    images: Sequence[Image],
    caller: Caller,
    shown: LocationOptions = NO_LOCATIONS,
    *,
    first: str,
    following: str | None,
) -> dict[str, Any]:
    """Render a page of images, with links to the first and next page."""
    written: dict[str, Any] = {
        "images": [image_to_json(image, caller, shown) for image in images],
        "first": first,
        "schema": f"{paths.SCHEMAS}/images",
    }
    if following is not None:
        written["next"] = following
    return written
