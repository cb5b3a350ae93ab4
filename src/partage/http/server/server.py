"""uvicorn's server with balanced connections and a graceful stop.

After SIGTERM the server reports "not ready" and still serves requests for the drain time. Then it closes the listening socket and
idle connections; running requests have the rest of the grace period. SIGINT skips the drain time. After SIGHUP new workers have
taken over: the server accepts no connections and waits without a timeout until the present ones end.
"""

import asyncio
import contextlib
import logging
import math
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from partage.http.server.accepting import Acceptor, ConnectionCount, ConnectionCounts
from partage.http.server.connections import Connections
from partage.http.server.protocol import BoundedProtocol

DRAINING = "partage.draining"
"""The key in the lifespan state that is set while the server drains."""

_LOG = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK_SECONDS = 0.05
_MOMENT_SECONDS = 0.5
_LAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StopTimeouts:
    """How long a stop may take: `grace_seconds`, of which requests are still accepted for `drain_seconds`."""

    drain_seconds: float
    grace_seconds: float


class Server(uvicorn.Server):
    """Serves one worker's share of the connections of a listening socket."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, share: tuple[ConnectionCounts, int], timeouts: StopTimeouts
    ) -> None:
        """Make a server that `run` starts; `share`: the connection counts of all workers, and the number of this one."""
        super().__init__(config)
        self.server_state = connections
        self._connections = connections
        self._share = ConnectionCount(*share, lambda: len(connections.connections))
        self._timeouts = timeouts
        self._acceptor: Acceptor | None = None
        self._received_signal: signal.Signals | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Record a signal for the main loop. A stop signal replaces SIGHUP, and nothing replaces a stop signal."""
        del frame
        if self._received_signal in {None, signal.SIGHUP}:
            self._received_signal = signal.Signals(sig)
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals to the end of the process: uvicorn would raise them again, and end it before cleanup."""
        for number in _SIGNALS:
            signal.signal(number, self.handle_exit)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and accept connections on the listening socket."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(STARTUP_FAILURE)
        listener = next(iter(sockets or ()))
        self.servers = []
        self._acceptor = Acceptor(listener, self._make_protocol, self._share)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop in the way of the signal that was received."""
        del sockets
        loop = asyncio.get_running_loop()
        self._connections.is_draining = True
        self._announce_close()
        if self._received_signal is signal.SIGHUP and not await self._retire():
            await self.lifespan.shutdown()
            return
        end = loop.time() + self._timeouts.grace_seconds
        if self._received_signal is signal.SIGTERM and self._acceptor is not None:
            self.lifespan.state[DRAINING] = True
            await asyncio.sleep(min(self._timeouts.drain_seconds, self._timeouts.grace_seconds))
        await self._close_acceptor()
        self._connections.is_closing = True
        for each in self._list_protocols():
            each.shutdown()
        if not await self._wait_until_idle(end):
            await self._abort_all()
        await self.lifespan.shutdown()

    def _make_protocol(self) -> BoundedProtocol:
        made = cast("type[BoundedProtocol]", self.config.http_protocol_class)
        return made(self.config, self._connections, self.lifespan.state)

    def _list_protocols(self) -> list[BoundedProtocol]:
        return [cast("BoundedProtocol", each) for each in self._connections.connections]

    def _announce_close(self) -> None:
        for each in self._list_protocols():
            each.announce_close()

    async def _close_acceptor(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_until_open()
            self._acceptor = None

    async def _retire(self) -> bool:
        """Wait until every connection has ended; say whether a stop signal came first."""
        await self._close_acceptor()
        while self._received_signal is signal.SIGHUP:
            if not self._connections.connections and not self._connections.tasks:
                return False
            await asyncio.sleep(_TICK_SECONDS)
        return True

    async def _wait_until_idle(self, end: float) -> bool:
        """Wait until no connection or request is left; say whether that was before `end`."""
        loop = asyncio.get_running_loop()
        while self._connections.connections or self._connections.tasks:
            if loop.time() >= end:
                return False
            await asyncio.sleep(min(_TICK_SECONDS, max(0.0, end - loop.time())))
        return True

    async def _abort_all(self) -> None:
        """Abort what still runs after the grace period; requests without a response get an error response."""
        aborted = sum(each.abort() for each in self._list_protocols())
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        refused = sum(each.has_unanswered() for each in self._list_protocols())
        _LOG.warning(
            "the grace period of %g s was too short: %d requests were refused, %d responses were aborted; increase grace_seconds",
            self._timeouts.grace_seconds,
            refused,
            aborted,
        )
        for task in self._connections.tasks:
            task.cancel()
        await self._wait_until_idle(loop.time() + _LAST_SECONDS)


def configure(application: Callable[..., Any], *, stall_seconds: float) -> uvicorn.Config:
    """Configure uvicorn for an application: our protocol, and a log without lines of its own for requests."""
    return uvicorn.Config(
        application,
        http=type("Protocol", (BoundedProtocol,), {"stall_seconds": stall_seconds}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # headers of a proxy are not trusted; public_endpoint states what a proxy would
    )


def limit_connections(wanted: int, descriptors: float, reserve: int) -> int:
    """Return how many connections a process with so many descriptors may keep; `reserve` descriptors are for other uses.

    Each connection counts three: during a transfer of image data its socket is open twice, and a copy or a file of a store.
    """
    if math.isinf(descriptors):
        return wanted
    return max(1, min(wanted, (int(descriptors) - reserve) // 3))
