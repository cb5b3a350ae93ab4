"""Unique names of processes, also when pids are reused, and whether a named process still runs. Linux: reads /proc."""

import os
import socket
import time
from pathlib import Path

_PROC = Path("/proc")


def name_own_process() -> str:
    """Return a name that no other process has, on any machine, at any time."""
    pid = os.getpid()
    return f"{_name_host()}:{pid}:{_find_start_time(pid)}"


def is_alive(name: str) -> bool | None:
    """Return whether the named process still runs; None if it belongs to another machine or container."""
    place, _colon, rest = name.partition(":")
    if place != _name_host():
        return None
    pid, _colon, started = rest.partition(":")
    return bool(started) and _find_start_time(int(pid)) == started


def age_seconds() -> float:
    """Return how long this process has run, the start of the interpreter included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(_find_start_time(os.getpid())) / os.sysconf("SC_CLK_TCK")


def _name_host() -> str:
    # Containers of one machine share the boot id, but have pid namespaces of their own.
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    namespace = (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _find_start_time(pid: int) -> str:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
