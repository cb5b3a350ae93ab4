"""Write windows of a copy past the page cache (O_DIRECT), from aligned memory.

On a virtual machine fresh pages of the page cache cost up to 2.6 s of processor time for each GiB, direct writes 0.1 s. Who reads
the copy later reads the disk once. What O_DIRECT does not promise: docs/decisions/0068, and 0078 for a file that is read at the
same time.
"""

import errno
import fcntl
import mmap
import os
import time
from collections.abc import Iterable

from partage.content.digest import Buffer

ALIGNMENT = 4096

_NOT_DIRECTLY = (errno.EINVAL, errno.EOPNOTSUPP)
_TRIAL_BYTES = 16 << 20
_SLOW_BYTES_PER_SECOND = 64 << 20


class Staging:
    """Aligned memory of `size_bytes`, and what is known of the disk behind it. One thread at a time uses it."""

    def __init__(self, size_bytes: int) -> None:
        """Reserve address space; memory is taken when it is written to."""
        space = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        space.madvise(mmap.MADV_DONTFORK)  # Source: open(2), "O_DIRECT".
        self._space = memoryview(space)
        self._is_useful = True
        self._written_bytes = 0
        self._seconds = 0.0

    def write(self, descriptor: int, at: int, pieces: Iterable[Buffer]) -> bool:
        """Write pieces at an aligned offset, with zeros up to the next aligned one; return False if that cannot be done directly.

        It is not done either on a disk that is so slow that a reader would wait for it: the page cache takes what it writes later.

        Raises:
            OSError: the disk is full or broken.
        """
        if not self._is_useful:
            return False
        size_bytes = 0
        for piece in pieces:
            self._space[size_bytes : size_bytes + len(piece)] = piece
            size_bytes += len(piece)
        padding = -size_bytes % ALIGNMENT
        self._space[size_bytes : size_bytes + padding] = bytes(padding)
        begun = time.monotonic()
        self._is_useful = _write_directly(descriptor, at, self._space[: size_bytes + padding])
        self._seconds += time.monotonic() - begun
        self._written_bytes += size_bytes
        was_written = self._is_useful
        if self._written_bytes >= _TRIAL_BYTES and self._written_bytes < self._seconds * _SLOW_BYTES_PER_SECOND:
            self._is_useful = False
        return was_written


def _write_directly(descriptor: int, at: int, view: memoryview) -> bool:
    """Return whether all was written. The flag is set for the time of the write only, because the map of a copy is not aligned."""
    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
    except OSError:
        return False
    written = 0
    try:
        while written < len(view):
            written += os.pwritev(descriptor, [view[written:]], at + written)
    except OSError as error:
        # A short write ended inside a block, or the file system wants another alignment.
        if error.errno not in _NOT_DIRECTLY:
            raise
        return False
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    # The kernel has dropped pages that a reader's read-ahead has brought too early. Where a file system does not, this does.
    os.posix_fadvise(descriptor, at, len(view), os.POSIX_FADV_DONTNEED)
    # The next reader finds them in the page cache. To have the disk read them costs a quarter of writing them there.
    os.posix_fadvise(descriptor, at, len(view), os.POSIX_FADV_WILLNEED)
    return True
