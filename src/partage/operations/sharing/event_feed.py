"""Read the events of a project, and remove old ones. `operations/events.py` records them."""

from datetime import timedelta

from partage import problems
from partage.model.caller import Caller
from partage.model.event import EventPage, EventQuery
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import events

_REMOVED_AT_ONCE = 1000
_MOST_BATCHES = 20
_LATEST_ROWS = 1000


def list_events(service: Service, caller: Caller, query: EventQuery, *, latest: bool = False) -> EventPage:
    """Return a page of events in order, of one project, or of all for administrators. `latest`: none, but the position of the last.

    Raises:
        PolicyForbids: the caller may not read the events of the project.
        EventsGone: events after the query's position have been removed, or the position is not one of this database.
    """
    service.authority.require(caller, rules.LIST_EVENTS, authority.project_target(query.project_id))
    if not caller.is_admin and (query.project_id is None or query.project_id != caller.project_id):
        raise problems.PolicyForbids(rule=rules.LIST_EVENTS)
    with service.database.read() as tx:
        bounds = events.find_bounds(tx)
        if latest:
            return EventPage(events=(), last=bounds.last, has_more=False)
        found = events.page(tx, query, last=bounds.last)
        # Read after the page, so that a removal at the same moment is noticed.
        removed = events.find_last_removed(tx, query.project_id)
    if query.after is not None and query.after < removed:
        raise problems.EventsGone(
            "Events after this one have been removed, because they were old or too many; list images and shares, and read on "
            "from the first event that is kept (without after)"
        )
    if query.after is not None and query.after > bounds.highest:
        raise problems.EventsGone(
            "There is no such event: the database may have been restored from a backup; list images and shares, and read on "
            "from the first event (without after)"
        )
    return found


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
        with service.database.write() as tx:
            removed += events.remove_surplus(tx, project_id, keep_rows=retention.rows_per_project, limit_rows=_REMOVED_AT_ONCE)
    return removed
