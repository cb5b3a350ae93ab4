"""Watches that the demo's lines fit a terminal of 80 columns."""

import io
import re
from typing import TextIO

COLUMNS = 80
_LONGEST_WORD = 60
"""A longer word is the path of somebody's folder, which cannot be broken."""

_BOLD = re.compile(r"\x1b\[\d*m")


class Watched(io.TextIOBase):
    """A stream that passes on what is written, and keeps the lines that are too wide in `wide`."""

    def __init__(self, stream: TextIO) -> None:
        self.wide: list[str] = []
        self._stream, self._open_line = stream, ""

    def write(self, text: str) -> int:
        """Write a text."""
        *lines, self._open_line = (self._open_line + text).split("\n")
        self.wide += [each for each in lines if is_too_wide(each)]
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()


def is_too_wide(line: str) -> bool:
    """Return whether a line does not fit, though it could have been broken."""
    shown = _BOLD.sub("", line)
    return len(shown) > COLUMNS and max(len(each) for each in shown.split()) <= _LONGEST_WORD
