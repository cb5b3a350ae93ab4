"""The internal listener that must not be reached, and a record of every connection that this process tries to make."""

import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.outbound import origins

_TRIED: list[tuple[Any, ...]] = []
_HOOKED = threading.Event()


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _TRIED.append(arguments[1])


@pytest.fixture
def tried() -> list[tuple[Any, ...]]:
    """Give the addresses that anything in this process has tried to connect to since the test began."""
    if not _HOOKED.is_set():  # an audit hook stays for the life of the process
        sys.addaudithook(_record)
        _HOOKED.set()
    _TRIED.clear()
    return _TRIED


@pytest.fixture
def internal() -> Iterator[origins.Origin]:
    """Give a server on every address of this machine. It fails the test when somebody connected to it."""
    with origins.serving(origins.saying(origins.content(b"secret")), host="::") as listener:
        yield listener
        with socket.create_connection(("127.0.0.1", listener.port)) as own:  # everything before this one was counted before it
            own.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"secret" in own.recv(1000)
        assert listener.connections == 1
