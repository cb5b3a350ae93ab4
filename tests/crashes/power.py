"""What a power cut would leave: the worst that a disk may do with what was not synced, which is to lose all of it.

A file has the bytes that it had when it was last synced, a folder the names that it had when it was last synced. A sync counts once
the thread that asked for it goes on. (What kill -9 leaves is the other extreme: nothing is lost. test_kill.py tries that.)

A disk may also be early with names: a file system writes them when it likes, and a name that was not synced can be there without
its bytes. Of a pack that was written directly, whole blocks can be there that were not synced, without the rest of the file.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from partage.stores.drivers.file_writing import ALIGNMENT
from tests.crashes.tracing import SYNCS, Call

OBJECTS = {"incoming", "packs"}
"""The folders in which objects of a store are written."""


@dataclass
class Disk:
    """A folder as it would be found after a power cut. Files and folders are known by their inodes, as names change."""

    root: Path
    contents: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    _pending: dict[int, "_Sync"] = field(default_factory=dict)
    _syncs: int = 0
    _latest: dict[int, int] = field(default_factory=dict)
    _held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take everything that is there for durable."""
        for path in [self.root, *self.root.rglob("*")]:
            self._settle(*_seen(path))

    def watch(self, thread: int, call: Call) -> None:
        """Hear of a call that a thread is about to make, or of the end of its sync."""
        done = self._pending.pop(thread, None)
        # Two threads may sync one folder; a sync that began first and ends last takes nothing away.
        if done is not None and done.number > self._latest.get(done.inode, 0):
            self._latest[done.inode] = done.number
            self._settle(done.inode, done.seen)
        path = Path(call.target)
        if not path.is_relative_to(self.root) or not path.exists():
            return
        if call.name in SYNCS:
            self._syncs += 1
            self._pending[thread] = _Sync(self._syncs, *_seen(path))
        elif call.name.startswith(("unlink", "rename")):
            self._held.append(os.open(path, os.O_PATH))  # so that its inode is not given to another file

    def leave(self, to: Path, *, early_names: bool) -> None:
        """Write what the power cut leaves to a folder that does not exist yet."""
        if early_names:
            self._leave_early(self.root, to)
        else:
            self._leave(self.root.stat().st_ino, to)
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()

    def _leave(self, inode: int, to: Path) -> None:
        if inode in self.names:
            to.mkdir()
            for name, child in self.names[inode].items():
                self._leave(child, to / name)
        else:
            to.write_bytes(self.contents.get(inode, b""))

    def _leave_early(self, source: Path, to: Path) -> None:
        """Write every name that there is, with the bytes that were synced, and of objects also the blocks that were not."""
        if source.is_dir():
            to.mkdir()
            for entry in source.iterdir():
                self._leave_early(entry, to / entry.name)
            return
        synced = self.contents.get(source.stat().st_ino)
        if synced is None and OBJECTS & {*source.parts}:
            written = source.read_bytes()
            synced = written[: len(written) - len(written) % ALIGNMENT]
        to.write_bytes(synced or b"")

    def _settle(self, inode: int, seen: bytes | dict[str, int]) -> None:
        if isinstance(seen, bytes):
            self.contents[inode] = seen
        else:
            self.names[inode] = seen
            for child in self.root.rglob("*"):
                if child.is_dir():
                    self.names.setdefault(child.stat().st_ino, {})


class _Sync(NamedTuple):
    """The sync of a file or folder as it was when the sync began."""

    number: int
    inode: int
    seen: bytes | dict[str, int]


def _seen(path: Path) -> tuple[int, bytes | dict[str, int]]:
    if path.is_dir():
        return path.stat().st_ino, {entry.name: entry.inode() for entry in os.scandir(path)}
    return path.stat().st_ino, path.read_bytes()
