"""Show how a copy goes on: one line on a terminal with bytes, rate and rest; nothing where the output is no terminal."""

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from partageclient.printable import make_printable, shorten

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_WINDOW_SECONDS = 20.0
_REDRAW_SECONDS = 0.2
_WIDTH = 79


class BytesLine:
    """A line that shows bytes of a copy. The rate is that of the last seconds, so that a pause shows."""

    def __init__(self, name: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._stream, self._clock = make_printable(name), stream or sys.stderr, clock
        self._seen: deque[tuple[float, int]] = deque()
        self._drawn_at = float("-inf")
        self._is_shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show that so many bytes of all are copied."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # the copy has begun anew
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW_SECONDS and len(self._seen) > 2:  # noqa: PLR2004
            self._seen.popleft()
        if self._stream.isatty() and (done == total or now - self._drawn_at >= _REDRAW_SECONDS):
            self._drawn_at, self._is_shown = now, True
            self._stream.write(f"\r{self.describe(done, total)}\x1b[K")
            self._stream.flush()

    def describe(self, done: int, total: int) -> str:
        """Write the line: `golden   42%  430.0 MiB of 1.0 GiB  210.5 MiB/s  3 s left`."""
        (first, start), (last, end) = self._seen[0], self._seen[-1]
        rate = (end - start) / (last - first) if last > first else 0.0
        rest = f"{format_seconds((total - done) / rate)} left" if rate > 0 and done < total else ""
        share = 100 * done // total if total else 100
        figures = f"{share:3d}%  {format_bytes(done)} of {format_bytes(total)}  {format_bytes(rate)}/s  {rest}".rstrip()
        return f"{shorten(self._name, _WIDTH - len(figures) - 2)}  {figures}"

    def close(self) -> None:
        """Remove the line."""
        if self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_shown = False


def format_bytes(number: float) -> str:
    """Write a number of bytes in the largest unit that it has at least one of."""
    unit = 0
    while number >= _STEP and unit < len(_UNITS) - 1:
        number /= _STEP
        unit += 1
    return f"{number:.0f} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def format_seconds(seconds: float) -> str:
    """Write a time: `42 s`, `3 min`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004
