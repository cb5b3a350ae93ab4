"""uvicorn's server with an even share of the connections, and a stop that costs no request.

After SIGTERM: not ready at once, while everything is still answered for the drain time; then the listening socket is closed, and
with it every connection that has no request under way; what runs goes on to the end of the grace period. SIGINT leaves the drain
time out. After SIGHUP others have taken over: no new connections, and all the time in the world for those that are here.
"""

import asyncio
import contextlib
import logging
import math
import signal
import socket
from collections.abc import Generator
from dataclasses import dataclass
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from partage.http.server.accepting import Acceptor, Share, Shares
from partage.http.server.connections import Connections
from partage.http.server.protocol import BoundedProtocol

DRAINING = "partage.draining"
"""The name in the state of a server's lifespan under which it says that it stops."""

_LOG = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_SECONDS = 0.05
_MOMENT_SECONDS = 0.5
_LAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stop takes: `drain_seconds` of `grace_seconds` everything is still answered."""

    drain_seconds: float
    grace_seconds: float


class Server(uvicorn.Server):
    """Serves one process's share of the connections of a listening socket."""

    def __init__(self, config: uvicorn.Config, connections: Connections, share: tuple[Shares, int], patience: Patience) -> None:
        """Make a server that `run` starts; `share`: the shares of all workers, and the number of this one."""
        super().__init__(config)
        self.server_state = connections
        self._connections = connections
        self._share = Share(*share, lambda: len(connections.connections))
        self._patience = patience
        self._acceptor: Acceptor | None = None
        self._asked: signal.Signals | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal: the main loop looks at it. A stop is more than a retirement; nothing is more than a stop."""
        del frame
        if self._asked in {None, signal.SIGHUP}:
            self._asked = signal.Signals(sig)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals to the end of the process: uvicorn would raise them again, and so end it before it has tidied up."""
        for number in _SIGNALS:
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and take connections from the one listening socket."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(STARTUP_FAILURE)
        listener = next(iter(sockets or ()))
        self.servers = []
        self._acceptor = Acceptor(listener, self._protocol, self._share)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as the signal asks for it."""
        del sockets
        loop = asyncio.get_running_loop()
        self._connections.is_draining = True
        self._announce_close()
        if self._asked is signal.SIGHUP and not await self._retire():
            await self.lifespan.shutdown()
            return
        end = loop.time() + self._patience.grace_seconds
        if self._asked is signal.SIGTERM and self._acceptor is not None:
            self.lifespan.state[DRAINING] = True
            await asyncio.sleep(min(self._patience.drain_seconds, self._patience.grace_seconds))
        await self._close_acceptor()
        self._connections.is_closing = True
        for each in self._protocols():
            each.shutdown()
        if not await self._quiet(end):
            await self._break_off()
        await self.lifespan.shutdown()

    def _protocol(self) -> BoundedProtocol:
        made = cast("type[BoundedProtocol]", self.config.http_protocol_class)
        return made(self.config, self._connections, self.lifespan.state)

    def _protocols(self) -> list[BoundedProtocol]:
        return [cast("BoundedProtocol", each) for each in self._connections.connections]

    def _announce_close(self) -> None:
        for each in self._protocols():
            each.announce_close()

    async def _close_acceptor(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.opened()
            self._acceptor = None

    async def _retire(self) -> bool:
        """Wait until every connection has ended by itself; say whether a stop signal came before that."""
        await self._close_acceptor()
        while self._asked is signal.SIGHUP:
            if not self._connections.connections and not self._connections.tasks:
                return False
            await asyncio.sleep(_TICK_SECONDS)
        return True

    async def _quiet(self, end: float) -> bool:
        """Wait until nothing is under way; say whether that was so before `end`."""
        loop = asyncio.get_running_loop()
        while self._connections.connections or self._connections.tasks:
            if loop.time() >= end:
                return False
            await asyncio.sleep(min(_TICK_SECONDS, max(0.0, end - loop.time())))
        return True

    async def _break_off(self) -> None:
        """End what the grace period did not suffice for: with an answer where none has begun."""
        broken_off = sum(each.abort() for each in self._protocols())
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        refused = sum(each.has_unanswered() for each in self._protocols())
        _LOG.warning(
            "the grace of %g s was too short: %d requests were refused, %d answers were broken off; see the setting grace_seconds",
            self._patience.grace_seconds,
            refused,
            broken_off,
        )
        for task in self._connections.tasks:
            task.cancel()
        await self._quiet(loop.time() + _LAST_SECONDS)


def most_connections(wanted: int, descriptors: float, reserve: int) -> int:
    """Say how many connections a process may keep that has so many file descriptors, `reserve` of which are for other things.

    Two are counted for each: a connection that moves image data has a file of a store open beside its socket.
    """
    if math.isinf(descriptors):
        return wanted
    return max(1, min(wanted, (int(descriptors) - reserve) // 2))
