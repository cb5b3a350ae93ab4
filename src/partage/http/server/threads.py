"""The thread pools through which the event loop calls blocking operations.

Each kind of work has its own pool, so that no kind waits for another. An upload holds a thread while received bytes are stored, a
download while a buffer is read, other operations for milliseconds. Reads of documents do not wait behind changes, which wait for
each other, nor behind lists, which may be long. Calls to other servers, which may be slow, delay only each other. Tokens that were
valid before do not wait behind unknown tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from partage.measures import POOL_BUSY, POOL_THREADS, POOL_WAITING, Meter, Unmetered

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Threads:
    """The pools of one process. Used from the event loop's thread only."""

    def __init__(
        self,
        *,
        reading: int,
        metadata: int,
        upload: int,
        download: int,
        remote: int,
        listing: int = 1,
        validation: int = 1,
        data_thread_begins: Callable[[], None] | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Make pools of these sizes. Threads start on first use; threads for image data first call `data_thread_begins`."""

        def pool(name: str, size: int, begins: Callable[[], None] | None = None) -> _Pool:
            return _Pool(name, size, begins, Unmetered() if meter is None else meter)

        self._reading = pool("reading", reading)
        self._listing = pool("listing", listing)
        self._metadata = pool("metadata", metadata)
        self._upload = pool("upload", upload, data_thread_begins)
        self._download = pool("download", download, data_thread_begins)
        self._sending = pool("sending", download)
        self._remote = pool("remote", remote, data_thread_begins)
        self._validation = pool("validation", validation)
        self._revalidation = pool("revalidation", validation)

    def call(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation on documents in a thread."""
        return self._metadata.run(function, *given, **named)

    def call_reading(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that only reads documents in a thread."""
        return self._reading.run(function, *given, **named)

    def call_listing(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that lists documents, and renders the list, in a thread."""
        return self._listing.run(function, *given, **named)

    def call_upload(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Begin or end an upload, or store received bytes, in a thread."""
        return self._upload.run(function, *given, **named)

    def call_download(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        """Read one buffer of image data in a thread."""
        return self._download.run(function, *given, **named)

    def call_sending(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        """Send a file in a thread. It computes nothing, so its priority is not lowered as that of other threads for image data."""
        return self._sending.run(function, *given, **named)

    def call_remote(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        """Run an operation that waits for another server in a thread."""
        return self._remote.run(function, *given, **named)

    def call_validation(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Validate an unknown token in a thread."""
        return self._validation.run(function, *given, **named)

    def call_revalidation(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Validate a token that was valid before in a thread."""
        return self._revalidation.run(function, *given, **named)

    def close(self) -> None:
        """Accept no more work; do not wait for running calls."""
        documents = (self._reading, self._listing, self._metadata, self._validation, self._revalidation)
        for pool in (*documents, self._upload, self._download, self._sending, self._remote):
            pool.close()


class _Pool:
    """One pool, and how many of its threads work and how many calls wait for one."""

    def __init__(self, name: str, size: int, begins: Callable[[], None] | None, meter: Meter) -> None:
        self._name = name
        self._meter = meter
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name, initializer=begins)
        meter.change(POOL_THREADS, name, by=size)

    def run(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        # In a copy of the caller's context, so that what the call measures belongs to the trace of its request.
        waiting = self._threads.submit(copy_context().run, self._work, partial(function, *given, **named))
        self._meter.change(POOL_WAITING, self._name, by=1)
        waiting.add_done_callback(self._forget_cancelled)
        return asyncio.wrap_future(waiting)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget_cancelled(self, ended: "Future[Result]") -> None:
        if ended.cancelled():
            self._meter.change(POOL_WAITING, self._name, by=-1)

    def _work(self, call: Callable[[], Result]) -> Result:
        self._meter.change(POOL_WAITING, self._name, by=-1)
        self._meter.change(POOL_BUSY, self._name, by=1)
        try:
            return call()
        finally:
            self._meter.change(POOL_BUSY, self._name, by=-1)
