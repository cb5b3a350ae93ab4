"""Names for processes that outlive a reused process id, and whether the process of a name still runs. Linux: it reads /proc."""

import os
import socket
import time
from pathlib import Path

_PROC = Path("/proc")


def name_own_process() -> str:
    """Name this process so that no other, on this machine or another, before or later, has the same name."""
    pid = os.getpid()
    return f"{_name_host()}:{pid}:{_find_start_time(pid)}"


def is_alive(name: str) -> bool | None:
    """Say whether the process of that name still runs; None when it is of another machine or container: nobody here can tell."""
    place, _colon, rest = name.partition(":")
    if place != _name_host():
        return None
    pid, _colon, started = rest.partition(":")
    return bool(started) and _find_start_time(int(pid)) == started


def age_seconds() -> float:
    """Return how long this process has run, the start of the interpreter included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_find_start_time(os.getpid())) / os.sysconf("SC_CLK_TCK")


def _name_host() -> str:
    # Two containers of one machine share the boot id, but neither their process ids nor their namespace for them.
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    namespace = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _find_start_time(pid: int) -> str:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
