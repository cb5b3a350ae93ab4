"""Settings of the C library's memory allocator."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_KEPT_BYTES = 32 << 20
_ARENAS = 1

TRIM_SECONDS = 5.0
"""How often free memory is returned to the kernel."""


def reuse_freed_buffers() -> None:
    """Make glibc reuse freed buffers instead of returning them to the kernel; no effect with another C library.

    Image data passes in blocks of a mebibyte. By default glibc maps each block anew, and the kernel clears every page: an upload of
    1 GiB cost 90,000 page faults and 12 % more processor time.

    By default each thread gets an arena, and no other thread can use what is free in it: a process of 170 uploads, six at a time,
    had 600 MiB and grew; with two arenas it had 270. One grows least. Source: mallopt(3).
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
    """Return free pages to the kernel, also those between blocks in use; no effect with another C library.

    Between two calls freed buffers are reused, so the cost is the page faults of a few seconds' peak. Without it a process keeps
    the peak of every part of its heap. Source: malloc_trim(3).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):  # another C library
        return
    trim(0)
