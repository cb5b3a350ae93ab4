"""Threads that move image data go behind those that answer for documents."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from partage.http.server.threads import Threads
from partage.main.process import priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a nice value is a thread's own on Linux only")


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def niceness_of_a_child() -> tuple[int, int]:
    """Give the nice value of this thread, and that of one that it starts."""
    with ThreadPoolExecutor(1) as pool:
        return nice(), pool.submit(nice).result()


def test_image_data_threads_and_their_children_run_at_nice_10() -> None:
    own = nice()
    behind = min(19, own + 10)

    async def asked() -> list[tuple[int, int]]:
        threads = Threads(reading=1, metadata=1, upload=1, download=1, remote=1, data_thread_begins=priority.lower_thread_priority)
        try:
            calls = (threads.call_reading, threads.call, threads.call_upload, threads.call_download, threads.call_remote)
            return [await call(niceness_of_a_child) for call in calls]
        finally:
            threads.close()

    assert asyncio.run(asked()) == [(own, own), (own, own), (behind, behind), (behind, behind), (behind, behind)]
    assert nice() == own


def test_niceness_is_capped_at_19(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda *_: 15)
    monkeypatch.setattr(os, "setpriority", lambda _kind, _who, nice: asked.append(nice))
    priority.lower_thread_priority()
    assert asked == [19]


def test_denied_setpriority_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    own = nice()
    priority.lower_thread_priority()
    assert nice() == own
