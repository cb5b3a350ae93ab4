"""Objects as files below one directory of a POSIX file system.

An object appears under its name only when it is whole and durable: it is written to `incoming/` and synced (`file_writing.py`),
an atomic rename moves it, and its directory is fsynced.
After a failed sync the kernel may have dropped the pages and report success the next time, so the file is abandoned, never retried
(reliability rule of PostgreSQL). Directory tree: stores/layout.py, and

    incoming/
      3f9c1a….0badcafe          an object that is being written: the last part of its key, and a random suffix
"""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from partage import problems
from partage.content.digest import Buffer
from partage.stores import layout, store
from partage.stores.drivers import file_writing
from partage.stores.identity import LONGEST_BYTES, Identity, decode

INCOMING = "incoming/"

_DRAFT = re.compile(r"([A-Za-z0-9_-]+)\.[0-9a-f]{8}")

_Publish = Callable[[int, str, str], None]
"""Gives a draft its name. Arguments: the root's descriptor, the draft, the key."""


class _TakenError(Exception):
    """An object with this key exists."""


class PosixStore:
    """Keep objects below `root`, which must exist and be writable by this user only. Threads and processes may share it.

    With an `identity`, every verb fails in a directory without that identity, such as an empty mount point or another store. Each
    verb opens `root` and works below that descriptor, so the directory that was checked is the one that is used, and a file system
    that is mounted again is found.
    """

    def __init__(self, root: Path, *, identity: Identity | None = None) -> None:
        self._root = root
        self._identity = identity
        self._seen: _Mark | None = None
        self._durable: set[tuple[int, int, str]] = set()

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        self._store(key, parts, _move)

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`. The file system has to have hard links."""
        try:
            self._store(key, parts, _link)
        except _TakenError:
            return False
        return True

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        layout.check_key(key)
        with self._open(f"read {key}") as root:
            try:
                descriptor = os.open(key, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
            except FileNotFoundError as absent:
                raise problems.ContentCorrupt(f"The store should hold {key} and does not; restore it from a backup") from absent
            try:
                return _read_exactly(descriptor, key, start, length)
            finally:
                os.close(descriptor)

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        layout.check_key(key)
        with self._open(f"look at {key}") as root:
            try:
                found = os.stat(key, dir_fd=root)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return store.Stat(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        layout.check_key(key)
        with self._open(f"remove {key}") as root, contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(key, dir_fd=root)
            # Otherwise a power cut may restore the object after its row is gone, and no row shows which database wrote it.
            _fsync_directory(root, key.rpartition("/")[0])

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`."""
        if prefix.startswith(INCOMING):
            return
        folder, _slash, _name = prefix.rpartition("/")
        for key in self._walk(layout.check_key(folder) if folder else ""):
            if key.startswith(prefix):
                yield key

    def list_drafts(self) -> Iterator[store.Draft]:
        """See `store.Store.list_drafts`."""
        for path in self._walk(INCOMING.rstrip("/")):
            with self._open(f"look at {path}") as root, contextlib.suppress(FileNotFoundError):
                found = os.stat(path, dir_fd=root)
                name = parse_draft(path.removeprefix(INCOMING))
                key = None if name is None else layout.build_key(name)
                yield store.Draft(path, key, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove_draft(self, draft: store.Draft) -> None:
        """See `store.Store.remove_draft`."""
        self.remove(draft.name)

    def link(self, key: str, target: Path) -> bool:
        """Hard-link an object outside the store; return False if that is not possible, such as on another file system.

        Raises:
            ContentCorrupt: there is no such object.
            StoreUnavailable: the directory is not this store's.
        """
        layout.check_key(key)
        with self._open(f"read {key}") as root:
            try:
                os.link(key, target, src_dir_fd=root)
            except FileNotFoundError as absent:
                raise problems.ContentCorrupt(f"The store should hold {key} and does not; restore it from a backup") from absent
            except OSError as error:
                if error.errno in _NOT_LINKED:
                    return False
                raise
        return True

    def _store(self, key: str, parts: Sequence[Buffer], publish: _Publish) -> None:
        layout.check_key(key)
        with self._open(f"store {key}") as root:
            try:
                self._write(root, key, parts, publish)
            except FileNotFoundError:
                # Another process removed a folder that this one has made: make it again, and try once more.
                self._durable.clear()
                self._write(root, key, parts, publish)

    @contextlib.contextmanager
    def _open(self, action: str) -> Iterator[int]:
        """Open the root, check its identity, and translate system errors in the block."""
        with _problems(action):
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if self._identity is not None:
                    self._require(root, self._identity)
                yield root
            finally:
                os.close(root)

    def _require(self, root: int, expected: Identity) -> None:
        """Check that the identity is present and the same. Reads its file again only if the file was replaced."""
        try:
            found = os.stat(layout.IDENTITY, dir_fd=root)
        except FileNotFoundError as absent:
            raise problems.StoreUnavailable(_NOT_THIS_STORE) from absent
        mark = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        if mark == self._seen:
            return
        descriptor = os.open(layout.IDENTITY, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
        try:
            here = decode(os.read(descriptor, LONGEST_BYTES))
        finally:
            os.close(descriptor)
        if not here.is_same(expected):
            raise problems.StoreUnavailable(_NOT_THIS_STORE)
        self._seen = mark

    def _write(self, root: int, key: str, parts: Sequence[Buffer], publish: _Publish) -> None:
        folder, _slash, name = key.rpartition("/")
        draft = f"{INCOMING}{name}.{secrets.token_hex(4)}"
        self._make_durable(root, INCOMING.rstrip("/"))
        self._make_durable(root, folder)
        try:
            file_writing.write_new(root, draft, parts)
            publish(root, draft, key)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=root)
            raise
        _fsync_directory(root, folder)

    def _walk(self, folder: str) -> Iterator[str]:
        for name, is_folder in self._entries(folder):
            path = f"{folder}/{name}" if folder else name
            if not is_folder:
                yield path
            elif path != INCOMING.rstrip("/"):
                yield from self._walk(path)

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """List the entries of a folder, each with whether it is a folder."""
        with self._open("list the store") as root:
            try:
                descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
            except (FileNotFoundError, NotADirectoryError):
                return []
            try:
                with os.scandir(descriptor) as entries:
                    return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
            finally:
                os.close(descriptor)

    def _make_durable(self, root: int, folder: str) -> None:
        """Make a folder durable, parents first, once for each process and root.

        A folder that exists may still be lost in a power cut, if its creator has not fsynced the parent yet: so this process
        fsyncs the parents of every folder that it uses.
        """
        if not folder:
            return
        here = os.fstat(root)
        key = (here.st_dev, here.st_ino, folder)
        if key in self._durable:
            return
        parent = folder.rpartition("/")[0]
        self._make_durable(root, parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, dir_fd=root)
        _fsync_directory(root, parent)
        self._durable.add(key)


def parse_draft(name: str) -> str | None:
    """Return the last part of the key of the object that a file in `incoming/` would become; None if it is no draft."""
    found = _DRAFT.fullmatch(name)
    return found[1] if found else None


def _move(root: int, draft: str, key: str) -> None:
    os.rename(draft, key, src_dir_fd=root, dst_dir_fd=root)


def _link(root: int, draft: str, key: str) -> None:
    """Name a draft, unless the name is taken: rename(2) would replace the object, link(2) fails."""
    try:
        os.link(draft, key, src_dir_fd=root, dst_dir_fd=root)
    except FileExistsError as taken:
        raise _TakenError from taken
    os.unlink(draft, dir_fd=root)


def _fsync_directory(root: int, folder: str) -> None:
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
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


_NOT_THIS_STORE = (
    "The store's directory does not have the identity that the database knows; it may not be mounted. Try again later, "
    "and ask the operator to look at it"
)

_Mark = tuple[int, int, int, int]
"""Device, inode, time of change and size: one file until it is replaced."""

_NOT_LINKED = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
"""Another file system, one without links, or too many of them."""

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
