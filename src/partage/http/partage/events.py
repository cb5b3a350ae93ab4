"""Handlers of events."""

import re
from urllib.parse import urlencode

from partage import problems
from partage.http.messages import Reply, Request, json_reply
from partage.http.partage import paths, query
from partage.http.partage.share_json import Document
from partage.model.event import EventQuery
from partage.model.ids import ProjectID
from partage.operations.sharing import event_feed

LATEST = "latest"
EVERY_PROJECT = "*"

_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


async def list_events(request: Request) -> Reply:
    """List what happened to the images and shares of the caller's project, in order."""
    asked, latest = _parse(request)
    page = await request.run_listing(event_feed.list_events, asked, latest=latest)
    complete = request.caller.is_admin  # with every user and request
    document: Document = {"events": [each.document(complete=complete) for each in page.events], "after": str(page.last)}
    if page.has_more and asked.limit:
        pairs: list[tuple[str, object]] = [("after", page.last), ("limit", asked.limit)]
        if asked.project_id != request.caller.project_id:
            pairs.append(("project", asked.project_id or EVERY_PROJECT))
        document["next"] = f"{paths.EVENTS}?{urlencode(pairs)}"
    return json_reply(document)


def _parse(request: Request) -> tuple[EventQuery, bool]:
    given, _pairs = query.read_parameters(request.query, query.EVENTS_NAMES, "a list of events")
    after = given.get("after")
    if after is not None and after != LATEST and not _CURSOR.fullmatch(after):
        raise problems.QueryInvalid("after must be the cursor of an event, or latest")
    project = given.get("project", request.caller.project_id)
    asked = EventQuery(
        project_id=None if project is None or project == EVERY_PROJECT else ProjectID(project),
        limit=query.read_limit(given, request.edge.service.limits),
        after=None if after is None or after == LATEST else int(after),
    )
    return asked, after == LATEST
