"""Texts that others have written, made fit for a terminal: names, messages and refusals can have sequences that control it."""

import re
import textwrap

from wcwidth import wcwidth

_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls other than line feeds, marks that change the direction of what follows, and halves of characters."""


def make_printable(text: str) -> str:
    """Return the text with a replacement character for each that is none to be shown; line feeds stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def measure(text: str) -> int:
    """Return how many columns of a terminal a text takes: a character of East Asia takes two, an accent of its own none."""
    return sum(max(0, wcwidth(each)) for each in text)


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` columns."""
    if measure(text) <= width:
        return text
    kept, left = [], width - 1
    for each in text:
        left -= max(0, wcwidth(each))
        if left < 0:
            break
        kept.append(each)
    return f"{''.join(kept)}…"


def wrap(text: str, width: int) -> str:
    """Break the lines of a text that are longer than `width` columns."""
    lines = []
    for line in text.split("\n"):
        if measure(line) <= width:
            lines.append(line)
        else:
            lines += textwrap.wrap(line, width if measure(line) <= len(line) else width // 2)
    return "\n".join(lines)
