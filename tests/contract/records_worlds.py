"""Worlds of images and members for the records suites, and the databases they run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy

from partage.model.caller import Caller
from partage.model.ending import Ending, EndReason
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, Visibility
from partage.model.member import Member, MemberStatus
from partage.model.terms import Terms
from partage.records import endings, images, members
from partage.records.database import Database, Transaction
from partage.records.tables import metadata

START = datetime(2026, 11, 24, 8, tzinfo=UTC)


def caller(project: str, *, is_admin: bool = False) -> Caller:
    """Make a member of `project`."""
    return Caller(
        user_id=UserID(f"user-of-{project}"),
        project_id=ProjectID(project),
        roles=frozenset({"member", "reader"}),
        is_admin=is_admin,
    )


def image(number: int, owner: str = "A", visibility: Visibility = Visibility.SHARED, **more: object) -> Image:
    """Make the image of that number; a higher number is a later one."""
    made = Image(
        id=ImageID(str(UUID(int=number))),
        owner=ProjectID(owner),
        created_at=START + timedelta(minutes=number),
        updated_at=START + timedelta(minutes=number),
        name=f"image {number}",
        visibility=visibility,
    )
    return replace(made, **more)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Share:
    """One membership of a world."""

    image: Image
    member: str
    status: MemberStatus
    expires_at: datetime | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Notice:
    """A share that the owner has ended: what the member answered, and when access ends; None is never."""

    image: Image
    member: str
    status: MemberStatus
    ends_at: datetime | None


def build(tx: Transaction, wanted: list[Image], shares: list[Share] | None = None, notices: list[Notice] | None = None) -> None:
    """Insert images, shares, and shares whose notice runs or has run out."""
    for each in wanted:
        images.add(tx, each)
    for share in shares or []:
        row = Member(
            image_id=share.image.id,
            member_id=ProjectID(share.member),
            created_at=START,
            updated_at=START,
            status=share.status,
            terms=Terms(expires_at=share.expires_at),
            is_hidden=share.hidden,
        )
        members.add(tx, row, share.image)
    for notice in notices or []:
        ending = Ending(
            image_id=notice.image.id,
            member_id=ProjectID(notice.member),
            status=notice.status,
            reason=EndReason.REMOVED,
            began_at=START,
            ends_at=notice.ends_at,
        )
        endings.put(tx, ending, notice.image)


class _Undone(Exception):
    """Ends a transaction without a trace."""


@contextmanager
def undone(database: Database) -> Iterator[Transaction]:
    """Open a write transaction that leaves nothing behind."""
    try:
        with database.write() as tx:
            yield tx
            raise _Undone  # noqa: TRY301 -- to end the transaction as an error does
    except _Undone:
        pass


def empty(database: Database) -> None:
    """Delete every row."""
    with database.write() as tx:
        for table in reversed(metadata.sorted_tables):
            tx.execute(sqlalchemy.delete(table))
