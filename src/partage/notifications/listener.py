"""Listen to other services' notifications on a message bus: one listener with one endpoint for each source.

The listener has a pool of its own, which is a queue of its own: other consumers get every message as before. A message is
acknowledged after its handler has returned, and returned to the queue when the handler fails, so that none is lost. A handler can
get a message twice.

oslo.messaging is an extra and takes a second to import: only `main/composition/listening.py` imports this module.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import oslo_messaging
from oslo_config import cfg

from partage import problems

RETRY_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Notifications of one service: where it sends them, which of them are wanted, and what handles them.

    `event_types` is a regular expression that matches the whole event type. `handle` gets the event type, the payload, and the
    sender's time, if the message has one. It raises
    Invalid for a message that can never be handled; after any other exception the message comes again.
    """

    exchange: str
    topics: tuple[str, ...]
    event_types: str
    handle: Callable[[str, Any, str | None], None]


class Listener:
    """Threads that receive messages and call the handlers of their sources, from `start` until `close`."""

    def __init__(self, url: str, sources: Sequence[Source], *, pool: str, retry_seconds: float = RETRY_SECONDS) -> None:
        """Listen at a transport URL of oslo.messaging, as one of the consumers in `pool`. A failed message waits for the retry.

        Raises:
            Invalid: the URL is malformed, or the driver of the bus is not installed.
        """
        configuration = cfg.ConfigOpts()
        configuration([], project="partage", default_config_files=[], default_config_dirs=[])
        try:
            self._transport = oslo_messaging.get_notification_transport(configuration, url=url)
        except (oslo_messaging.InvalidTransportURL, oslo_messaging.DriverLoadFailure, ValueError):
            # The error names the URL, which may hold a password.
            raise problems.Invalid(
                "listener.transport_url is not a transport URL of oslo.messaging, or the driver of the bus is not installed; "
                "use the form rabbit://user:password@host:5672/"
            ) from None
        self._stopping = threading.Event()
        places = dict.fromkeys((each.exchange, topic) for each in sources for topic in each.topics)  # each place once
        targets = [oslo_messaging.Target(topic=topic, exchange=exchange) for exchange, topic in places]
        endpoints = [_Endpoint(each, self._stopping, retry_seconds) for each in sources]
        self._server = oslo_messaging.get_notification_listener(
            self._transport, targets, endpoints, executor="threading", allow_requeue=True, pool=pool
        )
        # More threads would handle messages in another order than they were sent.
        configuration.set_override("executor_thread_pool_size", 1)

    def __enter__(self) -> Self:
        """Start, and close at the end of the block."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Close."""
        self.close()

    def start(self) -> None:
        """Start to listen. oslo.messaging connects again whenever the bus was away."""
        self._server.start()

    def close(self) -> None:
        """Take no more messages, wait for the running handlers, and disconnect."""
        self._stopping.set()
        self._server.stop()
        self._server.wait()
        self._transport.cleanup()


class _Endpoint:
    """What oslo.messaging calls for the messages of one source. Its methods are named after priorities."""

    def __init__(self, source: Source, stopping: threading.Event, retry_seconds: float) -> None:
        self.filter_rule = oslo_messaging.NotificationFilter(event_type=f"^(?:{source.event_types})$")
        self._source = source
        self._stopping = stopping
        self._retry_seconds = retry_seconds

    def info(self, _context: Any, _publisher_id: str, event_type: str, payload: Any, about: Any) -> Any:
        """Handle one message; return whether it is acknowledged or comes again."""
        try:
            self._source.handle(event_type, payload, about.get("timestamp"))
        except problems.Invalid as problem:
            _LOG.warning("A notification %s is ignored: %s", event_type, problem)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the message must not be lost
            _LOG.warning(
                "A notification %s cannot be handled, next attempt in %g s: %s",
                event_type,
                self._retry_seconds,
                error,
                exc_info=None if isinstance(error, problems.Problem) else error,
            )
            self._stopping.wait(self._retry_seconds)
            return oslo_messaging.NotificationResult.REQUEUE
        return oslo_messaging.NotificationResult.HANDLED
