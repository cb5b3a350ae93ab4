"""Direct writes, and the plain way wherever the file system refuses them: the file has the same bytes in the end."""

import errno
import fcntl
import mmap
import os
import random
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from partage.stores.drivers import file_writing

BLOCK = file_writing.ALIGNMENT
SHAPES = [
    [0],
    [1],
    [BLOCK],
    [BLOCK - 1, BLOCK],
    [BLOCK + 1, BLOCK],
    [4 * BLOCK, 8 * BLOCK, 100],
    [4 * BLOCK, 3 * BLOCK + 7, 8 * BLOCK],
    [BLOCK] * 1500,
]
"""Lengths of parts. Each part begins at a page, so the first one that is no multiple of a block ends what is written directly."""

Writev = Callable[[int, list[Any]], int]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def make_part(length: int) -> memoryview:
    """Make a part whose memory begins at a page."""
    part = memoryview(mmap.mmap(-1, max(length, 1)))[:length]
    part[:] = random.Random(length).randbytes(length)
    return part


def watch(monkeypatch: pytest.MonkeyPatch, act: Callable[[Writev, int, list[Any]], int]) -> list[tuple[bool, int]]:
    """Let `act` make each write; return a list of whether each was direct, and of how many bytes."""
    seen: list[tuple[bool, int]] = []
    original = os.writev

    def writev(descriptor: int, parts: list[Any]) -> int:
        is_direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
        seen.append((is_direct, sum(map(len, parts))))
        return act(original, descriptor, parts)

    monkeypatch.setattr(os, "writev", writev)
    return seen


def write(writev: Writev, descriptor: int, parts: list[Any]) -> int:
    return writev(descriptor, parts)


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


def refuse(writev: Writev, descriptor: int, parts: list[Any]) -> int:
    if is_direct(descriptor):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return writev(descriptor, parts)


def write_short(writev: Writev, descriptor: int, parts: list[Any]) -> int:
    """Write less than a block, and refuse after it, as file systems do at an offset that is not aligned."""
    offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    if is_direct(descriptor) and offset % BLOCK:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if not is_direct(descriptor):
        return writev(descriptor, parts)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    written = writev(descriptor, [memoryview(parts[0])[:100]])
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return written


@pytest.mark.parametrize("act", [write, refuse, write_short], ids=["direct", "refused", "short"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_file_has_the_parts(folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: list[int], act: Any) -> None:
    parts = [make_part(length) for length in shape]
    watch(monkeypatch, act)
    file_writing.write_new(folder, "file", parts)
    assert (tmp_path / "file").read_bytes() == b"".join(parts)


def test_aligned_parts_are_written_directly_and_the_rest_plainly(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch(monkeypatch, write)
    parts = [make_part(8 * BLOCK), make_part(3 * BLOCK + 7), b"the tail"]
    file_writing.write_new(folder, "file", parts)
    if not seen[0][0]:
        pytest.skip("this file system has no direct I/O")
    assert seen == [(True, 11 * BLOCK), (False, 15)]


def test_memory_between_blocks_is_written_plainly(folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch(monkeypatch, write)
    part = make_part(3 * BLOCK)[1:]
    file_writing.write_new(folder, "file", [part])
    assert seen == [(False, 3 * BLOCK - 1)]
    assert (tmp_path / "file").read_bytes() == part


def test_file_system_without_direct_io_gets_everything_plainly(
    folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = fcntl.fcntl

    def refuse_flag(descriptor: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETFL and argument & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return original(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", refuse_flag)
    seen = watch(monkeypatch, write)
    parts = [make_part(8 * BLOCK), make_part(7)]
    file_writing.write_new(folder, "file", parts)
    assert [direct for direct, _size in seen] == [False]
    assert (tmp_path / "file").read_bytes() == b"".join(parts)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
def test_error_of_a_direct_write_is_not_tried_again(folder: int, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def fail(_writev: Writev, _descriptor: int, _parts: list[Any]) -> int:
        raise OSError(error, os.strerror(error))

    seen = watch(monkeypatch, fail)
    with pytest.raises(OSError, match=os.strerror(error)):
        file_writing.write_new(folder, "file", [make_part(8 * BLOCK)])
    assert len(seen) == 1


def test_file_is_synced_after_the_last_write(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    originals = (os.writev, os.fdatasync)
    monkeypatch.setattr(os, "writev", lambda *given: (order.append("write"), originals[0](*given))[1])
    monkeypatch.setattr(os, "fdatasync", lambda *given: (order.append("sync"), originals[1](*given))[1])
    file_writing.write_new(folder, "file", list(chain([make_part(8 * BLOCK)], [b"tail"])))
    assert order == ["write", "write", "sync"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no memory file system")
def test_memory_file_system_keeps_a_store() -> None:
    folder = os.open("/dev/shm", os.O_RDONLY | os.O_DIRECTORY)
    parts = [make_part(8 * BLOCK), make_part(5)]
    name = f"partage-test-{os.getpid()}"
    try:
        file_writing.write_new(folder, name, parts)
        assert Path("/dev/shm", name).read_bytes() == b"".join(parts)
    finally:
        os.unlink(name, dir_fd=folder)
        os.close(folder)
