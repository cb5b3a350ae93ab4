"""A directory with copies of packs of slower stores, up to a size. It can be lost without loss of data.

Reads and writes never raise: if a copy is missing, damaged or unreadable, `read` returns None and the caller reads the store. After
a failed write, such as a full disk, nothing is cached for a while. Layout: docs/format.md, "Cache directory".
"""

import contextlib
import logging
import os
import secrets
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import blake3

from partage import problems
from partage.content.digest import Buffer
from partage.model.ids import PackID
from partage.stores import layout
from partage.stores.drivers import posix

BLOCK_BYTES = 64 << 10
"""Each block of a pack has its own digest: a read checks only the blocks that it touches."""

REST_SECONDS = 30.0
STALLED_SECONDS = 3600.0
"""An older draft was left by a crash: writing one takes milliseconds."""

_LOW_WATER = 0.95
_TOUCH_SECONDS = 1.0
_VERSION = 1
_MAGIC = b"PTGC"
_FOOT = struct.Struct("<4sH2xQ32s")
_DIGEST_BYTES = 32
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was evicted: packs, and their bytes on disk."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file: `used_at` is when it was last read or written, in seconds since 1970."""

    path: Path
    size_bytes: int
    used_at: float


class CacheDirectory:
    """Copies of packs below `root`, which must exist, of about `limit_bytes` together. Threads and processes may share it.

    Each process counts only its own writes, and scans the directory when they reach the limit, so several processes may exceed the
    limit for a while. Evicts the least recently used packs until there is a little room again.
    """

    def __init__(self, root: Path, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._root = root
        self._packs = root / layout.PACKS.rstrip("/")
        self._incoming = root / posix.INCOMING.rstrip("/")
        self._lock = threading.Lock()
        self._estimate: int | None = None
        self._rests_until = 0.0

    @property
    def takes(self) -> bool:
        """Whether the directory accepts packs: no write failed recently."""
        return time.monotonic() >= self._rests_until

    def read(self, pack_id: PackID, start: int, length: int) -> bytes | None:
        """Return the bytes [start, start + length) of a cached pack; None if that is not possible. Removes a damaged copy."""
        path = self._path(pack_id)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            self._touch(descriptor)
            return _read_verified(descriptor, pack_id, start, length)
        except _DamagedError:
            _LOG.warning("the copy of pack %s in the cache is damaged and is dropped", pack_id)
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError as error:
            _LOG.warning("the copy of pack %s in the cache cannot be read: %s", pack_id, error.strerror)
        finally:
            os.close(descriptor)
        return None

    def keep(self, pack_id: PackID, whole: Buffer) -> None:
        """Cache a pack, if possible. The caller has verified it."""
        draft = self._incoming / f"{pack_id}.{secrets.token_hex(4)}"
        final = self._path(pack_id)
        try:
            for folder in (self._incoming, self._packs, final.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            size_bytes = _write(draft, pack_id, whole)
            draft.rename(final)  # not fsynced: what a power cut leaves of it has the wrong digests
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink()
            self._rests_until = time.monotonic() + REST_SECONDS
            _LOG.warning("the cache takes nothing for %d s: %s", REST_SECONDS, error.strerror)
            return
        with contextlib.suppress(problems.StoreUnavailable):
            self._grow(size_bytes)

    def holds(self, pack_ids: Iterable[PackID]) -> bool:
        """Return whether all these packs are cached."""
        return all(_is_there(self._path(each)) for each in pack_ids)

    def list_packs(self) -> set[PackID]:
        """Return all cached packs."""
        return {PackID(entry.path.name) for entry in self._scan()}

    def drop(self, pack_ids: Iterable[PackID]) -> None:
        """Remove the copies of these packs, where there are any.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        for each in pack_ids:
            _remove(self._path(each))

    def clear(self) -> None:
        """Remove all copies.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        self.drop(self.list_packs())
        self._estimate = None

    def prune(self, *, below: float = 1.0) -> Pruned:
        """Evict the least recently used packs until at most `below` times the limit is left.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        entries = sorted(self._scan(), key=lambda entry: entry.used_at)
        total = sum(entry.size_bytes for entry in entries)
        files = size_bytes = 0
        if total > self.limit_bytes:
            for entry in entries:
                if total - size_bytes <= self.limit_bytes * below:
                    break
                _remove(entry.path)
                files, size_bytes = files + 1, size_bytes + entry.size_bytes
        self._estimate = total - size_bytes
        return Pruned(files, size_bytes)

    def remove_stalled(self) -> int:
        """Remove drafts that a crash left; return how many.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        written_before = time.time() - STALLED_SECONDS
        drafts = [each for each in _files(self._incoming) if posix.parse_draft(each.path.name)]
        stalled = [each for each in drafts if each.used_at < written_before]
        for each in stalled:
            _remove(each.path)
        return len(stalled)

    def _path(self, pack_id: PackID) -> Path:
        return self._root / layout.pack_key(pack_id)

    def _grow(self, size_bytes: int) -> None:
        with self._lock:
            if self._estimate is not None:
                self._estimate += size_bytes
            if self._estimate is None or self._estimate > self.limit_bytes:
                self.prune(below=_LOW_WATER)

    def _scan(self) -> Iterator[_Entry]:
        for folder in sorted(_folders(self._packs)):
            for entry in _files(folder):
                if layout.pack_id_or_none(f"{layout.PACKS}{folder.name}/{entry.path.name}"):
                    yield entry

    def _touch(self, descriptor: int) -> None:
        if time.time() - os.fstat(descriptor).st_mtime >= _TOUCH_SECONDS:
            with contextlib.suppress(OSError):  # a copy that cannot be touched can be read all the same
                os.utime(descriptor)


class _DamagedError(Exception):
    """A cached copy differs from the original."""


def _write(path: Path, pack_id: PackID, whole: Buffer) -> int:
    view = memoryview(whole)
    blocks = range(0, len(view), BLOCK_BYTES)
    table = b"".join(blake3.blake3(view[start : start + BLOCK_BYTES]).digest() for start in blocks)
    foot = _FOOT.pack(_MAGIC, _VERSION, len(view), _checksum(pack_id, len(view), table))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for part in (view, memoryview(table), memoryview(foot)):
            left = part
            while left:
                left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)
    return len(view) + len(table) + len(foot)


def _read_verified(descriptor: int, pack_id: PackID, start: int, length: int) -> bytes | None:
    size_bytes, table = _read_table(descriptor, pack_id)
    if start + length > size_bytes:
        return None
    first, last = start // BLOCK_BYTES, -(-(start + length) // BLOCK_BYTES)
    aligned = first * BLOCK_BYTES
    found = os.pread(descriptor, min(last * BLOCK_BYTES, size_bytes) - aligned, aligned)
    view = memoryview(found)
    for number in range(first, last):
        block = view[number * BLOCK_BYTES - aligned : (number + 1) * BLOCK_BYTES - aligned]
        if blake3.blake3(block).digest() != table[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]:
            raise _DamagedError
    return found if (aligned, len(found)) == (start, length) else found[start - aligned : start - aligned + length]


def _read_table(descriptor: int, pack_id: PackID) -> tuple[int, bytes]:
    end = os.fstat(descriptor).st_size
    if end < _FOOT.size:
        raise _DamagedError
    foot = os.pread(descriptor, _FOOT.size, end - _FOOT.size)
    magic, version, size_bytes, checksum = _FOOT.unpack(foot)
    table_bytes = -(-size_bytes // BLOCK_BYTES) * _DIGEST_BYTES
    if magic != _MAGIC or version != _VERSION or size_bytes + table_bytes + _FOOT.size != end:
        raise _DamagedError
    table = os.pread(descriptor, table_bytes, size_bytes)
    if checksum != _checksum(pack_id, size_bytes, table):
        raise _DamagedError
    return size_bytes, table


def _checksum(pack_id: PackID, size_bytes: int, table: bytes) -> bytes:
    return blake3.blake3(bytes.fromhex(pack_id) + size_bytes.to_bytes(8, "little") + table).digest()


def _folders(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _files(folder: Path) -> list[_Entry]:
    found: list[_Entry] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # somebody else has removed it meanwhile
                stat = entry.stat(follow_symlinks=False)
                found.append(_Entry(folder / entry.name, stat.st_size, stat.st_mtime))
    return found


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise problems.StoreUnavailable(
            f"The cache directory cannot be changed ({error.strerror}); look after its disk and its permissions"
        ) from error
