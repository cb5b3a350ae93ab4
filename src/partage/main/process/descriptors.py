"""How many files and sockets this process may have open."""

import contextlib
import math
import resource

RESERVED = 256
"""Descriptors that connections leave alone, for the database's connections, files of stores and logs."""


def raise_limit() -> float:
    """Raise the limit to the highest that this user may have; return it. Processes that this one starts have it, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a sandbox may not like to be asked
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return math.inf if soft == resource.RLIM_INFINITY else float(soft)
