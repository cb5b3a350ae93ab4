"""New connections, one at a time, from an accept queue that several workers share.

A loop that takes all that waits, as uvloop's does, leaves nothing for the other workers: of 160 connections at once one of two had
152. So each worker takes one in a turn of its loop, and a worker that has more connections than another one leaves a new one to
that one for a moment. There is one queue and not one for each worker (`SO_REUSEPORT`): what waits in the queue of a worker that is
busy, or has just died, would wait for it.
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
_MORE = 4
"""How many connections more than another one a worker may have before it leaves new ones to that one."""

_MOMENT_SECONDS = 0.005
_MOST_MOMENTS = 40
_NEW_PATIENCE_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 0.1
_MOST_WAITING = 4096
_OUT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Shares:
    """How many connections each worker has, in memory that they share. Made before they are forked."""

    def __init__(self, workers: int) -> None:
        """Make a place for each worker; none is there yet."""
        self._counts = memoryview(mmap.mmap(-1, 4 * workers)).cast("I")
        for number in range(workers):
            self._counts[number] = _ABSENT

    def note(self, worker: int, connections: int) -> None:
        """Note how many connections a worker has."""
        self._counts[worker] = connections

    def leave(self, worker: int) -> None:
        """Note that a worker takes no connections any more."""
        self._counts[worker] = _ABSENT

    def has_too_many(self, worker: int) -> bool:
        """Say whether a worker has more connections than another one, by more than a few."""
        return self._counts[worker] > min(self._counts) + _MORE


class Acceptor:
    """Takes connections from a listening socket in this process. Belongs to the event loop's thread."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], share: "Share") -> None:
        """Begin to take connections; each gets a new `protocol`."""
        self._listener = listener
        self._protocol = protocol
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._moments = 0
        self._patience_from = 0.0
        self._pause: asyncio.TimerHandle | None = None
        listener.settimeout(0)
        share.note(0)
        self._resume()

    def close(self) -> None:
        """Take what waits already, and then nothing more: the listening socket is closed in this process."""
        self._share.leave()
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        for _ in range(_MOST_WAITING):
            if not self._take():
                break
        self._listener.close()

    async def opened(self) -> None:
        """Wait until every connection that was taken has its protocol."""
        while self._opening:
            await asyncio.wait(tuple(self._opening))

    def _ready(self) -> None:
        self._share.note(len(self._opening))
        if self._share.has_too_many() and self._is_patient():
            self._rest(_MOMENT_SECONDS)
        else:
            self._take()

    def _is_patient(self) -> bool:
        """Say whether this worker may leave connections to others, who may be too busy to take any: so long in every second."""
        now = self._loop.time()
        if now - self._patience_from > _NEW_PATIENCE_SECONDS:
            self._patience_from, self._moments = now, 0
        self._moments += 1
        return self._moments <= _MOST_MOMENTS

    def _take(self) -> bool:
        try:
            taken, _address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno in _OUT_OF:
                _LOG.warning("connections wait: %s", error.strerror)
                self._rest(_AFTER_FAILURE_SECONDS)
            return False  # whatever else the network says is about the one connection
        taken.settimeout(0)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opening = self._loop.create_task(self._open(taken))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    async def _open(self, taken: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, taken)
        except OSError:  # its client has gone already
            taken.close()

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._ready)


class Share:
    """The share of one worker in the connections of all."""

    def __init__(self, shares: Shares, worker: int, connections: Callable[[], int]) -> None:
        """Look at `shares` as worker number `worker`, that has so many `connections`."""
        self._shares = shares
        self._worker = worker
        self._connections = connections

    def note(self, opening: int) -> None:
        """Tell the others how many connections this worker has, those that it is opening included."""
        self._shares.note(self._worker, self._connections() + opening)

    def has_too_many(self) -> bool:
        """Say whether a new connection is better left to another worker."""
        return self._shares.has_too_many(self._worker)

    def leave(self) -> None:
        """Tell the others that this worker takes no more."""
        self._shares.leave(self._worker)
