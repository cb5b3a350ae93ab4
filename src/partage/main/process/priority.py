"""Who goes first when there is more to do than cores: whoever answers questions, before whoever moves image data."""

import contextlib
import os
import sys

_BEHIND = 10
_HANDOVER_SECONDS = 0.001


def lower_thread_priority() -> None:
    """Let this thread, and those that it will start, go behind others of the machine by ten steps of nice; on Linux only.

    A document is read in tenths of a millisecond, and was waited for 53 ms while eight images were on their way through two cores:
    4 ms when their threads go behind, which are as fast as before (bench/README.md). A nice value is a thread's own: sched(7).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may not like to be asked
            os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + _BEHIND))


def shorten_switch_interval() -> None:
    """Let a thread that computes in Python hand over to one that waits after a millisecond, not five."""
    sys.setswitchinterval(_HANDOVER_SECONDS)
