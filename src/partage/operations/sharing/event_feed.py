"""Read the events of a project, and remove old ones. `operations/events.py` records them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from partage import problems
from partage.model.caller import Caller
from partage.model.event import EventFeed, EventPage, EventQuery, EventRequest
from partage.model.event_cursor import CursorCipher
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import event_keys, events

_REMOVED_AT_ONCE = 1000
_MOST_BATCHES = 20
_LATEST_ROWS = 1000


def list_events(service: Service, caller: Caller, asked: EventRequest) -> EventFeed:
    """Return a page of events in order, of one project, or of all for administrators.

    Raises:
        PolicyForbids: the caller may not read the events of the project.
        QueryInvalid: the position is not a cursor of this database.
        EventsGone: events after the query's position have been removed, or the position is not one of this database.
    """
    service.authority.require(caller, rules.LIST_EVENTS, authority.project_target(asked.project_id))
    if not caller.is_admin and (asked.project_id is None or asked.project_id != caller.project_id):
        raise problems.PolicyForbids(rule=rules.LIST_EVENTS)
    with service.database.read() as tx:
        cursors = event_keys.find_cipher(tx)
        query = EventQuery(project_id=asked.project_id, limit=asked.limit, after=_read_position(cursors, asked))
        bounds = events.find_bounds(tx)
        if asked.latest:
            position = events.find_position(tx, asked.project_id, last=bounds.last)
            return EventFeed(page=EventPage(events=(), last=position, has_more=False), cursors=cursors)
        found = events.page(tx, query, last=bounds.last)
        # Read after the page, so that a removal at the same moment is noticed.
        removed = events.find_removed(tx, query.project_id)
    if query.after is None:
        found = replace(found, last=max(found.last, removed.last))
    if query.after is not None and query.after < removed.last:
        raise problems.EventsGone(
            "Events after this one have been removed, because they were old or too many; list images and shares, and read on "
            "from the first event that is kept (without after)"
        )
    if query.after is not None and query.after > bounds.highest:
        raise problems.EventsGone(
            "There is no such event: the database may have been restored from a backup; list images and shares, and read on "
            "from the first event (without after)"
        )
    return EventFeed(page=found, cursors=cursors, is_complete=(query.after or 0) >= removed.of_others)


def _read_position(cursors: CursorCipher, asked: EventRequest) -> int | None:
    if asked.after is None:
        return None
    position = cursors.read(asked.after)
    if position is None:
        raise problems.QueryInvalid("after must be the cursor of an event, or latest")
    return position


def remove_old_events(service: Service) -> int:
    """Remove events that are too old, and those of projects that have too many, in bounded batches; return how many."""
    retention = service.sharing.event_retention
    removed = 0
    before = service.clock() - timedelta(days=retention.days)
    for _ in range(_MOST_BATCHES):
        with service.database.write() as tx:
            count = events.remove_old(tx, before=before, limit_rows=_REMOVED_AT_ONCE)
        removed += count
        if count < _REMOVED_AT_ONCE:
            break
    with service.database.read() as tx:
        active = events.list_active_projects(tx, latest_rows=_LATEST_ROWS)
    for project_id in active:
        removed += _remove_surplus(service, events.remove_surplus, project_id, retention.rows_per_project)
        removed += _remove_surplus(service, events.remove_surplus_of_others, project_id, retention.rows_by_others)
    return removed


def _remove_surplus(service: Service, remove: Callable[..., int], project_id: str, keep_rows: int) -> int:
    """Remove a project's surplus in batches, as fast as one request can make a thousand events; return how many."""
    removed = 0
    for _ in range(_MOST_BATCHES):
        with service.database.write() as tx:
            count = remove(tx, project_id, keep_rows=keep_rows, limit_rows=_REMOVED_AT_ONCE)
        removed += count
        if count < _REMOVED_AT_ONCE:
            break
    return removed
