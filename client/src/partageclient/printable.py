"""Texts that others have written, made fit for a terminal: names, messages and refusals can have sequences that control it."""

import re

_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls other than line feeds, marks that change the direction of what follows, and halves of characters."""


def make_printable(text: str) -> str:
    """Return the text with a replacement character for each that is none to be shown; line feeds stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
