"""One copy: the bytes of a content in a plain file, and behind them a map that says which windows may be sent.

The map has a byte for each window. A window is written first and marked second, so a marked window has bytes that were compared
with their digests. Marks hold for one life of the service: a copy that was left from an earlier life is compared again, because a
power cut loses pages in any order and the disk may have been changed. Nothing is fsynced. All writers write the same bytes at the
same place, so processes may fill one copy at once; locks only prevent double work. Layout: docs/format.md, "Cache directory".
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import blake3

from partage.content.digest import Buffer
from partage.model.ids import ContentID
from partage.stores.cache.staging import Staging

WINDOW_BYTES = 1 << 20
"""A window is filled and marked as one. Smaller writes would cost the page cache three times the processor time."""

LIFE_BYTES = 16

_MOST_WINDOWS = 64
"""A part has this many windows at most: about what is sent in one turn."""

_MOST_PIECES = 1000
"""Source: IOV_MAX is 1024."""

_PAGE_BYTES = 4096
_BLOCK_BYTES = 512
"""The unit of st_blocks. Source: stat(2)."""

_MAGIC = b"PTGC"
_VERSION = 2
_FOOT = struct.Struct(f"<4sH2xQ{LIFE_BYTES}s36s4x")
_CHECKSUM_BYTES = 32
_MARKED_AT_ONCE = 1 << 20
_ZEROS = bytes(WINDOW_BYTES)
_FLOCK = struct.Struct("@hhqqi4x")


class State(IntEnum):
    """What is known of a window. ZEROS: all its bytes are zero, and it is not read from the file."""

    MISSING = 0
    UNVERIFIED = 1
    VERIFIED = 2
    ZEROS = 3


_NEXT_LIFE = bytes([State.MISSING, State.UNVERIFIED, State.UNVERIFIED, State.UNVERIFIED, *bytes(252)])
_SENDABLE = (State.VERIFIED, State.ZEROS)


class CopyLostError(Exception):
    """The file of a copy no longer has bytes that were written to it, or cannot be read."""


class SendfileImpossibleError(Exception):
    """The kernel or the file system has no sendfile(2) for this file and this socket."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """The bytes [start, start + length) of a copy, all verified. Keeps the copy open."""

    copy: "Copy"
    start: int
    length: int

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.length

    def skip(self, count: int) -> "FilePart":
        """Return the part without its first bytes."""
        return FilePart(self.copy, self.start + count, self.length - count)

    def read(self, most_bytes: int) -> bytes:
        """Read the first bytes of the part. Blocking.

        Raises:
            CopyLostError: the file does not have them.
        """
        wanted = min(self.length, most_bytes)
        try:
            found = os.pread(self.copy.descriptor, wanted, self.start)
        except OSError as error:
            raise CopyLostError(error.strerror) from error
        if len(found) < wanted:
            raise CopyLostError("the file is shorter than the image")
        return found

    def send(self, socket_descriptor: int) -> int:
        """Send the first bytes with sendfile(2), as many as the socket takes; return how many. Blocks only for the disk.

        Raises:
            CopyLostError: the file does not have them.
            SendfileImpossibleError: the bytes have to be read, and sent from memory.
            BlockingIOError: the socket is full.
            OSError: the connection has ended.
        """
        try:
            sent = os.sendfile(socket_descriptor, self.copy.descriptor, self.start, self.length)
        except OSError as error:
            if error.errno in _FILE_ERRORS:
                raise CopyLostError(error.strerror) from error
            if error.errno in _NO_SENDFILE:
                raise SendfileImpossibleError from error
            raise
        if not sent:
            raise CopyLostError("the file is shorter than the image")
        return sent


_FILE_ERRORS = {errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA, errno.ESTALE}
"""EBADMSG is a wrong checksum, of ext4 and XFS; ENODATA a sector that cannot be read. A socket reports neither."""

_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class Copy:
    """An open copy. Closed when nothing refers to it. The map may be read and marked by several threads and processes."""

    def __init__(
        self,
        content_id: ContentID,
        size_bytes: int,
        descriptor: int,
        on_loss: Callable[[ContentID, str], None] = lambda _content_id, _reason: None,
    ) -> None:
        """Take over the descriptor of a file that was prepared. `on_loss` removes the file."""
        self.content_id = content_id
        self.size_bytes = size_bytes
        self.descriptor = descriptor
        self._on_loss = on_loss
        self.windows = count_windows(size_bytes)
        self.map_at = _find_map(size_bytes)

    def __del__(self) -> None:
        """Close the file, and release its locks."""
        os.close(self.descriptor)

    @property
    def is_removed(self) -> bool:
        """Whether the file was evicted: what is written to it now is lost, and takes space all the same."""
        return os.fstat(self.descriptor).st_nlink == 0

    def measure_held(self) -> int:
        """Return how many bytes the file takes on the disk; holes take none."""
        return os.fstat(self.descriptor).st_blocks * _BLOCK_BYTES

    def states(self, first: int, count: int) -> bytes:
        """Return the states of some windows; windows are missing where the map is damaged or cannot be read."""
        return self.read(self.map_at + first, count).ljust(count, b"\0")

    def is_complete(self) -> bool:
        """Return whether no window is missing."""
        return bytes([State.MISSING]) not in self.states(0, self.windows)

    def lose(self, reason: str) -> None:
        """Give up the file: it no longer has what was written to it."""
        self._on_loss(self.content_id, reason)

    def take_part(self, start: int, stop: int) -> "FilePart | bytes | None":
        """Return the first bytes of [start, stop) that may be sent, or None if there are none yet."""
        first = start // WINDOW_BYTES
        states = self.states(first, min(count_windows(stop) - first, _MOST_WINDOWS))
        if states[0] not in _SENDABLE:
            return None
        if states[0] == State.ZEROS:
            return _ZEROS[: min(stop, (first + 1) * WINDOW_BYTES) - start]
        count = len(states) - len(states.lstrip(bytes([State.VERIFIED])))
        return FilePart(self, start, min(stop, (first + count) * WINDOW_BYTES) - start)

    def measure_window(self, window: int) -> int:
        """Return how many bytes a window has; the last one may be shorter."""
        return min(WINDOW_BYTES, self.size_bytes - window * WINDOW_BYTES)

    def write(self, first: int, windows: Sequence[Sequence[Buffer]], staging: Staging | None = None) -> None:
        """Write adjacent windows whose bytes were verified, and mark them; past the page cache, if `staging` can do that.

        Raises:
            OSError: the disk is full or broken; the windows are not marked.
        """
        at, pieces = first * WINDOW_BYTES, list(chain.from_iterable(windows))
        if staging is None or not staging.write(self.descriptor, at, pieces):
            self._write_cached(at, pieces)
        self.mark(first, bytes([State.VERIFIED]) * len(windows))

    def _write_cached(self, at: int, pieces: list[Buffer]) -> None:
        left = [memoryview(piece) for piece in pieces]
        while left:
            written = os.pwritev(self.descriptor, left[:_MOST_PIECES], at)
            at += written
            while left and len(left[0]) <= written:
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def mark(self, first: int, states: bytes) -> None:
        """Set the states of adjacent windows.

        Raises:
            OSError: the disk is full or broken.
        """
        os.pwrite(self.descriptor, states, self.map_at + first)

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the file, whatever their state; fewer if it is too short, or the disk cannot read them."""
        with contextlib.suppress(OSError):
            return os.pread(self.descriptor, length, start)
        return b""

    def lock(self, first: int, count: int) -> bool:
        """Reserve windows for a fill of this `Copy`; return whether no other `Copy` of the file has one."""
        try:
            fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, first, count))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            return True  # a file system without locks: processes fill the same windows twice
        return True

    def unlock(self, first: int, count: int) -> None:
        """Release windows."""
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, first, count))

    def touch(self, now: float, *, every_seconds: float) -> None:
        """Note a use, as the file's modification time."""
        if now - os.fstat(self.descriptor).st_mtime >= every_seconds:
            with contextlib.suppress(OSError):  # a copy that cannot be touched can be read all the same
                os.utime(self.descriptor, (now, now))


