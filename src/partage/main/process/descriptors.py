"""The limit of open file descriptors of this process."""

import contextlib
import math
import resource

RESERVED = 256
"""Descriptors that are not used for clients, but for the database, files of stores and logs."""


def raise_limit() -> float:
    """Raise the soft limit to the hard limit and return it. Child processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return math.inf if soft == resource.RLIM_INFINITY else float(soft)
