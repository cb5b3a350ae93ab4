"""Rows of events: add, page, remove old ones.

An event is read once all events with lower ids can be read: a reader that continues after an id misses none. SQLite has one writer
at a time, so that ids are in the order of commits. On MariaDB a transaction adds its events last, under a lock that it holds until
it has committed (`records/event_numbers.py`). On PostgreSQL two transactions can get ids in one order and commit in the other:

1. A transaction that adds events first takes a shared advisory lock, held until it ends. The lock's key is the highest id that had
   been given out: the ids of this transaction are higher.
2. A reader reads the highest id given out, then the lowest key that is held, then the rows up to the lower of both.

An id up to the reader's bound was given out by a transaction that had its lock before. That transaction has ended, or its key,
which is lower than its ids, is the bound. The order of ids is the order of changes of one image, because the transaction that adds
an event of an image has the image's row locked. A transaction id has no such order: it is assigned before the row is locked.

Every change of an image inserts an event, so that the inserts are texts for the driver: SQLAlchemy's own `insert` and `text` took
longer than the databases, 0.1 ms of changes that take 0.8 ms on SQLite.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, bindparam, delete, func, select, text, tuple_

from partage.model.event import Actor, EventPage, EventQuery, NewEvent, RecordedEvent
from partage.model.ids import ImageID, ProjectID, UserID
from partage.records import event_numbers
from partage.records.compiled import CompiledSelect
from partage.records.database import NEVER, Transaction, from_microseconds, to_microseconds
from partage.records.dialects import build_insert, greatest
from partage.records.event_tables import events, removed_events

_COLUMNS = tuple(column for column in events.c if column.name != "by_others")
_ADDED = tuple(column.name for column in events.c if column.name != "id")

_KEYS = 0x5041 << 48
"""The first of the advisory locks' keys; ids are added to it."""

_HIGHEST = "CASE WHEN is_called THEN last_value ELSE 0 END"
# The lock comes first: a row of `held` exists only after its lock was taken, and an id is given out for a joined row.
_HELD = f"WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_KEYS} + {_HIGHEST}) FROM events_id_seq) "  # noqa: S608
_ADD_ON_POSTGRESQL = (
    f"INSERT INTO events (id, {', '.join(_ADDED)}) "  # noqa: S608
    f"SELECT nextval('events_id_seq'), {', '.join(f'new.{name}' for name in _ADDED)} "
    "FROM {held}jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new("
    "project_id text, type text, at bigint, image_id text, owner text, member_id text, "
    "actor_project_id text, actor_user_id text, actor_is_operator boolean, request_id text, data text, by_others integer)"
)
_ADD_FIRST = _HELD + _ADD_ON_POSTGRESQL.format(held="held, ")
_ADD_MORE = _ADD_ON_POSTGRESQL.format(held="")
_ADD_ON_SQLITE = f"INSERT INTO events ({', '.join(_ADDED)}) VALUES ({', '.join('?' for _ in _ADDED)})"  # noqa: S608
_LOCKED = "partage: the transaction that has locked the ids of events"

