"""How long a client may keep an upload waiting. Time counts in which the service waited for bytes, not that of its own work."""

import math
from dataclasses import dataclass

from partage import problems

_TICK_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveLimits:
    """What is asked of a client: some byte within `stall_seconds`, and a least rate over each `window_seconds` of waiting."""

    stall_seconds: float
    slowest_bytes_per_second: int = 0
    window_seconds: float = math.inf


class ReceiveRate:
    """How fast one body comes. Belongs to whoever receives it."""

    def __init__(self, limits: ReceiveLimits) -> None:
        """Begin the first window."""
        self._limits = limits
        self._silent_seconds = 0.0
        self._waited_seconds = 0.0
        self._came_bytes = 0

    @property
    def tick_seconds(self) -> float:
        """How long to wait at most before saying what came."""
        until_silence = self._limits.stall_seconds - self._silent_seconds
        until_window = self._limits.window_seconds - self._waited_seconds
        return max(0.001, min(_TICK_SECONDS, until_silence, until_window))

    def note(self, waited_seconds: float, came_bytes: int) -> None:
        """Say how long the body was waited for, and how many bytes of it came.

        Raises:
            ClientGone: nothing came for too long, or too little.
        """
        limits = self._limits
        self._silent_seconds = 0.0 if came_bytes else self._silent_seconds + waited_seconds
        if self._silent_seconds >= limits.stall_seconds:
            raise problems.ClientGone(f"Nothing more of the request arrived within {limits.stall_seconds:g} seconds")
        self._waited_seconds += waited_seconds
        self._came_bytes += came_bytes
        if self._waited_seconds < limits.window_seconds:
            return
        if self._came_bytes < limits.slowest_bytes_per_second * self._waited_seconds:
            raise problems.ClientGone(
                f"The body of the request was sent too slowly: {self._came_bytes} bytes arrived in the last "
                f"{self._waited_seconds:.0f} seconds, and at least {limits.slowest_bytes_per_second} a second are needed; "
                "send it over a faster connection, or let the service import it from a URL"
            )
        self._waited_seconds, self._came_bytes = 0.0, 0
