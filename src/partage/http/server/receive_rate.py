"""Timeout and minimum rate of a body that is received. Only time in which the service waited for the client counts."""

import math
from dataclasses import dataclass

from partage import problems

_TICK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveLimits:
    """The client must send a byte within `stall_seconds`, and keep a minimum rate over each `window_seconds` of waiting."""

    stall_seconds: float
    slowest_bytes_per_second: int = 0
    window_seconds: float = math.inf


class ReceiveRate:
    """The measured rate of one body. Belongs to the thread that receives it."""

    def __init__(self, limits: ReceiveLimits) -> None:
        """Begin the first window."""
        self._limits = limits
        self._silent_seconds = 0.0
        self._waited_seconds = 0.0
        self._arrived_bytes = 0

    @property
    def tick_seconds(self) -> float:
        """How long to wait at most before the next call of `record`."""
        until_silence = self._limits.stall_seconds - self._silent_seconds
        until_window = self._limits.window_seconds - self._waited_seconds
        return max(0.001, min(_TICK_SECONDS, until_silence, until_window))

    def record(self, waited_seconds: float, arrived_bytes: int) -> None:
        """Record how long the service waited for the body, and how many bytes arrived.

        Raises:
            ClientGone: nothing arrived within the timeout, or the rate is too low.
        """
        limits = self._limits
        self._silent_seconds = 0.0 if arrived_bytes else self._silent_seconds + waited_seconds
        if self._silent_seconds >= limits.stall_seconds:
            raise problems.ClientGone(f"Nothing more of the request arrived within {limits.stall_seconds:g} seconds")
        self._waited_seconds += waited_seconds
        self._arrived_bytes += arrived_bytes
        if self._waited_seconds < limits.window_seconds:
            return
        if self._arrived_bytes < limits.slowest_bytes_per_second * self._waited_seconds:
            raise problems.ClientGone(
                f"The body of the request was sent too slowly: {self._arrived_bytes} bytes arrived in the last "
                f"{self._waited_seconds:.0f} seconds, and at least {limits.slowest_bytes_per_second} a second are needed; "
                "send it over a faster connection, or let the service import it from a URL"
            )
        self._waited_seconds, self._arrived_bytes = 0.0, 0
