"""Makes an image of this service from one of Glance, or says why that is not possible. Writes nothing."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import orjson

from partage import problems
from partage.content.digest import ALGORITHMS, CHECKSUM, Digests
from partage.content.manifest import Content
from partage.model.glance import GlanceImage, GlanceMember
from partage.model.ids import ContentID, ImageID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.importing import LOCK
from partage.model.member import Member, MemberStatus
from partage.model.original import Original
from partage.operations.service import Service
from partage.operations.taking_over.places import Found, Places, find_bytes

_E = TypeVar("_E", bound=StrEnum)

_WITH_BYTES = (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
_UNFINISHED = (ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING)
_LEFT_OUT = (LOCK, "os_glance_stage_host", "os_glance_hash_op_host")
"""Properties that only the Glance that set them can read: its locks, and the addresses of its processes."""


@dataclass(frozen=True, slots=True)
class Coming:
    """An image that can be taken over. `warnings` say what of it stays behind. `content` None: it has no bytes in a store."""

    image: Image
    members: tuple[Member, ...]
    content: Content | None
    originals: Mapping[StoreID, Original]
    warnings: tuple[str, ...]


def compute_fingerprint(value: object) -> str:
    """Compute a digest of a value of Glance, which changes whenever Glance changes anything of it."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()


def describe(image: GlanceImage, places: Places) -> str:
    """Return the fingerprint of an image of Glance, and of the stores that stand for Glance's."""
    return compute_fingerprint([asdict(image), dict(places.stores)])


def prepare(service: Service, places: Places, given: GlanceImage, *, is_checked: bool = True) -> Coming:
    """Make an image from one of Glance. `is_checked`: each place of its bytes is asked for their size.

    Raises:
        Invalid: the image cannot be taken over; the message completes "Image ID is not taken over:".
    """
    status = _parse(ImageStatus, given.status, "it has the status")
    visibility = _parse(Visibility, given.visibility, "it has the visibility")
    if status in _UNFINISHED:
        raise problems.Invalid(f"it is {status}; run the command again when it is active")
    found = Found({}, (), ())
    if status in _WITH_BYTES:
        found = find_bytes(service, places, given, is_checked=is_checked)
        _require_bytes(found)
    image = _build(given, status, visibility)
    image = replace(image, stores=tuple(found.originals), references=found.references)
    return Coming(
        image=image,
        members=tuple(_build_member(image, each) for each in given.members),
        content=_describe_content(given) if found.originals else None,
        originals=found.originals,
        warnings=tuple(f"without one of its locations: {each}" for each in found.refused) + _list_lost(given),
    )


def _parse(kind: type[_E], value: str, what: str) -> _E:
    try:
        return kind(value)
    except ValueError as error:
        raise problems.Invalid(f"{what} {value}, which the Image API does not have; correct it in Glance") from error


def _require_bytes(found: Found) -> None:
    if found.originals or found.references:
        return
    if found.refused:
        raise problems.Invalid("; ".join(found.refused))
    raise problems.Invalid(
        "Glance has no location of its data, as for a moment at the end of an upload; run the command again, and if that does not "
        "help, delete the image in Glance"
    )


def _describe_content(given: GlanceImage) -> Content:
    """Describe a content by the digests that Glance recorded, as far as this service computes them."""
    known = {CHECKSUM: given.checksum, given.os_hash_algo or "": given.os_hash_value}
    digests = {name: value.lower() for name, value in known.items() if name in ALGORITHMS and value}
    return Content(size_bytes=given.size or 0, digests=Digests(**digests), virtual_size_bytes=given.virtual_size)


def _build(given: GlanceImage, status: ImageStatus, visibility: Visibility) -> Image:
    return Image(
        id=ImageID(given.id),
        owner=None if given.owner is None else ProjectID(given.owner),
        created_at=given.created_at,
        updated_at=given.updated_at,
        name=given.name,
        status=status,
        visibility=visibility,
        protected=given.protected,
        os_hidden=given.os_hidden,
        min_disk=given.min_disk,
        min_ram=given.min_ram,
        disk_format=given.disk_format,
        container_format=given.container_format,
        size=given.size,
        virtual_size=given.virtual_size,
        checksum=given.checksum,
        os_hash_algo=given.os_hash_algo,
        os_hash_value=given.os_hash_value,
        tags=given.tags,
        properties={name: value for name, value in given.properties.items() if value is not None and name not in _LEFT_OUT},
    )


def _build_member(image: Image, given: GlanceMember) -> Member:
    status = _parse(MemberStatus, given.status, "it has a member with the status")
    return Member(
        image_id=image.id,
        member_id=ProjectID(given.member_id),
        created_at=given.created_at,
        updated_at=given.updated_at,
        status=status,
        answered_at=None if status is MemberStatus.PENDING else given.updated_at,
    )


def _list_lost(given: GlanceImage) -> tuple[str, ...]:
    empty = sorted(name for name, value in given.properties.items() if value is None)
    return (f"without properties that have no value: {', '.join(empty)}",) if empty else ()


def attach(coming: Coming, content_id: ContentID | None) -> Coming:
    """Return what comes, with the id of its content."""
    if content_id is None:
        return coming
    named = {store: replace(each, content_id=content_id) for store, each in coming.originals.items()}
    return replace(coming, image=replace(coming.image, content_id=content_id), originals=named)


def is_changed_here(present: Image, written_at: datetime) -> bool:
    """Return whether an image was changed here since it was taken over."""
    return present.updated_at != written_at
