"""The listening socket, opened once before workers are spawned."""

import errno
import socket

from partage import problems

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Listen on `host` and `port`; the caller closes the socket.

    Raises:
        Unavailable: the port is in use or not permitted, or the address is not this machine's.
    """
    try:
        family, _kind, _protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except socket.gaierror as error:
        raise problems.Unavailable(
            f"Cannot listen on {host}: it is no address of this machine; correct the setting host"
        ) from error
    except OSError as error:
        raise problems.Unavailable(f"Cannot listen on {host} port {port}: {_explain(error)}") from error


def find_free_port() -> int:
    """Find a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _explain(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; end the program that has it or choose another with --port"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "this user may not use it; choose a port above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "it is no address of this machine; correct the setting host"
    return error.strerror or str(error)
