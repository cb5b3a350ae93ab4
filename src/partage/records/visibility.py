"""The fragments that mean "images this caller may know exist".

Existence is masked here and nowhere else: what these fragments leave out is not found, so that an image which the caller may not
know of and one that does not exist are answered by the same code.

The rule: a project knows its own images, public and community ones, shared ones of which it is a member, whatever it answered,
until the share expires, and every image for which its notice runs; an administrator knows all; somebody without a token knows
public ones. A list shows fewer by default: no community images of others, and shared ones only once accepted.

Access that ends by the clock ends in these fragments: they compare with `now`, and depend on no job.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, or_, true

from partage.model.caller import Caller
from partage.model.image import Visibility
from partage.model.query import ImageQuery
from partage.records.database import to_microseconds
from partage.records.tables import endings, images, members

PROJECT: BindParameter[str] = bindparam("project")
NOW: BindParameter[int] = bindparam("now")
NOT_MINE = images.c.owner.is_distinct_from(PROJECT)


def bind_caller(caller: Caller, now: datetime) -> dict[str, object]:
    """Return the values of the fragments' bound parameters."""
    return {"project": caller.project_id, "now": to_microseconds(now)}


def visible_by_id(*, is_admin: bool) -> ColumnElement[bool]:
    """Mean "the caller may know this image": for a look-up by id, where an OR over one row costs nothing."""
    if is_admin:
        return true()
    return or_(
        images.c.owner == PROJECT,
        images.c.owner.is_(None),
        # Not IN: SQLAlchemy writes such a list into the statement anew for every request.
        images.c.visibility == Visibility.PUBLIC.value,
        images.c.visibility == Visibility.COMMUNITY.value,
        and_(images.c.visibility == Visibility.SHARED.value, is_member()),
        has_notice(),
    )


PUBLIC = images.c.visibility == Visibility.PUBLIC.value
"""Mean "anybody may know this image"."""


def restrict_to_public(query: ImageQuery, caller: Caller) -> ImageQuery | None:
    """Ask for public images only, on behalf of somebody without a token; None when others were asked for."""
    if not caller.is_anonymous:
        return query
    if query.visibility not in {None, Visibility.PUBLIC}:
        return None
    return replace(query, visibility=Visibility.PUBLIC, all_visibilities=False)


def is_member() -> ColumnElement[bool]:
    """Mean "the caller's project has a membership of this image, whatever its status, that has not expired"."""
    return exists().where(members.c.image_id == images.c.id, members.c.member_id == PROJECT, UNEXPIRED).correlate(images)


UNEXPIRED = members.c.expires_at > NOW
RUNNING = endings.c.ends_at > NOW


def has_notice() -> ColumnElement[bool]:
    """Mean "the owner has ended the share with the caller's project, and its notice runs"."""
    return exists().where(endings.c.image_id == images.c.id, endings.c.member_id == PROJECT, RUNNING).correlate(images)


def member_has_notice() -> ColumnElement[bool]:
    """Mean the same of the project in a row of members.

    It names no column of images, so that a database that walks images in the order of a list asks only where it found a member:
    a list sorted by name took five times as long.
    """
    same = (endings.c.image_id == members.c.image_id, endings.c.member_id == members.c.member_id)
    return exists().where(*same, RUNNING).correlate(members)
