"""The protocol of a service manager: readiness, stops and the watchdog are reported, and its listening socket is taken over.

Without systemd nothing is reported. Source: sd_notify(3), sd_listen_fds(3).
"""

import contextlib
import os
import socket

from partage import problems

_FIRST_SOCKET = 3
_WATCHDOG_SHARE = 3
"""So many signs of life are sent in each interval of the watchdog."""


def notify(state: str) -> None:
    """Report a state, such as READY=1. A report that cannot be sent is lost: it must not end the service."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), address)


def find_watchdog_pause() -> float | None:
    """Return after how many seconds the next sign of life is due; None without a watchdog for this process."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 / _WATCHDOG_SHARE


def take_socket() -> socket.socket | None:
    """Take over the listening socket that systemd has opened for this process; None if there is none.

    Raises:
        Unavailable: there are several, or it is not a TCP socket that listens.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        raise problems.Unavailable("The service manager passed several sockets; give the socket unit one ListenStream")
    taken = socket.socket(fileno=_FIRST_SOCKET)
    taken.set_inheritable(False)
    is_listening = taken.type == socket.SOCK_STREAM and taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if taken.family not in {socket.AF_INET, socket.AF_INET6} or not is_listening:
        taken.close()
        raise problems.Unavailable("The socket of the service manager is not a TCP socket that listens; correct its ListenStream")
    return taken
