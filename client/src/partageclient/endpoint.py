"""What an image endpoint has beside the Image API: `GET /partage` says so. Plain Glance has nothing of it."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from partageclient import errors

_VERSION = re.compile(r"/v\d+(\.\d+)?/?$")
_UNSHOWN = ("head", "title")
_HUGE_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,};?")
"""Such a number is no character, and Python refuses to read one of thousands of digits."""

ABSENT = (300, 401, 403, 404, 405)
"""How services without the sharing API answer. Source: Glance 33 answers every unknown path with its versions, 300."""


@dataclass(frozen=True)
class Features:
    """What the endpoint has: names of features, and the notice that owners can promise (ISO 8601, or `forever`)."""

    names: frozenset[str] = frozenset()
    notice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_sharing_api(self) -> bool:
        """Whether the endpoint has the sharing API."""
        return "shares" in self.names

    def require(self, feature: str, asked: str, instead: str) -> None:
        """Check that the endpoint has a feature; `instead` says what works where it is absent.

        Raises:
            Unsupported: it does not have it.
        """
        if feature not in self.names:
            raise errors.Unsupported(asked, "this image service does not have it (it serves no /partage)", instead)


def read_features(status: int, document: Any) -> Features:
    """Read the response to `GET /partage`."""
    names = document.get("features") if isinstance(document, dict) else None
    if status in ABSENT or not isinstance(document, dict) or not isinstance(names, list):
        return Features()
    notice = document.get("notice")
    return Features(frozenset(str(each) for each in names), notice if isinstance(notice, dict) else {})


def strip_version(url: str) -> str:
    """Return the address of a service without its version and without a slash at the end."""
    return _VERSION.sub("", url).rstrip("/")


def strip_markup(text: str) -> str:
    """Return the text of one of Glance's HTML messages, in time that grows with its length, whatever it is."""
    first, *rest = text.split("<")
    last_ends = {name: _find_last(f"/{name}>", rest) for name in _UNSHOWN}
    kept, hidden = [first], ""
    for index, part in enumerate(rest):
        tag, is_tag, shown = part.partition(">")
        name = tag.lower()
        if hidden and name != hidden:
            continue
        if index < last_ends.get(name, -1):
            hidden = f"/{name}"
            continue
        hidden = ""
        kept.append(shown if is_tag else f"<{part}")
    unnumbered = _HUGE_REFERENCE.sub("\N{REPLACEMENT CHARACTER}", " ".join(kept))
    return " ".join(html.unescape(unnumbered).split())


def _find_last(start: str, parts: Sequence[str]) -> int:
    """Return the index of the last part that starts so, in small or large letters, or -1."""
    return max((index for index, each in enumerate(parts) if each[: len(start)].lower() == start), default=-1)
