"""Thread priorities: requests for documents run before transfers of image data."""

import contextlib
import os
import sys

_NICE_STEPS = 10
_SWITCH_SECONDS = 0.001


def lower_thread_priority() -> None:
    """Run this thread, and threads that it starts, at nice +10. Linux only, where each thread has a nice value: sched(7).

    A document takes tenths of a millisecond, but took 53 ms while eight images were transferred on two cores. With transfer threads
    at nice +10 it takes 4 ms, and the transfers are as fast as before (bench/README.md).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + _NICE_STEPS))


def shorten_switch_interval() -> None:
    """Let the interpreter switch threads after one millisecond instead of five."""
    sys.setswitchinterval(_SWITCH_SECONDS)
