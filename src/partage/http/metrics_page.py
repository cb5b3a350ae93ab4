"""The page that Prometheus scrapes: an ASGI application of its own, on an address of its own, without tokens."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from partage.http.incoming import Scope
from partage.http.server.body import Receive, Send

PATH = "/metrics"
_LOG = logging.getLogger(__name__)
_WAITING = 8
"""Scrapes that may wait for the one that runs; more are refused."""


class MetricsPage:
    """Answers `GET /metrics` with what `write` returns. One thread calls it, so that scrapes do not load the database together."""

    def __init__(self, write: Callable[[], bytes], content_type: str) -> None:
        """Start no thread yet."""
        self._write = write
        self._content_type = content_type.encode()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scrape")
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        status, body = await self._answer(scope)
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", self._content_type)]
        await send({"type": "http.response.start", "status": status.value, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        self._thread.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope) -> tuple[HTTPStatus, bytes]:
        if scope["path"] != PATH:
            return HTTPStatus.NOT_FOUND, f"There is only {PATH} here\n".encode()
        if scope["method"] not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, b"Metrics can only be read\n"
        if self._waiting > _WAITING:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"Too many scrapes wait already\n"
        self._waiting += 1
        try:
            return HTTPStatus.OK, await asyncio.get_running_loop().run_in_executor(self._thread, self._write)
        except Exception:  # noqa: BLE001 - whatever it is, the next scrape may succeed
            _LOG.exception("a scrape failed")
            return HTTPStatus.INTERNAL_SERVER_ERROR, b"The metrics could not be read; see the log\n"
        finally:
            self._waiting -= 1
