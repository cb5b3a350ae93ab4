"""The listening socket, opened once before workers are spawned."""

import errno
import socket

from partage import problems

_BACKLOG = 2048


def listen(host: str, port: int, *, names: tuple[str, str] = ("host", "--port")) -> socket.socket:
    """Listen on `host` and `port`; the caller closes the socket. `names` are what sets both, for messages.

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
            f"Cannot listen on {host}: it is no address of this machine; correct the setting {names[0]}"
        ) from error
    except OSError as error:
        raise problems.Unavailable(f"Cannot listen on {host} port {port}: {_explain(error, names)}") from error


def describe(listener: socket.socket) -> str:
    """Write the address of a listening socket as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def find_free_port() -> int:
    """Find a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _explain(error: OSError, names: tuple[str, str]) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the port is in use; end the program that has it or choose another with {names[1]}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"this user may not use it; choose a port above 1023 with {names[1]}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"it is no address of this machine; correct the setting {names[0]}"
    return error.strerror or str(error)
