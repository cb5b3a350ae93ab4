"""Write a new file durably, past the page cache where that is possible (direct I/O, O_DIRECT).

Fresh pages of the page cache cost more processor time than all digests of an upload: 1.9 to 2.7 s for each GiB beside 0.1 s
(docs/decisions/0068, which also says what O_DIRECT does not promise). Direct I/O takes aligned memory, aligned lengths and aligned
offsets only. So the leading parts that are aligned are written directly, and the rest, which for a pack is its index and less than
a block before it, through the page cache. A file system without direct I/O gets everything that way.
"""

import ctypes
import errno
import fcntl
import os
from collections import deque
from collections.abc import Sequence
from itertools import islice

from partage.content.digest import Buffer

ALIGNMENT = 4096
"""The logical block of every common disk is 512 or 4,096 bytes. A file system that wants more refuses with EINVAL."""


def write_new(root: int, path: str, parts: Sequence[Buffer]) -> None:
    """Create a file below the folder `root` with the concatenation of `parts`; its bytes and size are durable on return.

    Its name is not: the caller fsyncs the folder. After an exception the file may exist, and must not be used.

    Raises:
        OSError: the file exists, or the system refused.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root)
    try:
        _write(descriptor, _write_directly(descriptor, parts))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _write_directly(descriptor: int, parts: Sequence[Buffer]) -> deque[memoryview]:
    """Write the aligned beginning of `parts` directly, if the file system can; return what is left."""
    aligned, rest = _split(parts)
    if not aligned:
        return rest
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        # Not at open(2): with O_CREAT, a file system without direct I/O creates the file before it refuses.
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
    except OSError:
        return aligned + rest
    try:
        _write(descriptor, aligned)
    except OSError as error:
        # A short write ended inside a block, or the file system wants another alignment.
        if error.errno not in _NOT_DIRECTLY:
            raise
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return aligned + rest


def _split(parts: Sequence[Buffer]) -> tuple[deque[memoryview], deque[memoryview]]:
    """Split before the first byte that cannot be written directly."""
    aligned: deque[memoryview] = deque()
    rest = deque(memoryview(part) for part in parts if part)
    while rest and _is_aligned(rest[0]):
        part = rest.popleft()
        whole_bytes = len(part) - len(part) % ALIGNMENT
        if whole_bytes:
            aligned.append(part[:whole_bytes])
        if whole_bytes < len(part):
            rest.appendleft(part[whole_bytes:])
            break
    return aligned, rest


def _is_aligned(part: memoryview) -> bool:
    """Return whether the memory begins at a block. Memory that cannot be written to does not tell where it is."""
    return not part.readonly and ctypes.addressof(ctypes.c_char.from_buffer(part)) % ALIGNMENT == 0


def _write(descriptor: int, waiting: deque[memoryview]) -> None:
    """Write all parts; remove from `waiting` what was written."""
    while waiting:
        written = os.writev(descriptor, list(islice(waiting, _MOST_PARTS)))
        while waiting and len(waiting[0]) <= written:
            written -= len(waiting.popleft())
        if written:
            waiting[0] = waiting[0][written:]


_NOT_DIRECTLY = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

_MOST_PARTS = 512
"""Linux takes 1,024 at once, POSIX promises 16."""
