"""A connection to a message bus by oslo.messaging: RabbitMQ, Kafka, and what else it has drivers for.

oslo.messaging is an extra and takes a second to import: only `main/composition/compose.py` imports this module, when the operator
names a bus.
"""

import uuid
from collections.abc import Mapping, Sequence

import oslo_messaging
from oslo_config import cfg

from partage import problems
from partage.model.announcement import Announcement
from partage.notifications.payloads import build_payload

EXCHANGE = "glance"
"""Source: Glance's `control_exchange`, which consumers listen to."""


class Connection:
    """A connection to the bus at a transport URL of oslo.messaging. It connects at the first message."""

    def __init__(self, url: str, *, topics: Sequence[str], publisher_id: str) -> None:
        """Send to these topics, as `publisher_id`.

        Raises:
            Invalid: the URL is malformed, or the driver of the bus is not installed.
        """
        configuration = cfg.ConfigOpts()
        configuration([], project="partage", default_config_files=[], default_config_dirs=[])
        oslo_messaging.set_transport_defaults(EXCHANGE)
        try:
            self._transport = oslo_messaging.get_notification_transport(configuration, url=url)
        except (oslo_messaging.InvalidTransportURL, oslo_messaging.DriverLoadFailure, ValueError):
            # The error names the URL, which may hold a password.
            raise problems.Invalid(
                "notifications.transport_url is not a transport URL of oslo.messaging, or the driver of the bus is not installed; "
                "use the form rabbit://user:password@host:5672/"
            ) from None
        self.topics = tuple(topics)
        self._publisher_id = publisher_id

    def build_message(self, announcement: Announcement) -> Mapping[str, object]:
        """Build the message of a notification. Source: oslo.messaging, "Notifier", the format of messages."""
        return {
            "message_id": str(uuid.uuid4()),
            "publisher_id": self._publisher_id,
            "event_type": announcement.event.value,
            "priority": "ERROR" if announcement.failed else "INFO",
            "payload": build_payload(announcement),
            "timestamp": str(announcement.at.replace(tzinfo=None)),
        }

    def send(self, topic: str, message: Mapping[str, object]) -> None:
        """Send one message, without a retry. Raises the exceptions of the bus's driver."""
        target = oslo_messaging.Target(topic=f"{topic}.{str(message['priority']).lower()}")
        # oslo.messaging's Notifier calls the same method, but only logs failures, with the whole payload.
        self._transport._send_notification(target, {}, message, version=2.0, retry=0)  # noqa: SLF001

    def close(self) -> None:
        """Disconnect."""
        self._transport.cleanup()
