"""Send notifications to the message bus through a queue, so that no request waits for the bus.

Announcements are put into a bounded queue, and one thread sends them in order. While the bus is down, the thread retries every few
seconds. When the queue is full, notifications are dropped, counted, and logged. Queued notifications are lost when the process
dies: they are not a durable record.
"""

import logging
import queue
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from partage.model.announcement import Announcement

QUEUE_SIZE = 10_000
"""Maximum queued notifications: about 20 MB."""

RETRY_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 2.0

_LOG = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection to a message bus. Used by one thread at a time."""

    @property
    def topics(self) -> Sequence[str]:
        """The topics of every message."""

    def build_message(self, announcement: Announcement) -> Mapping[str, object]:
        """Build the message of a notification."""

    def send(self, topic: str, message: Mapping[str, object]) -> None:
        """Send one message, without a retry. Raises the exceptions of the bus's driver."""

    def close(self) -> None:
        """Disconnect."""


class Bus:
    """An announcer. Thread-safe: only its own thread touches the connection.

    It starts no thread before the first announcement, so that it may be made before a process forks.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        disabled: Collection[str] = (),
        queue_size: int = QUEUE_SIZE,
        retry_seconds: float = RETRY_SECONDS,
        close_timeout_seconds: float = CLOSE_TIMEOUT_SECONDS,
    ) -> None:
        """Send over `connection`, except events or groups in `disabled`; queue at most `queue_size` announcements."""
        self._connection = connection
        self._disabled = frozenset(disabled)
        self._retry_seconds = retry_seconds
        self._close_timeout_seconds = close_timeout_seconds
        self._queue: queue.Queue[Announcement | None] = queue.Queue(queue_size)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._is_bus_down = False
        self._closing = threading.Event()

    def announce(self, announcement: Announcement) -> None:
        """Queue the announcement, or drop it when the queue is full."""
        # Source: Glance's option accepts an event's name or its first part. Its documentation promises the group image.member too.
        event = announcement.event.value
        if self._closing.is_set() or not self._disabled.isdisjoint((event, event.partition(".")[0], event.rpartition(".")[0])):
            return
        self._start()
        try:
            self._queue.put_nowait(announcement)
        except queue.Full:
            with self._lock:
                self._dropped += 1
                first = self._dropped == 1
            if first:
                _LOG.warning("Notifications are dropped: the queue for the message bus is full (%d)", self._queue.maxsize)

    def close(self) -> None:
        """Send queued notifications for a few seconds, then give up."""
        self._closing.set()
        thread = self._thread
        if thread is None:
            return
        try:
            self._queue.put(None, timeout=self._close_timeout_seconds)
        except queue.Full:
            return
        thread.join(self._close_timeout_seconds)

    def _start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while (announcement := self._queue.get()) is not None:
            try:
                self._send_to_topics(announcement)
            except Exception:  # noqa: BLE001 - one notification that cannot be written must not be the last
                _LOG.exception("The notification %s could not be built and is lost", announcement.event.value)
            self._log_dropped()
        self._connection.close()

    def _send_to_topics(self, announcement: Announcement) -> None:
        message = self._connection.build_message(announcement)
        for topic in self._connection.topics:
            while not self._try_send(topic, message) and not self._closing.wait(self._retry_seconds):
                pass

    def _try_send(self, topic: str, message: Mapping[str, object]) -> bool:
        """Try to send one message; return False if it must be sent again."""
        try:
            self._connection.send(topic, message)
        except (TypeError, ValueError) as error:
            _LOG.error("The notification %s cannot be serialised and is lost: %s", message["event_type"], error)
            return True
        except Exception as error:  # noqa: BLE001 - each kind of bus has errors of its own, and none of them may end the thread
            if not self._is_bus_down:
                reason = type(error).__name__
                _LOG.warning("The message bus does not accept notifications (%s); retrying every %g s", reason, self._retry_seconds)
            self._is_bus_down = True
            return False
        if self._is_bus_down:
            _LOG.warning("The message bus accepts notifications again")
        self._is_bus_down = False
        return True

    def _log_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            _LOG.warning("%d notifications were dropped, because the queue for the message bus was full", dropped)