# The subquery refers to the row of `given_out`, so that it is read afterwards.
_BOUND_ON_POSTGRESQL = text(
    f"WITH given_out AS MATERIALIZED (SELECT {_HIGHEST} AS highest FROM events_id_seq) "  # noqa: S608
    "SELECT highest, (SELECT min((classid::bigint << 32) | objid::bigint) FROM pg_locks "
    "WHERE locktype = 'advisory' AND objsubid = 1 AND highest IS NOT NULL "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    f"AND ((classid::bigint << 32) | objid::bigint) BETWEEN {_KEYS} AND {_KEYS + (1 << 48) - 1}) FROM given_out"
)
_HIGHEST_ON_SQLITE = text("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
_REMOVED = (removed_events.c.last_id, removed_events.c.others_last_id)
_LAST_REMOVED = CompiledSelect(select(*_REMOVED).where(removed_events.c.project_id == bindparam("project_id")))
_LAST_REMOVED_OF_ALL = CompiledSelect(select(*(func.max(each) for each in _REMOVED)))
_LAST_OF_PROJECT = CompiledSelect(
    select(events.c.id)
    .where(
        # As in `page_statement`, so that PostgreSQL walks the index of the project's events.
        tuple_(events.c.project_id, events.c.id) > tuple_(bindparam("project_id"), 0),
        tuple_(events.c.project_id, events.c.id) <= tuple_(bindparam("project_id"), bindparam("last")),
    )
    .order_by(events.c.project_id.desc(), events.c.id.desc())
    .limit(1)
)


def add(tx: Transaction, new: Iterable[NewEvent]) -> None:
    """Record events, one row for each recipient, in order. Call it after the images of the events are locked."""
    rows = [_row(each, recipient) for each in new for recipient in each.recipients]
    if not rows:
        return
    if tx.dialect.name == "postgresql":
        # One lock for each transaction: the server has room for a limited number.
        is_locked = tx.info.get(_LOCKED) is tx.get_transaction()
        tx.exec_driver_sql(_ADD_MORE if is_locked else _ADD_FIRST, {"rows": orjson.dumps(rows).decode()})
        tx.info[_LOCKED] = tx.get_transaction()
    elif tx.dialect.name == "mariadb":
        event_numbers.add_at_commit(tx, rows)
    else:
        tx.exec_driver_sql(_ADD_ON_SQLITE, [tuple(each[name] for name in _ADDED) for each in rows])


class Bounds(NamedTuple):
    """Ids of events. Up to `last` every event can be read, or will never be there; `highest` is the last that was given out."""

    last: int
    highest: int


def find_bounds(tx: Transaction) -> Bounds:
    """Return up to which id events can be read; 0 before the first. A later call can return a lower `last`."""
    if tx.dialect.name == "mariadb":
        highest = event_numbers.find_highest(tx)
        return Bounds(highest, highest)
    if tx.dialect.name != "postgresql":
        highest = tx.execute(_HIGHEST_ON_SQLITE).scalar() or 0
        return Bounds(highest, highest)
    highest, held = tx.execute(_BOUND_ON_POSTGRESQL).one()
    return Bounds(min(highest, NEVER if held is None else held - _KEYS), highest)


def find_last(tx: Transaction) -> int:
    """Return up to which id events can be read."""
    return find_bounds(tx).last


def find_position(tx: Transaction, project_id: ProjectID | None, *, last: int) -> int:
    """Return the position from which a reader gets the events of a project that are later than the id `last`.

    It is that of the project's own last event, so that it does not tell whether other projects have later ones.
    """
    if project_id is None:
        return last
    row = _LAST_OF_PROJECT.fetch_first(tx, {"project_id": project_id, "last": last})
    return max(0 if row is None else row[0], find_removed(tx, project_id).last)


def page(tx: Transaction, query: EventQuery, *, last: int) -> EventPage:
    """Return a page of events up to the id `last`, which `find_last` returned in this transaction."""
    given = {"project_id": query.project_id, "after": query.after or 0, "last": last, "rows": query.limit + 1}
    rows = _compile_page(query.project_id is None).fetch_all(tx, given)
    found = tuple(_event(row) for row in rows[: query.limit])
    has_more = len(rows) > query.limit
    reached = found[-1].number if found else query.after or 0
    if query.project_id is None and not has_more:
        reached = max(last, reached)
    return EventPage(events=found, last=reached, has_more=has_more)


class Removed(NamedTuple):
    """Up to which ids events have been removed: all up to `last`, and up to `of_others` some that others caused. 0 is none."""

    last: int
    of_others: int


def find_removed(tx: Transaction, project_id: ProjectID | None) -> Removed:
    """Return up to which ids events of a project, or of any project, have been removed."""
    row = (
        _LAST_REMOVED_OF_ALL.fetch_first(tx, {})
        if project_id is None
        else _LAST_REMOVED.fetch_first(tx, {"project_id": project_id})
    )
    return Removed(0, 0) if row is None else Removed(row[0] or 0, row[1] or 0)


def remove_old(tx: Transaction, *, before: datetime, limit_rows: int) -> int:
    """Remove the oldest events that are older than a time, at most `limit_rows`; return how many."""
    oldest = select(events.c.id, events.c.project_id, events.c.at).order_by(events.c.id).limit(limit_rows)
    due = to_microseconds(before)
    return _remove(tx, [(row.project_id, row.id) for row in tx.execute(oldest) if row.at < due])


def list_active_projects(tx: Transaction, *, latest_rows: int) -> list[str]:
    """List the projects of the latest events: only they can have more events than before."""
    latest = select(events.c.project_id).order_by(events.c.id.desc()).limit(latest_rows).subquery()
    return list(tx.execute(select(latest.c.project_id).distinct().order_by(latest.c.project_id)).scalars())


def remove_surplus(tx: Transaction, project_id: str, *, keep_rows: int, limit_rows: int) -> int:
    """Remove the oldest of a project's events, as long as it caused more than `keep_rows`, at most `limit_rows`; return how many.

    Those that others caused before are removed too: a reader that begins anew must not find events before the removed ones.
    """
    ids = select(events.c.id).where(events.c.project_id == project_id)
    surplus = _find_surplus(tx, project_id, by_others=0, keep_rows=keep_rows)
    oldest = tx.execute(ids.where(events.c.id <= surplus).order_by(events.c.id).limit(limit_rows)).scalars()
    return _remove(tx, [(project_id, each) for each in oldest])


def remove_surplus_of_others(tx: Transaction, project_id: str, *, keep_rows: int, limit_rows: int) -> int:
    """Remove the oldest events that others caused beyond `keep_rows`, at most `limit_rows`; return how many."""
    ids = select(events.c.id).where(events.c.project_id == project_id, events.c.by_others == 1)
    surplus = _find_surplus(tx, project_id, by_others=1, keep_rows=keep_rows)
    oldest = tx.execute(ids.where(events.c.id <= surplus).order_by(events.c.id).limit(limit_rows)).scalars()
    return _remove(tx, [(project_id, each) for each in oldest], by_others=True)


def _find_surplus(tx: Transaction, project_id: str, *, by_others: int, keep_rows: int) -> int:
    """Return the id up to which events are too many; 0 if none are."""
    newest = select(events.c.id).where(events.c.project_id == project_id, events.c.by_others == by_others)
    return tx.execute(newest.order_by(events.c.id.desc()).offset(keep_rows).limit(1)).scalar_one_or_none() or 0


def _remove(tx: Transaction, found: Sequence[tuple[str, int]], *, by_others: bool = False) -> int:
    """Remove events and note up to which id, for readers that have not come so far."""
    removed = 0
    last = dict(sorted(found, key=lambda each: each[1]))
    if found:
        removed = tx.execute(delete(events).where(events.c.id.in_([number for _project_id, number in found]))).rowcount
    for project_id, number in sorted(last.items()):  # in one order, so that two processes never wait for each other
        noted = {"last_id": 0, "others_last_id": number} if by_others else {"last_id": number, "others_last_id": 0}
        statement = build_insert(tx, removed_events).values(project_id=project_id, **noted)
        later = {name: greatest(tx, removed_events.c[name], statement.excluded[name]) for name in noted}
        tx.execute(statement.on_conflict_do_update(index_elements=["project_id"], set_=later))
    return removed


@lru_cache(maxsize=2)
def _compile_page(of_all: bool) -> CompiledSelect:  # noqa: FBT001 -- a key of the cache
    return CompiledSelect(page_statement(of_all=of_all))


def page_statement(*, of_all: bool) -> Select[Any]:
    """Build the statement of a page: it walks the index of one project's events, or the primary key.

    With `project_id = ...`, PostgreSQL may walk the primary key and filter, through all events of a project that has few.
    """
    key = (events.c.id,) if of_all else (events.c.project_id, events.c.id)
    prefix: list[Any] = [] if of_all else [bindparam("project_id")]
    is_after = tuple_(*key) > tuple_(*prefix, bindparam("after"))
    statement = select(*_COLUMNS).where(is_after, tuple_(*key) <= tuple_(*prefix, bindparam("last")))
    return statement.order_by(*key).limit(bindparam("rows"))


def _row(event: NewEvent, recipient: ProjectID | None) -> dict[str, object]:
    actor = event.actor
    return {
        "project_id": recipient or "",
        "type": event.type.value,
        "at": to_microseconds(event.at),
        "image_id": event.image_id,
        "owner": event.owner,
        "member_id": event.member_id,
        "actor_project_id": actor.project_id,
        "actor_user_id": actor.user_id,
        "actor_is_operator": actor.is_operator,
        "request_id": actor.request_id,
        "data": orjson.dumps(event.data).decode(),
        "by_others": int(event.is_caused_by_others(recipient)),
    }


def _event(row: Sequence[Any]) -> RecordedEvent:
    number, project_id, kind, at, image_id, owner, member_id, actor_project, actor_user, is_operator, request_id, data = row
    return RecordedEvent(
        number=number,
        project_id=ProjectID(project_id) if project_id else None,
        type=kind,
        at=from_microseconds(at),
        image_id=ImageID(image_id),
        owner=_project(owner),
        member_id=_project(member_id),
        actor=Actor(
            project_id=_project(actor_project),
            user_id=None if actor_user is None else UserID(actor_user),
            request_id=request_id,
            is_operator=bool(is_operator),
        ),
        data=orjson.loads(data),
    )


def _project(stored: str | None) -> ProjectID | None:
    return None if stored is None else ProjectID(stored)
