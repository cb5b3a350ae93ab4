"""A client of an object store for each process: connections may not be used on both sides of a fork."""

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Client = TypeVar("Client")

RENEW_SECONDS = 10.0
"""Credentials are read anew at most this often: it takes up to 0.2 s of a processor, and a store may refuse every request."""


class PerProcess(Generic[Client]):
    """Makes a client when it is first needed, and again after a fork, or after its credentials were refused. Thread-safe."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._process = 0
        self._made_at = 0.0

    def find(self) -> Client:
        """Return the client of this process. What its maker raises passes through."""
        with self._lock:
            if self._client is None or self._process != os.getpid():
                self._client, self._process, self._made_at = self._make(), os.getpid(), time.monotonic()
            return self._client

    def renew(self, refused: Client) -> bool:
        """Forget a client whose credentials were refused, so that they are read anew. False if it has just been made."""
        with self._lock:
            if self._client is refused:
                if time.monotonic() - self._made_at < RENEW_SECONDS:
                    return False
                self._client = None
            return True
