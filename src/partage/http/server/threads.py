"""The thread pools through which the event loop calls blocking operations.

Each kind of work has its own pool, so that no kind waits for another. An upload holds a thread while received bytes are stored, a
download while a buffer is read, other operations for milliseconds. Reads of documents do not wait behind changes, which wait for
each other, nor behind lists, which may be long. Calls to other servers, which may be slow, delay only each other. Tokens that were
valid before do not wait behind unknown tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

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
    ) -> None:
        """Make pools of these sizes. Threads start on first use; threads for image data first call `data_thread_begins`."""
        self._reading = ThreadPoolExecutor(reading, thread_name_prefix="reading")
        self._listing = ThreadPoolExecutor(listing, thread_name_prefix="listing")
        self._metadata = ThreadPoolExecutor(metadata, thread_name_prefix="metadata")
        self._upload = ThreadPoolExecutor(upload, thread_name_prefix="upload", initializer=data_thread_begins)
        self._download = ThreadPoolExecutor(download, thread_name_prefix="download", initializer=data_thread_begins)
        self._remote = ThreadPoolExecutor(remote, thread_name_prefix="remote", initializer=data_thread_begins)
        self._validation = ThreadPoolExecutor(validation, thread_name_prefix="validation")
        self._revalidation = ThreadPoolExecutor(validation, thread_name_prefix="revalidation")

    def call(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation on documents in a thread."""
        return _run(self._metadata, function, *given, **named)

    def call_reading(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that only reads documents in a thread."""
        return _run(self._reading, function, *given, **named)

    def call_listing(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Run an operation that lists documents, and renders the list, in a thread."""
        return _run(self._listing, function, *given, **named)

    def call_upload(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Begin or end an upload, or store received bytes, in a thread."""
        return _run(self._upload, function, *given, **named)

    def call_download(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        """Read one buffer of image data in a thread."""
        return _run(self._download, function, *given, **named)

    def call_remote(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> asyncio.Future[Result]:
        """Run an operation that waits for another server in a thread."""
        return _run(self._remote, function, *given, **named)

    def call_validation(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Validate an unknown token in a thread."""
        return _run(self._validation, function, *given, **named)

    def call_revalidation(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Awaitable[Result]:
        """Validate a token that was valid before in a thread."""
        return _run(self._revalidation, function, *given, **named)

    def close(self) -> None:
        """Accept no more work; do not wait for running calls."""
        documents = (self._reading, self._listing, self._metadata, self._validation, self._revalidation)
        for pool in (*documents, self._upload, self._download, self._remote):
            pool.shutdown(wait=False, cancel_futures=True)


def _run(
    pool: ThreadPoolExecutor,
    function: Callable[Given, Result],
    *given: Given.args,
    **named: Given.kwargs,
) -> asyncio.Future[Result]:
    return asyncio.get_running_loop().run_in_executor(pool, partial(function, *given, **named))
