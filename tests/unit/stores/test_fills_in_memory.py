"""What a fill holds in memory, and how it writes: readers do not wait for the disk, and the page cache is not filled."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from partage.stores.cache import fills, staging
from partage.stores.cache.copies import WINDOW_BYTES, State
from partage.stores.cache.fills import LEAD_WINDOWS, Fills
from partage.stores.cache.staging import ALIGNMENT, Staging
from tests.unit.stores.copying import Content, copy_of, file_of, make_fills, make_mixed_data, read_part, read_through

Write = Callable[[int, list[memoryview], int], int]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Fills]:
    made = make_fills(tmp_path / "cache")
    yield made
    made.close()


def has_direct_writes(folder: Path) -> bool:
    """Return whether the file system of the tests has O_DIRECT."""
    descriptor = os.open(folder / "probe", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        return Staging(ALIGNMENT).write(descriptor, 0, [bytes(ALIGNMENT)])
    finally:
        os.close(descriptor)


def test_reader_gets_bytes_before_they_are_written(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    content, write, may_write = Content(os.urandom(20 * WINDOW_BYTES)), os.pwritev, threading.Event()

    def wait(descriptor: int, pieces: list[memoryview], at: int) -> int:
        may_write.wait(20)
        return write(descriptor, pieces, at)

    monkeypatch.setattr(os, "pwritev", wait)
    copy, found = copy_of(cache, content), b""
    for window in range(4):
        taken = cache.take(copy, window * WINDOW_BYTES + 7, len(content.data), content)
        assert taken is not None
        assert not taken.was_there
        found += b"".join(map(read_part, taken.pieces))
    assert found == b"".join(content.data[each * WINDOW_BYTES + 7 : (each + 1) * WINDOW_BYTES] for each in range(4))
    assert copy.states(0, 4) == bytes([State.MISSING]) * 4, "what is not written is not marked"
    may_write.set()
    assert read_through(cache, content) == content.data
    assert file_of(cache, content).read_bytes()[: len(content.data)] == content.data


def test_fill_holds_no_more_than_its_lead(cache: Fills) -> None:
    content, most = Content(os.urandom(40 * WINDOW_BYTES)), 0
    copy, at = copy_of(cache, content), 0
    while at < len(content.data):
        taken = cache.take(copy, at, len(content.data), content)
        assert taken is not None
        at += sum(map(len, taken.pieces))
        most = max(most, *(len(fill.held) for fill in cache._fills), 0)  # noqa: SLF001
    assert 0 < most <= LEAD_WINDOWS
    cache.settle(content.id)
    assert not cache._fills, "and nothing after its end"  # noqa: SLF001


def test_filled_window_is_in_memory_or_in_the_file(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    """One before many zeros was forgotten before it was written, and its readers turned to the store."""
    content = Content(os.urandom(WINDOW_BYTES) + bytes(3 * LEAD_WINDOWS * WINDOW_BYTES))
    copy, lost, advance = copy_of(cache, content), list[int](), cache.advance

    def check(fill: Any, count: int, held: Any = None) -> None:
        advance(fill, count, held)
        states = copy.states(0, fill.front)
        lost.extend(each for each in range(fill.front) if each not in fill.held and states[each] < State.VERIFIED)

    monkeypatch.setattr(cache, "advance", check)
    content.gate.clear()
    positions = (0, (LEAD_WINDOWS - 1) * WINDOW_BYTES)
    readers = [threading.Thread(target=cache.take, args=(copy, each, len(content.data), content)) for each in positions]
    for number, each in enumerate(readers):
        each.start()
        while not any(fill.begin == 0 and fill.wanted >= LEAD_WINDOWS + number for fill in cache._fills):  # noqa: SLF001
            time.sleep(0.01)
    content.gate.set()
    for each in readers:
        each.join()
    cache.settle(content.id)
    assert lost == []


def test_windows_are_written_past_the_page_cache(cache: Fills, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not has_direct_writes(tmp_path):
        pytest.skip("the file system has no direct writes")
    content, write, direct = Content(make_mixed_data(16.5)), os.pwritev, list[bool]()

    def note(descriptor: int, pieces: list[memoryview], at: int) -> int:
        direct.append(bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT))
        return write(descriptor, pieces, at)

    monkeypatch.setattr(os, "pwritev", note)
    assert read_through(cache, content) == content.data
    assert direct
    assert all(direct)
    assert file_of(cache, content).read_bytes()[: len(content.data)] == content.data
    assert cache.directory.holds(content.id)


@pytest.mark.parametrize("refuses_at", ["flag", "write"])
def test_file_system_without_direct_writes_gets_the_same_copy(
    cache: Fills, monkeypatch: pytest.MonkeyPatch, refuses_at: str
) -> None:
    content, write, control = Content(make_mixed_data(10)), os.pwritev, fcntl.fcntl

    def refuse_flag(descriptor: int, command: int, given: Any = 0) -> Any:
        if command == fcntl.F_SETFL and given & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return control(descriptor, command, given)

    def refuse_write(descriptor: int, pieces: list[memoryview], at: int) -> int:
        if control(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return write(descriptor, pieces, at)

    if refuses_at == "flag":
        monkeypatch.setattr(fcntl, "fcntl", refuse_flag)
    else:
        monkeypatch.setattr(os, "pwritev", refuse_write)
    for _ in range(2):
        assert read_through(cache, content) == content.data
    assert content.readings == 1
    assert file_of(cache, content).read_bytes()[: len(content.data)] == content.data


def test_slow_disk_gets_its_bytes_through_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_direct_writes(tmp_path):
        pytest.skip("the file system has no direct writes")
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(staging, "time", SimpleNamespace(monotonic=lambda: next(now)))
    through = Staging(16 << 20)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    assert through.write(descriptor, 0, [bytes(16 << 20)]), "16 MiB in 10 s"
    assert not through.write(descriptor, 16 << 20, [bytes(ALIGNMENT)])
    os.close(descriptor)


def test_last_windows_that_cannot_be_written_are_not_cached(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader had them from memory: it ends, and the next one fills them again."""
    content = Content(os.urandom(6 * WINDOW_BYTES))

    def refuse(_descriptor: int, _pieces: list[memoryview], _at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwritev", refuse)
        assert read_through(cache, content) == content.data
        assert not cache.directory.holds(content.id)
        assert not cache.directory.takes
    cache.directory._rests_until = 0.0  # noqa: SLF001
    assert read_through(cache, content) == content.data
    assert cache.directory.holds(content.id)


def test_fill_waits_for_enough_demand_but_not_for_a_waiting_reader(cache: Fills, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a reader as fast as its client would wake the fill for each window; and the last windows would never come."""
    monkeypatch.setattr(fills, "LINGER_SECONDS", 30.0)
    content = Content(os.urandom(LEAD_WINDOWS * 2 * WINDOW_BYTES))
    copy, size = copy_of(cache, content), len(content.data)
    assert cache.take(copy, 0, size, content)
    [fill] = cache._fills  # noqa: SLF001
    deadline = time.monotonic() + 20
    while not fill.is_idle and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fill.front == LEAD_WINDOWS
    assert cache.take(copy, WINDOW_BYTES, size, content)
    time.sleep(0.1)
    assert fill.is_idle
    for window in range(2, 2 * LEAD_WINDOWS):
        assert cache.take(copy, window * WINDOW_BYTES, size, content)
    cache.settle(content.id)
    assert copy.is_complete()
