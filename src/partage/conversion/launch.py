"""Set resource limits, then exec another program. Run as a script, between the service and qemu-img.

The service has threads, so no Python code can safely run between its fork and exec. It runs here, after exec. Imports only the
standard library, so that it starts within hundredths of a second. Linux: prctl(2).

Arguments: bytes of address space, seconds of processor time, bytes of a file, niceness, number of the parent process; the program.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_OPEN_FILES = 64


def main(arguments: list[str]) -> None:
    """Set the limits and exec the program, which is killed when the parent ends."""
    address_space_bytes, cpu_seconds, file_bytes, niceness, parent = map(int, arguments[:5])
    control = ctypes.CDLL(None, use_errno=True).prctl
    control(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        return
    control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, address_space_bytes)
    os.nice(niceness)
    os.execv(arguments[5], arguments[5:])  # noqa: S606 -- no shell on purpose


def _limit(kind: int, value: int) -> None:
    """Set a limit, or keep the current one if it is lower."""
    _, highest = resource.getrlimit(kind)
    allowed = value if highest == resource.RLIM_INFINITY else min(value, highest)
    resource.setrlimit(kind, (allowed, allowed))


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.exit(1)
