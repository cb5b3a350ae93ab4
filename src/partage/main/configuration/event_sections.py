"""The sections of the settings for events and webhooks."""

from typing import Annotated

from pydantic import Field

from partage.main.configuration.sections import Section
from partage.model.event import EventRetention
from partage.model.webhook import WebhookRules

_EVENTS = EventRetention()
_WEBHOOKS = WebhookRules()


class EventSettings(Section):
    """Events: what happened to images and shares, for their projects to read."""

    days: Annotated[int, Field(ge=1, description="Events are kept for so many days")] = _EVENTS.days
    rows_per_project: Annotated[
        int, Field(ge=1, description="Maximum events that one project caused itself; the oldest are removed")
    ] = _EVENTS.rows_per_project
    rows_by_others: Annotated[
        int, Field(ge=1, description="Maximum events of one project that other projects caused; the oldest are removed")
    ] = _EVENTS.rows_by_others


class WebhookSettings(Section):
    """Webhooks: URLs to which import workers send the events of projects."""

    per_project: Annotated[int, Field(ge=0, description="Maximum webhooks of one project; above it the response is 413")] = (
        _WEBHOOKS.per_project
    )
    max_failures: Annotated[
        int,
        Field(ge=1, description="A webhook is paused after so many failed attempts in a row; delays between them grow to an hour"),
    ] = _WEBHOOKS.most_failures
    timeout_seconds: Annotated[
        float, Field(gt=0, le=60, description="Timeout for one request to a webhook, from the connection to the response")
    ] = _WEBHOOKS.timeout_seconds
    threads: Annotated[
        int, Field(ge=1, le=64, description="Threads of one import worker that send events; each serves one project at a time")
    ] = 8
