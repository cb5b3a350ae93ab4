"""Children that end with their parent, whatever ends it. Linux: prctl(2)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send this process `with_signal` when the process `parent`, which started it, ends, even by kill -9."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), with_signal)
