"""Accepts connections one at a time from an accept queue that several workers share.

A loop that accepts everything in the queue, as uvloop's does, leaves nothing for other workers: of 160 connections at once one of
two workers had 152. So each worker accepts one connection in a turn of its loop, and a worker with more connections than another
defers for a moment. There is one queue and not one for each worker (`SO_REUSEPORT`): connections in the queue of a worker that is
busy, or has just died, would wait for that worker.
"""

import asyncio
import errno
import logging
import mmap
import socket
from collections.abc import Callable
from typing import Any

_LOG = logging.getLogger(__name__)

_ABSENT = 0xFFFF_FFFF
_TOLERANCE = 4
_TOLERANCE_DIVISOR = 4
"""A worker defers when it has a quarter more connections than another, and four. Were only four allowed, a few idle connections
more would send every new one, and all the work, to the other worker."""

_DEFER_SECONDS = 0.005
_MAX_DEFERS = 40
_DEFER_PERIOD_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 0.1
_MOST_WAITING = 4096
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ConnectionCounts:
    """The number of connections of each worker, in shared memory. Created before the fork."""

    def __init__(self, workers: int) -> None:
        """Make an entry for each worker; no worker accepts yet."""
        self._counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("I")
        for number in range(workers):
            self._counts[number] = _ABSENT

    def publish(self, worker: int, connections: int) -> None:
        """Record the number of connections of a worker."""
        self._counts[worker] = connections

    def leave(self, worker: int) -> None:
        """Record that a worker accepts no more connections."""
        self._counts[worker] = _ABSENT

    def has_too_many(self, worker: int) -> bool:
        """Return whether a worker has a quarter more connections than another, and a few."""
        fewest = min(self._counts)
        return self._counts[worker] > fewest + fewest // _TOLERANCE_DIVISOR + _TOLERANCE


class Acceptor:
    """Accepts connections from a listening socket. Belongs to the event loop's thread."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], share: "ConnectionCount") -> None:
        """Start accepting; each connection gets a new `protocol`."""
        self._listener = listener
        self._protocol = protocol
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._defers = 0
        self._deferring_since = 0.0
        self._pause: asyncio.TimerHandle | None = None
        listener.settimeout(0)
        share.publish(0)
        self._resume()

    def close(self) -> None:
        """Accept what is in the queue, then close the listening socket in this process."""
        self._share.leave()
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        for _ in range(_MOST_WAITING):
            if not self._accept():
                break
        self._listener.close()

    async def wait_until_open(self) -> None:
        """Wait until every accepted connection has its protocol."""
        while self._opening:
            await asyncio.wait(tuple(self._opening))

    def _accept_or_defer(self) -> None:
        self._share.publish(len(self._opening))
        if self._share.has_too_many() and self._may_defer():
            self._pause_accepting(_DEFER_SECONDS)
        else:
            self._accept()

    def _may_defer(self) -> bool:
        """Return whether this worker may defer: a limited time in every second, since other workers may be busy."""
        now = self._loop.time()
        if now - self._deferring_since > _DEFER_PERIOD_SECONDS:
            self._deferring_since, self._defers = now, 0
        self._defers += 1
        return self._defers <= _MAX_DEFERS

    def _accept(self) -> bool:
        try:
            accepted, _address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno in _EXHAUSTED:
                _LOG.warning(
                    "no free descriptors or buffers, new connections wait: %s; raise the limit of open files", error.strerror
                )
                self._pause_accepting(_AFTER_FAILURE_SECONDS)
            return False  # other errors concern only this connection
        accepted.settimeout(0)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opening = self._loop.create_task(self._open(accepted))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except OSError:  # the client has already disconnected
            accepted.close()

    def _pause_accepting(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept_or_defer)


class ConnectionCount:
    """The connection count of one worker among those of all."""

    def __init__(self, shares: ConnectionCounts, worker: int, connections: Callable[[], int]) -> None:
        """Use `shares` as worker number `worker`; `connections` returns its present number of connections."""
        self._shares = shares
        self._worker = worker
        self._connections = connections

    def publish(self, opening: int) -> None:
        """Publish the number of connections of this worker, including those that it is opening."""
        self._shares.publish(self._worker, self._connections() + opening)

    def has_too_many(self) -> bool:
        """Return whether another worker should accept the next connection."""
        return self._shares.has_too_many(self._worker)

    def leave(self) -> None:
        """Publish that this worker accepts no more connections."""
        self._shares.leave(self._worker)
