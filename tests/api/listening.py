"""A consumer of notifications, as Ceilometer is one: it listens by oslo.messaging to what the service says on a bus."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging
from oslo_config import cfg

TOPIC = "notifications"
QUIET_SECONDS = 0.5


@dataclass(frozen=True)
class Heard:
    """One notification."""

    priority: str
    event: str
    payload: Any
    publisher_id: str
    context: Any
    timestamp: str

    @property
    def line(self) -> str:
        """Priority and event, as recorded from Glance."""
        return f"{self.priority.upper()} {self.event}"


@dataclass
class Listener:
    """What was heard so far."""

    heard: list[Heard] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, about: Any) -> None:
        """Hear of something that went well."""
        self._note(Heard("info", event_type, payload, publisher_id, ctxt, about["timestamp"]))

    def error(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, about: Any) -> None:
        """Hear of something that went wrong."""
        self._note(Heard("error", event_type, payload, publisher_id, ctxt, about["timestamp"]))

    def _note(self, heard: Heard) -> None:
        with self.arrived:
            self.heard.append(heard)
            self.arrived.notify_all()

    def until(self, event: str, *, within_seconds: float = 20) -> list[Heard]:
        """Wait for an event; return all that was said up to it, in the order in which it was said, and forget it.

        Each priority has a queue of its own, and several threads take from them: what was said first may come last.
        """
        end = time.monotonic() + within_seconds
        with self.arrived:
            while not any(each.event == event for each in self.heard):
                if not self.arrived.wait(end - time.monotonic()):
                    raise AssertionError(f"{event} was not heard, but {[each.line for each in self.heard]}")
            while self.arrived.wait(QUIET_SECONDS):
                pass
            self.heard.sort(key=lambda each: each.timestamp)
            last = max(number for number, each in enumerate(self.heard) if each.event == event)
            found, self.heard = self.heard[: last + 1], self.heard[last + 1 :]
        return found


@contextmanager
def listening(url: str, *, topic: str = TOPIC, exchange: str = "glance") -> Iterator[Listener]:
    """Listen on a bus until the block ends."""
    configuration = cfg.ConfigOpts()
    configuration([], project="consumer", default_config_files=[], default_config_dirs=[])
    transport = oslo_messaging.get_notification_transport(configuration, url=url)
    listener = Listener()
    target = oslo_messaging.Target(topic=topic, exchange=exchange)
    server = oslo_messaging.get_notification_listener(transport, [target], [listener], executor="threading")
    server.start()
    try:
        yield listener
    finally:
        server.stop()
        server.wait()
        transport.cleanup()
