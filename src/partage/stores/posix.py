"""Objects as files below one directory of a POSIX file system.

An object appears under its name only when it is whole and durable: written to `incoming/`, fsynced, renamed, its directory fsynced.
After a failed fsync the kernel may have dropped the pages and report success the next time, so the file is abandoned, never retried
(reliability rule of PostgreSQL). Directory tree: stores/layout.py.
"""

import contextlib
import errno
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from partage import problems
from partage.content.digest import Buffer
from partage.stores import layout, store


class PosixStore:
    """Keep objects below `root`, which must exist and be writable by this user only. Threads and processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._settled: set[Path] = set()
        self._lock = threading.Lock()

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        final = self._root / layout.checked(key)
        draft = self._incoming / f"{final.name}.{secrets.token_hex(4)}"
        with _problems(f"store {key}"):
            self._settle(self._incoming)
            self._settle(final.parent)
            try:
                _write_durably(draft, parts)
                draft.rename(final)
            except BaseException:
                with contextlib.suppress(OSError):
                    draft.unlink(missing_ok=True)
                raise
            _fsync_directory(final.parent)

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        with _problems(f"read {key}"):
            try:
                descriptor = os.open(self._root / layout.checked(key), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as absent:
                raise problems.ContentCorrupt(f"The store should hold {key} and does not; restore it from a backup") from absent
            try:
                return _read_exactly(descriptor, key, start, length)
            finally:
                os.close(descriptor)

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        with _problems(f"look at {key}"):
            try:
                found = (self._root / layout.checked(key)).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return store.Stat(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        with _problems(f"remove {key}"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (self._root / layout.checked(key)).unlink()

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`."""
        folder, _slash, _name = prefix.rpartition("/")
        for key in self._walk(self._root / layout.checked(folder) if folder else self._root):
            if key.startswith(prefix):
                yield key

    def remove_abandoned(self, before: datetime) -> int:
        """Remove what a crash left in `incoming/`, last written before `before` (aware); return how many files.

        Choose `before` well before the oldest running writer began.

        Raises:
            StoreUnavailable: the directory cannot be read or written.
        """
        removed = 0
        with _problems("tidy the store"):
            for draft in self._incoming.glob("*"):
                with contextlib.suppress(FileNotFoundError):
                    if draft.stat().st_mtime < before.timestamp():
                        draft.unlink()
                        removed += 1
        return removed

    def _walk(self, folder: Path) -> Iterator[str]:
        with _problems("list the store"):
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if path != self._incoming:
                    yield from self._walk(path)
            else:
                yield path.relative_to(self._root).as_posix()

    def _settle(self, folder: Path) -> None:
        """Make a folder durable, parents first, once for each process.

        A folder that is there may still be lost in a power cut, when whoever made it has not fsynced its parent yet: so this
        process fsyncs the parents of every folder it uses, too.
        """
        if folder in self._settled:
            return
        if folder != self._root:
            self._settle(folder.parent)
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
            _fsync_directory(folder.parent)
        with self._lock:
            self._settled.add(folder)


def _write_durably(path: Path, parts: Sequence[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, parts)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, parts: Sequence[Buffer]) -> None:
    waiting = deque(memoryview(part) for part in parts)
    while waiting:
        written = os.writev(descriptor, list(islice(waiting, _MOST_PARTS)))
        while waiting and len(waiting[0]) <= written:
            written -= len(waiting.popleft())
        if written:
            waiting[0] = waiting[0][written:]


def _fsync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_exactly(descriptor: int, key: str, start: int, length: int) -> bytes:
    found = os.pread(descriptor, length, start)
    while len(found) < length:
        more = os.pread(descriptor, length - len(found), start + len(found))
        if not more:
            raise problems.ContentCorrupt(f"The store should hold {start + length} bytes of {key} and has {start + len(found)}")
        found += more
    return found


_MOST_PARTS = 512
"""Linux takes 1,024 at once, POSIX promises 16."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def _problems(action: str) -> Iterator[None]:
    """Translate the system's errors. Paths of the machine stay in `__cause__`, as sentences may reach users."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in _FULL:
            raise problems.StoreFull(f"The store has no room to {action} ({reason}); free space or try another store") from error
        raise problems.StoreUnavailable(f"The store could not {action} ({reason}); try again later") from error
