"""What a client has taken of what was sent to it, as the kernel knows, and what becomes of one that takes nothing.

A server's `write` buffers without a bound, and its `close` waits for ever until the client has taken the rest. So every connection
is looked at now and then, whatever is being sent on it: documents, refusals, image data.
"""

import asyncio
import contextlib
import fcntl
import logging
import socket
import struct
import termios
from typing import Any

_LOG = logging.getLogger(__name__)
_LOOKS = 8
"""A connection is looked at so many times within `stall_seconds`."""

_TCP_INFO_BYTES = 192
_BYTES_ACKED_AT = 120
"""Source: tcpi_bytes_acked of struct tcp_info, linux/tcp.h."""


class SendTimeout:
    """Resets a connection of the event loop when its client takes nothing of what the server has for it, for `stall_seconds`.

    A client that takes a byte now and then is not stalled.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, stall_seconds: float) -> None:
        """Watch from now on until `stop`."""
        self._transport = transport
        self._loop = loop
        self._stall_seconds = stall_seconds
        self._taken = 0
        self._since = loop.time()
        self._next = loop.call_later(stall_seconds / _LOOKS, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._next.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        waiting_bytes = self._transport.get_write_buffer_size()
        if not waiting_bytes:
            self._since = now
        else:
            taken = count_acknowledged(self._transport.get_extra_info("socket"), waiting_bytes)
            if taken != self._taken:
                self._taken, self._since = taken, now
            if now - self._since >= self._stall_seconds:
                _LOG.info(
                    "%s took nothing of an answer for %g seconds and is disconnected",
                    self._transport.get_extra_info("peername"),
                    self._stall_seconds,
                )
                reset_on_close(self._transport.get_extra_info("socket"))
                self._transport.abort()
                return
        self._next = self._loop.call_later(self._stall_seconds / _LOOKS, self._look)


def count_acknowledged(connection: Any, waiting_bytes: int = 0) -> int:
    """Return a number that grows whenever the peer has taken something; `waiting_bytes` are still to be given to the kernel.

    On sockets that are not TCP it also falls whenever something is sent.
    """
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int(struct.unpack_from("=Q", told, _BYTES_ACKED_AT)[0])
    except (OSError, AttributeError, struct.error):  # no TCP, or a kernel that does not count
        return -(waiting_bytes + _queued_bytes(connection))


def reset_on_close(connection: Any) -> None:
    """Let the kernel forget what it has for the peer as soon as the connection is closed, instead of offering it for minutes."""
    with contextlib.suppress(OSError, AttributeError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _queued_bytes(connection: Any) -> int:
    """Say how much the kernel has that the peer has not taken. Source: SIOCOUTQ in tcp(7) and unix(7)."""
    try:
        found = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, AttributeError):
        return 0
    return int(struct.unpack("i", found)[0])