def is_zeros(pieces: Iterable[Buffer]) -> bool:
    """Return whether the pieces of a window have zeros only."""
    return all(map(_ZEROS.startswith, pieces))


def count_windows(size_bytes: int) -> int:
    """Return the number of windows of so many bytes."""
    return -(-size_bytes // WINDOW_BYTES)


def open_copy(
    path: Path, content_id: ContentID, size_bytes: int, life: bytes, *, on_loss: Callable[[ContentID, str], None]
) -> Copy | None:
    """Open the copy at `path`, and create it if there is none; None if it was evicted at the same moment, or is damaged.

    In a new life of the service all marks are withdrawn. A damaged file is removed.

    Raises:
        OSError: the disk is full or broken.
    """
    copy = Copy(content_id, size_bytes, os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), on_loss)
    fcntl.flock(copy.descriptor, fcntl.LOCK_SH)
    if _read_foot(copy.descriptor) != _Foot(size_bytes, life, content_id):
        fcntl.flock(copy.descriptor, fcntl.LOCK_EX)
        found, is_new = _read_foot(copy.descriptor), not os.fstat(copy.descriptor).st_size
        if not is_new and (found is None or (found.size_bytes, found.content_id) != (size_bytes, content_id)):
            path.unlink(missing_ok=True)
            return None
        if found is None or found.life != life:
            _begin_life(path, copy, life, is_new=is_new)
    fcntl.flock(copy.descriptor, fcntl.LOCK_UN)
    return None if copy.is_removed else copy


