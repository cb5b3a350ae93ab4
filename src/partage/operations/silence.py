"""Detect dead workers on other machines by missing heartbeats.

A worker renews its rows regularly. It counts as dead when this process has seen a row unchanged for `SILENCE_SECONDS`. Only
time in which this process could have seen a renewal counts: at most `LOOK_SECONDS` between two looks, because no heartbeat
arrives while the database is down. Clocks of different hosts are not compared.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

SILENCE_SECONDS = 60.0
"""After this long without a word, a worker on another machine counts as dead."""

LOOK_SECONDS = 10.0
"""The most that the time between two looks counts. A process looks every five seconds."""

_FORGOTTEN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Heard:
    """The content of a row at the last look, the time of that look, and how long the content has been the same."""

    renewed_at: datetime
    looked_at: float
    silent_seconds: float = 0.0


class Listener:
    """Remembers the rows of other workers at each look. Thread-safe: every entry is replaced as a whole."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        silence_seconds: float = SILENCE_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Measure time by `monotonic`."""
        self._monotonic = monotonic
        self._silence_seconds = silence_seconds
        self._look_seconds = look_seconds
        self._heard: dict[str, _Heard] = {}

    def find_unchanged(self, rows: Mapping[str, datetime]) -> set[str]:
        """List the tokens of the rows that are unchanged since the last look."""
        return {token for token, renewed_at in rows.items() if self._last(token, renewed_at) is not None}

    def look(self, rows: Mapping[str, datetime]) -> set[str]:
        """Record the rows' content now; list the rows that have been unchanged for too long."""
        now = self._monotonic()
        for token, heard in self._heard.copy().items():
            if now - heard.looked_at >= _FORGOTTEN_SECONDS:
                self._heard.pop(token, None)
        return {token for token, renewed_at in rows.items() if self._note(token, renewed_at, now) >= self._silence_seconds}

    def _note(self, token: str, renewed_at: datetime, now: float) -> float:
        last = self._last(token, renewed_at)
        silent_seconds = 0.0
        if last is not None:
            silent_seconds = last.silent_seconds + min(max(0.0, now - last.looked_at), self._look_seconds)
        self._heard[token] = _Heard(renewed_at, now, silent_seconds)
        return silent_seconds

    def _last(self, token: str, renewed_at: datetime) -> _Heard | None:
        heard = self._heard.get(token)
        return heard if heard is not None and heard.renewed_at == renewed_at else None
