"""Values become the Image API's documents, field by field, and documents become values.

Written for speed: a page of a hundred images is built and encoded in about half a millisecond. Times stay what they are until the
whole document is encoded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import xxhash

from partage import problems
from partage.http.messages import Reply
from partage.model.caller import Caller
from partage.model.image import Image, ImageStatus
from partage.model.member import Member
from partage.operations.locations import locations_of
from partage.operations.service import HTTPStore, NamedStore

_MOST_VALUES = 20_000
"""Values of a request's document. A mebibyte has room for half a million, and each is looked at in the event loop's thread."""

_DEEPEST = 100
"""Levels of a document. What is made of one, such as the words about a value that does not fit, goes down all of them."""

_TEXT = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)[^"\[\]{}]*+)++', re.DOTALL)
"""Texts with what is between them, also one without its end: whatever begins one is gone over once only."""

DOCUMENT = b"application/json"


@dataclass(frozen=True, slots=True)
class Shown:
    """What users are shown of where an image's bytes are: nothing, unless the operator says so. Source: OSSN-0065, OSSN-0090."""

    direct_url: bool = False
    locations: bool = False


NOTHING_SHOWN = Shown()


def reply(document: object) -> Reply:
    """Make the reply that carries a document, with a strong ETag: the digest of exactly these bytes."""
    body = encode(document)
    return Reply(body=body, content_type=DOCUMENT, etag=etag_of(body))


def encode(document: object) -> bytes:
    """Write a document as JSON, times as the API has them: UTC, whole seconds."""
    return orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS)


def etag_of(body: bytes) -> bytes:
    """Name a representation by its bytes."""
    return b'"%s"' % xxhash.xxh3_128_hexdigest(body).encode()


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


def document_of(body: bytes) -> dict[str, Any] | list[Any]:
    """Read a request's document.

    Raises:
        BodyInvalid: there is none, it is not JSON in UTF-8, it is neither object nor list, or it has a NUL character, which no
            database keeps.
    """
    if not body:
        raise problems.BodyInvalid("Body expected in request.")
    # Before anything is made of it: hundreds of thousands of empty lists take a fifth of a second to be made.
    if _brackets(body) > _MOST_VALUES and _brackets(_TEXT.sub(b"", body)) > _MOST_VALUES:
        raise _too_many_values()
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise problems.BodyInvalid("Malformed JSON in request body.") from error
    if not isinstance(document, dict | list):
        raise problems.BodyInvalid("Unexpected body type. Expected list/dict.")
    _require_bounded(document)
    if b"\\u0000" in body and _has_nul(document):
        raise problems.BodyInvalid("The request body has a NUL character (\\u0000) in a text; leave it out")
    return document


def _require_bounded(document: object) -> None:
    """Refuse a document with too many values at any depth, or that is nested too deep. Looks at few values more than that."""
    found, level = 0, [document]
    for _ in range(_DEEPEST + 1):
        following: list[object] = []
        for value in level:
            if isinstance(value, dict | list):
                found += len(value)
                if found > _MOST_VALUES:
                    raise _too_many_values()
                following.extend(value.values() if isinstance(value, dict) else value)
        if not following:
            return
        level = following
    raise problems.BodyInvalid(f"The request body is nested more than {_DEEPEST} levels deep; make it flatter")


def _too_many_values() -> problems.BodyInvalid:
    return problems.BodyInvalid(f"The request body has more than {_MOST_VALUES} values; send less at a time")


def _brackets(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, list):
        return any(_has_nul(each) for each in value)
    if isinstance(value, dict):
        return any("\x00" in name or _has_nul(each) for name, each in value.items())
    return False
