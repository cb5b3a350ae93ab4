"""Handlers of events."""

from urllib.parse import urlencode

from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import paths, query
from partage.http.partage.share_json import Document
from partage.model.event import EventRequest
from partage.model.ids import ProjectID
from partage.operations.sharing import event_feed

LATEST = "latest"
EVERY_PROJECT = "*"


async def list_events(request: Request) -> Reply:
    """List what happened to the images and shares of the caller's project, in order."""
    asked = _parse(request)
    feed = await request.run_listing(event_feed.list_events, asked)
    complete = request.caller.is_admin  # with every user and request
    document: Document = {
        "events": feed.documents(complete=complete),
        "after": feed.after,
        "is_complete": feed.is_complete,
    }
    if feed.page.has_more and asked.limit:
        pairs: list[tuple[str, object]] = [("after", feed.after), ("limit", asked.limit)]
        if asked.project_id != request.caller.project_id:
            pairs.append(("project", asked.project_id or EVERY_PROJECT))
        document["next"] = f"{paths.EVENTS}?{urlencode(pairs)}"
    return json_reply(document)


def _parse(request: Request) -> EventRequest:
    given, _pairs = query.read_parameters(request.query, query.EVENTS_NAMES, "a list of events")
    after = given.get("after")
    project = given.get("project", request.caller.project_id)
    return EventRequest(
        project_id=None if project is None or project == EVERY_PROJECT else ProjectID(project),
        limit=query.read_limit(given, request.edge.service.limits),
        after=None if after == LATEST else after,
        latest=after == LATEST,
    )
