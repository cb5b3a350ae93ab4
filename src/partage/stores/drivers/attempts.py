"""What the drivers of object stores share: attempts with back-off, a bound on parallel requests, and the check of the identity.

A driver turns each failure of a server into `TemporaryError`, when a further attempt may succeed, or into a problem at once.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from partage import problems
from partage.stores.identity import Identity, decode

_LOG = logging.getLogger(__name__)

IDENTITY_SECONDS = 60.0
"""A bucket is not replaced by another one as a mount point is, so its identity is read once in this time, not with every verb."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the requests to one store, in one process.

    A request is attempted `attempts` times. The pause before the next attempt doubles from `pause_seconds` to
    `longest_pause_seconds`, and a random part of it is left out (full jitter in its second half), so that processes do not return
    together. A pause that the server asks for (Retry-After) is kept, up to the longest.
    """

    attempts: int = 8
    pause_seconds: float = 0.25
    longest_pause_seconds: float = 8.0
    parallel: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 30.0


class TemporaryError(Exception):
    """An attempt failed; the next one may succeed. `pause_seconds` is what the server asks for, None if it does not."""

    def __init__(self, reason: str, pause_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_seconds = pause_seconds


class Attempts:
    """Runs requests within `limits`. Thread-safe."""

    def __init__(self, limits: Limits, pause: Callable[[float], None] = time.sleep) -> None:
        self._limits = limits
        self._pause = pause
        self._slots = threading.BoundedSemaphore(limits.parallel)

    def run(self, action: str, act: Callable[[], Result]) -> Result:
        """Return what `act` returns; repeat it after a pause while it raises TemporaryError.

        A pause takes none of the parallel requests. `action` completes "The store could not", and may reach users.

        Raises:
            StoreUnavailable: the last attempt failed. Problems of `act` pass through.
        """
        for number in range(1, self._limits.attempts + 1):
            try:
                with self._slots:
                    return act()
            except TemporaryError as error:
                if number == self._limits.attempts:
                    raise problems.StoreUnavailable(f"The store could not {action} ({error.reason}); try again later") from error
                seconds = self._find_pause(number, error.pause_seconds)
                _LOG.info("Could not %s (%s); attempt %d follows in %.1f s", action, error.reason, number + 1, seconds)
                self._pause(seconds)
        raise ValueError("there has to be one attempt")

    def _find_pause(self, number: int, requested_seconds: float | None) -> float:
        longest = self._limits.longest_pause_seconds
        doubled = min(longest, self._limits.pause_seconds * 2.0 ** (number - 1))
        spread = doubled * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, hides nothing
        return spread if requested_seconds is None else min(longest, max(spread, requested_seconds))


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None if it is absent, or a date, which few servers send."""
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < _MOST_DIGITS else None


class IdentityCheck:
    """Checks now and then that the store still has the identity that the database knows. Thread-safe."""

    def __init__(self, expected: Identity | None, read: Callable[[], bytes | None]) -> None:
        self._expected = expected
        self._read = read
        self._checked_at = float("-inf")

    def require(self) -> None:
        """Read the identity, unless that was done a short while ago. Without an expected identity everything is right.

        Raises:
            StoreUnavailable: the identity is absent or another one, or cannot be read.
        """
        if self._expected is None or time.monotonic() - self._checked_at < IDENTITY_SECONDS:
            return
        encoded = self._read()
        if encoded is None or not decode(encoded).is_same(self._expected):
            raise problems.StoreUnavailable(
                "The object store does not have the identity that the database knows; its bucket or container may be another one. "
                "Try again later, and ask the operator to look at it"
            )
        self._checked_at = time.monotonic()


_MOST_DIGITS = 7
