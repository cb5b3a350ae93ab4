"""Build the listener to other services' notifications from the settings: a source is one row here."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from partage.main.composition.message_bus import import_bus_module
from partage.main.configuration.listener_settings import ListenerSettings
from partage.notifications import use_news
from partage.operations.service import Service
from partage.operations.sharing import learning
from partage.worker import project_notifications


def build_listener(settings: ListenerSettings, service: Service) -> AbstractContextManager[Any]:
    """Build the listener, which listens inside a `with` block; without a transport URL the block listens to nothing.

    Raises:
        Unavailable: oslo.messaging is not installed.
        Invalid: the transport URL is malformed.
    """
    url = settings.transport_url.get_secret_value()
    if not url:
        return nullcontext()
    module = import_bus_module("listener", setting="listener.transport_url")
    keystone = module.Source(
        exchange=settings.keystone_exchange,
        topics=settings.keystone_topics,
        event_types=project_notifications.EVENT_TYPES,
        handle=lambda _event_type, payload, _timestamp: project_notifications.handle(service, payload),
    )
    nova, cinder = (
        module.Source(exchange=exchange, topics=topics, event_types=event_types, handle=partial(_learn, service))
        for exchange, topics, event_types in (
            (settings.nova_exchange, settings.nova_topics, use_news.EVENTS_OF_SERVERS),
            (settings.cinder_exchange, settings.cinder_topics, use_news.EVENTS_OF_VOLUMES),
        )
    )
    listener: AbstractContextManager[Any] = module.Listener(url, [keystone, nova, cinder], pool=settings.pool)
    return listener


def _learn(service: Service, event_type: str, payload: Any, timestamp: str | None) -> None:
    news = use_news.parse(event_type, payload, timestamp)
    if news is not None:
        learning.learn(service, news)
