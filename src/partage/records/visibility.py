"""The fragments that mean "images this caller may know exist".

Existence is masked here and nowhere else: what these fragments leave out is not found, so that an image which the caller may not
know of and one that does not exist are answered by the same code.

The rule: a project knows its own images, public and community ones, and shared ones of which it is a member, whatever it answered;
an administrator knows all; somebody without a token knows public ones. A list shows fewer by default: no community images of
others, and shared ones only once accepted.
"""

from dataclasses import replace

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, or_, true

from partage.model.caller import Caller
from partage.model.image import Visibility
from partage.model.query import ImageQuery
from partage.records.tables import images, members

PROJECT: BindParameter[str] = bindparam("project")
NOT_MINE = images.c.owner.is_distinct_from(PROJECT)


def parameters(caller: Caller) -> dict[str, object]:
    """Give the values that the fragments' bound parameters need."""
    return {"project": caller.project_id}


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
    )


PUBLIC = images.c.visibility == Visibility.PUBLIC.value
"""Mean "anybody may know this image"."""


def narrowed(query: ImageQuery, caller: Caller) -> ImageQuery | None:
    """Ask for public images only, on behalf of somebody without a token; None when others were asked for."""
    if not caller.is_anonymous:
        return query
    if query.visibility not in {None, Visibility.PUBLIC}:
        return None
    return replace(query, visibility=Visibility.PUBLIC, all_visibilities=False)


def is_member() -> ColumnElement[bool]:
    """Mean "the caller's project has a membership of this image", whatever its status."""
    return exists().where(members.c.image_id == images.c.id, members.c.member_id == PROJECT).correlate(images)
