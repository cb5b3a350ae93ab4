"""A directory with copies of images, up to a size. It can be lost without loss of data.

Opening and keeping copies never fails a download: if the disk is full or broken, no copy is written for a while, and the caller
reads the store. Layout: docs/format.md, "Cache directory".
"""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from partage import problems
from partage.model.ids import ContentID
from partage.stores.cache import copies
from partage.stores.cache.copies import Copy
from partage.stores.drivers import posix

IMAGES = "images"

REST_SECONDS = 30.0
REFUSAL_SECONDS = 600.0

_REFUSALS = 1000
_LOW_WATER = 0.95
_TOUCH_SECONDS = 1.0
_SCAN_BYTES = 64 << 20
_BLOCK_BYTES = 512
_STALLED_SECONDS = 3600.0
_FORMER_FOOT = b"PTGC\x01\x00"
_FORMER_FOOT_BYTES = 48
_NAME = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The size of the cache: a share of the space that would be free without it, and at most `most_bytes` if that is not zero."""

    free_share: float
    most_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was evicted: copies, and their bytes on disk."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file: `used_at` is when it was last used, in seconds since 1970."""

    path: Path
    size_bytes: int
    used_at: float


class CacheDirectory:
    """Copies of images below `root`, which must exist. Threads and processes may share it.

    `life` names this life of the service: what processes of other lives have marked is verified again. Each process counts its own
    writes, and scans the directory at times, so several processes may exceed the bounds for a moment. The least recently used
    copies are evicted first. Downloads that read them go on: they have the files open.
    """

    def __init__(self, root: Path, *, bounds: Bounds, life: bytes) -> None:
        self.bounds = bounds
        self._life = life
        self._root = root
        self._images = root / IMAGES
        self._lock = threading.Lock()
        self._counted_bytes: int | None = None
        self._scanned_bytes = 0
        self._rests_until = 0.0
        self._refused: dict[ContentID, float] = {}

    @property
    def takes(self) -> bool:
        """Whether copies may be written: no write failed recently."""
        return time.monotonic() >= self._rests_until

    def open(self, content_id: ContentID, size_bytes: int) -> Copy | None:
        """Open the copy of a content, and begin one if there is none; None if there can be none at the moment."""
        path = self._path(content_id)
        if time.monotonic() < self._refused.get(content_id, 0.0) or not size_bytes:
            return None
        try:
            if not self.takes and not path.exists():
                return None
            for folder in (self._images, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            copy = copies.open_copy(path, content_id, size_bytes, self._life, on_loss=self.refuse)
        except OSError as error:
            self.rest(error)
            return None
        if copy is not None:
            copy.touch(time.time(), every_seconds=_TOUCH_SECONDS)
        return copy

    def rest(self, error: OSError) -> None:
        """Write to no copy for a while: the disk is full or broken. Copies that are there can still be read."""
        if self.takes:
            _LOG.warning("the cache takes nothing for %d s: %s", REST_SECONDS, error.strerror)
        self._rests_until = time.monotonic() + REST_SECONDS

    def refuse(self, content_id: ContentID, reason: str) -> None:
        """Remove a copy, and open none of this content for a while."""
        _LOG.warning("the copy of content %s in the cache is removed: %s", content_id, reason)
        with self._lock:
            if len(self._refused) >= _REFUSALS:
                self._refused.clear()
            self._refused[content_id] = time.monotonic() + REFUSAL_SECONDS
        with contextlib.suppress(problems.StoreUnavailable):
            self.drop([content_id])

    def make_room(self, growing: Copy, more_bytes: int) -> bool:
        """Count bytes that will be written to a copy, and evict others if there are too many; return whether the copy may grow.

        One copy has at most half of the cache. If a whole copy could have more, no other copy is evicted for it.
        """
        with self._lock, contextlib.suppress(problems.StoreUnavailable, OSError):
            if self._counted_bytes is not None:
                limit = self.measure_limit(self._counted_bytes)
                if not self._may_have(growing, more_bytes, limit):
                    return False
                self._counted_bytes += more_bytes
                if self._counted_bytes < min(limit, self._scanned_bytes + _SCAN_BYTES):
                    return True
            return self._prune(below=_LOW_WATER, growing=growing, more_bytes=more_bytes)[1]
        return False

    def holds(self, content_id: ContentID) -> bool:
        """Return whether there is a copy of a content that misses nothing."""
        copy = copies.find_existing(self._path(content_id))
        return copy is not None and copy.is_complete()

    def find(self, content_id: ContentID) -> Copy | None:
        """Open a copy as it is, to look at it: it is not begun, and its marks of other lives stay."""
        return copies.find_existing(self._path(content_id))

    def list_contents(self) -> set[ContentID]:
        """Return all contents that have a copy, whole or not."""
        return {ContentID(entry.path.name) for entry in self._scan()}

    def count(self) -> tuple[int, int]:
        """Return how many copies there are, and their bytes on disk."""
        sizes = [entry.size_bytes for entry in self._scan()]
        return len(sizes), sum(sizes)

    def measure_limit(self, held_bytes: int) -> int:
        """Return how many bytes the copies may have, if they have `held_bytes` now.

        Raises:
            StoreUnavailable: the directory cannot be looked at.
        """
        try:
            found = os.statvfs(self._root)
        except OSError as error:
            raise _unavailable(error) from error
        share = int((found.f_bavail * found.f_frsize + held_bytes) * self.bounds.free_share)
        return min(share, self.bounds.most_bytes) if self.bounds.most_bytes else share

    def drop(self, contents: Iterable[ContentID]) -> None:
        """Remove the copies of these contents, where there are any.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        for each in contents:
            _remove(self._path(each))

    def clear(self) -> None:
        """Remove all copies.

        Raises:
            StoreUnavailable: the directory cannot be changed.
        """
        self.drop(self.list_contents())
        self._counted_bytes = None

    def give_way(self, path: Path) -> bool:
        """Remove all copies and begin none for a while, because the disk of `path` is full; return whether that made room there."""
        with contextlib.suppress(OSError):
            if path.stat().st_dev != self._root.stat().st_dev:
                return False
        self._rests_until = time.monotonic() + REST_SECONDS
        held = self.list_contents()
        with contextlib.suppress(problems.StoreUnavailable):
            self.drop(held)
        return bool(held)

    def prune(self) -> Pruned:
        """Evict the least recently used copies until the rest is within the bounds.

        Raises:
            StoreUnavailable: the directory cannot be looked at or changed.
        """
        with self._lock:
            return self._prune(below=1.0)[0]

    def remove_former_files(self) -> None:
        """Remove what the cache of packs of earlier releases has left: files that end as its copies did, and old drafts."""
        packs, drafts = self._root / "packs", self._root / "incoming"
        for folder in _folders(packs):
            for entry in _files(folder):
                with contextlib.suppress(OSError):
                    if _is_copy_of_pack(entry.path):
                        entry.path.unlink()
        for entry in _files(drafts):
            if posix.parse_draft(entry.path.name) and entry.used_at < time.time() - _STALLED_SECONDS:
                with contextlib.suppress(OSError):
                    entry.path.unlink()
        for folder in (*_folders(packs), packs, drafts):
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def _path(self, content_id: ContentID) -> Path:
        return self._images / content_id[:2] / content_id

    @staticmethod
    def _may_have(growing: Copy, more_bytes: int, limit: int) -> bool:
        """Return whether a copy stays within half of the cache when it grows."""
        half = limit // 2
        return growing.size_bytes <= half or growing.measure_held() + more_bytes <= half

    def _prune(self, *, below: float, growing: Copy | None = None, more_bytes: int = 0) -> tuple[Pruned, bool]:
        """Evict copies other than `growing`, to which `more_bytes` will be written; also return whether that was enough."""
        entries = sorted(self._scan(), key=lambda entry: entry.used_at)
        held = sum(entry.size_bytes for entry in entries)
        total = held + more_bytes
        limit = self.measure_limit(held) if total else 0  # a directory that is not mounted is empty
        if growing is not None and not self._may_have(growing, more_bytes, limit):
            return Pruned(0, 0), False
        files = size_bytes = 0
        if total > limit and (growing is None or growing.size_bytes <= limit // 2):
            for entry in entries:
                if total - size_bytes <= limit * below:
                    break
                if growing is None or entry.path.name != growing.content_id:
                    _remove(entry.path)
                    files, size_bytes = files + 1, size_bytes + entry.size_bytes
        self._counted_bytes = self._scanned_bytes = total - size_bytes
        return Pruned(files, size_bytes), total - size_bytes <= limit

    def _scan(self) -> Iterator[_Entry]:
        for folder in sorted(_folders(self._images)):
            for entry in _files(folder):
                if _NAME.fullmatch(entry.path.name) and entry.path.name.startswith(folder.name):
                    yield entry


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
                found.append(_Entry(folder / entry.name, stat.st_blocks * _BLOCK_BYTES, stat.st_mtime))
    return found


def _is_copy_of_pack(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-_FORMER_FOOT_BYTES, os.SEEK_END)
        return file.read(len(_FORMER_FOOT)) == _FORMER_FOOT


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> problems.StoreUnavailable:
    return problems.StoreUnavailable(
        f"The cache directory cannot be used ({error.strerror}); look after its disk and its permissions"
    )
