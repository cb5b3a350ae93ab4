"""SQL conditions for the images that a caller may see.

Only these conditions hide images. An image that the caller may not see is not found, so the response is the same as for a
nonexistent image.

The rule: a project sees its own images, public and community images, shared images of which it is a member (whatever its member
status, until the share expires), and images for which its notice runs. An administrator sees every image, a retained one as long
as a notice runs. A caller without a token sees public images. A list shows fewer by default: no community images of others, and
shared images only after acceptance.

Access with an end in time ends in these conditions: they compare with `now`, and do not depend on a periodic job.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, exists, literal_column, or_, select

from partage.model.caller import Caller
from partage.model.image import Visibility
from partage.model.query import ImageQuery
from partage.records.database import to_microseconds
from partage.records.tables import endings, images, members

PROJECT: BindParameter[str] = bindparam("project")
NOW: BindParameter[int] = bindparam("now")
_NONE: ColumnElement[int] = literal_column("0")
NOT_MINE = images.c.owner.is_distinct_from(PROJECT)


def bind_caller(caller: Caller, now: datetime) -> dict[str, object]:
    """Return the values of the conditions' bound parameters."""
    return {"project": caller.project_id, "now": to_microseconds(now)}


def literal(value: Visibility) -> ColumnElement[str]:
    """Return a visibility as a constant of the statement.

    PostgreSQL plans a prepared statement without values: as a value, it took "public" to be as frequent as "shared", and walked the
    images of all projects for a list without public images.
    """
    return literal_column(f"'{value.value}'")


def exists_for_each(rows: Select[Any]) -> ColumnElement[bool]:
    """SQL condition: `rows`, which refer to the enclosing query, are not empty. The database looks for them row by row, by key.

    OFFSET keeps PostgreSQL from joining the tables: it then read all rows with a tag, or all endings, for a page of 25 images.
    """
    return exists(rows.offset(_NONE))


def visible_by_id(*, is_admin: bool) -> ColumnElement[bool]:
    """SQL condition: the caller may see the image. For lookups by id, where an OR over one row costs nothing."""
    if is_admin:
        return is_owned_or_held()
    return or_(
        images.c.owner == PROJECT,
        images.c.owner.is_(None),
        # Not IN: SQLAlchemy would render the list again for every request.
        images.c.visibility == literal(Visibility.PUBLIC),
        images.c.visibility == literal(Visibility.COMMUNITY),
        and_(images.c.visibility == literal(Visibility.SHARED), is_member()),
        has_notice(),
    )


def is_owned_or_held() -> ColumnElement[bool]:
    """SQL condition: the image has an owner, or a notice runs for some project: the last notice of a retained image deletes it."""
    running = exists_for_each(select(endings.c.image_id).where(endings.c.image_id == images.c.id, RUNNING).correlate(images))
    return or_(images.c.former_owner.is_(None), running)


PUBLIC = images.c.visibility == literal(Visibility.PUBLIC)
"""SQL condition: the image is public."""


def restrict_to_public(query: ImageQuery, caller: Caller) -> ImageQuery | None:
    """Restrict the query of a caller without a token to public images; None if it asks for other visibilities."""
    if not caller.is_anonymous:
        return query
    if query.visibility not in {None, Visibility.PUBLIC}:
        return None
    return replace(query, visibility=Visibility.PUBLIC, all_visibilities=False)


def is_member() -> ColumnElement[bool]:
    """SQL condition: the caller's project is a member of the image, whatever its status, and the share has not expired."""
    mine = (members.c.image_id == images.c.id, members.c.member_id == PROJECT, UNEXPIRED, SHOWN)
    return exists_for_each(select(members.c.image_id).where(*mine).correlate(images))


UNEXPIRED = members.c.expires_at > NOW
SHOWN = members.c.hidden == literal_column("0")
HIDDEN = members.c.hidden == literal_column("1")
"""SQL conditions: whether a trust rule of the member refused the offer. Each index on `member_id` has one of them."""

RUNNING = endings.c.ends_at > NOW


def has_notice() -> ColumnElement[bool]:
    """SQL condition: the owner has ended the share with the caller's project, and its notice runs."""
    mine = (endings.c.image_id == images.c.id, endings.c.member_id == PROJECT, RUNNING)
    return exists_for_each(select(endings.c.image_id).where(*mine).correlate(images))


def member_has_notice() -> ColumnElement[bool]:
    """SQL condition: the owner has ended the share with the project of the members row, and its notice runs.

    It names no column of `images`: a database that walks images in list order then evaluates it only where it found a member. With
    such a column, a list sorted by name took five times as long.
    """
    same = (endings.c.image_id == members.c.image_id, endings.c.member_id == members.c.member_id)
    return exists_for_each(select(endings.c.image_id).where(*same, RUNNING).correlate(members))
