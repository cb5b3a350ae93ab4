"""The JSON of events, in lists and in webhooks."""

from partage.http.partage.share_json import Document
from partage.model.event import EventPage, RecordedEvent


def events_to_json(page: EventPage, *, complete: bool) -> Document:
    """Write a page of events. `complete`: for an administrator, with every user and request."""
    return {"events": [event_to_json(each, complete=complete) for each in page.events], "after": str(page.last)}


def event_to_json(event: RecordedEvent, *, complete: bool) -> Document:
    """Write an event. Users and requests of other projects are left out unless it is `complete`."""
    shown = complete or event.is_own_action()
    return {
        "cursor": str(event.number),
        "type": event.type,
        "time": event.at,
        "project_id": event.project_id,
        "image_id": event.image_id,
        "owner_id": event.owner,
        "member_id": event.member_id,
        "actor": {
            "role": event.actor_role,
            "project_id": event.actor.project_id if shown else None,
            "user_id": event.actor.user_id if shown else None,
        },
        "request_id": event.actor.request_id if shown else None,
        "data": event.data,
    }