def find_existing(path: Path) -> Copy | None:
    """Open the file at `path` as it is, whatever life has marked it; None if it is no copy of the content that its name says."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    found = None
    with contextlib.suppress(OSError):
        found = _read_foot(descriptor)
    if found is None or found.content_id != path.name:
        os.close(descriptor)
        return None
    return Copy(found.content_id, found.size_bytes, descriptor)


class _Foot(NamedTuple):
    """The end of the file: the size of the content, the life that has marked the map, and the content."""

    size_bytes: int
    life: bytes
    content_id: ContentID


def _begin_life(path: Path, copy: Copy, life: bytes, *, is_new: bool) -> None:
    """Withdraw all marks, then write the foot. The file keeps its time, by which copies are evicted."""
    used = os.fstat(copy.descriptor)
    try:
        for first in range(0, copy.windows, _MARKED_AT_ONCE):
            count = min(_MARKED_AT_ONCE, copy.windows - first)
            copy.mark(first, bytes(count) if is_new else copy.states(first, count).translate(_NEXT_LIFE))
        foot = _FOOT.pack(_MAGIC, _VERSION, copy.size_bytes, life, copy.content_id.encode())
        os.pwrite(copy.descriptor, foot + blake3.blake3(foot).digest(), copy.map_at + copy.windows)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    if not is_new:
        os.utime(copy.descriptor, ns=(used.st_atime_ns, used.st_mtime_ns))


def _read_foot(descriptor: int) -> _Foot | None:
    """Return the foot; None if it is damaged, or not where the size that it says would have it."""
    end = os.fstat(descriptor).st_size
    if end < _FOOT.size + _CHECKSUM_BYTES:
        return None
    whole = os.pread(descriptor, _FOOT.size + _CHECKSUM_BYTES, end - _FOOT.size - _CHECKSUM_BYTES)
    foot, checksum = whole[: _FOOT.size], whole[_FOOT.size :]
    if checksum != blake3.blake3(foot).digest():
        return None
    magic, version, size_bytes, life, name = _FOOT.unpack(foot)
    if (magic, version) != (_MAGIC, _VERSION) or measure_file(size_bytes) != end:
        return None
    return _Foot(size_bytes, life, ContentID(name.rstrip(b"\0").decode()))


def measure_file(size_bytes: int) -> int:
    """Return the length of the file of a copy, most of which may be holes."""
    return _find_map(size_bytes) + count_windows(size_bytes) + _FOOT.size + _CHECKSUM_BYTES


def _find_map(size_bytes: int) -> int:
    return -(-size_bytes // _PAGE_BYTES) * _PAGE_BYTES


def _range(kind: int, first: int, count: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, first * WINDOW_BYTES, count * WINDOW_BYTES, 0)
