"""Conditional and range requests: byte ranges and entity tags. Pure.

Source: RFC 9110, sections 13 and 14.
"""

import re

from partage import problems

# Possessive quantifiers (`*+`) prevent backtracking, which takes seconds for 64 KiB of blanks.
_RANGE = re.compile(r"bytes\s*+=\s*+([0-9]{0,4000}+)\s*+-\s*+([0-9]{0,4000}+)\s*+", re.IGNORECASE)


def parse_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Parse a Range header as [start, stop); None without a range.

    Raises:
        Invalid: several ranges at once.
        RangeUnsatisfiable: the range is malformed, empty, or begins after the end.
    """
    if header is None:
        return None
    if "," in header:
        raise problems.Invalid(
            "Requests with multiple ranges are not supported. You may make multiple single-range requests instead.",
        )
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        raise problems.RangeUnsatisfiable(size_bytes)
    if found[1]:
        start = int(found[1])
        stop = min(int(found[2]) + 1, size_bytes) if found[2] else size_bytes
    else:
        start, stop = max(0, size_bytes - int(found[2])), size_bytes
    if start >= stop:
        raise problems.RangeUnsatisfiable(size_bytes)
    return start, stop


def matches_etag(if_none_match: str | None, etag: bytes) -> bool:
    """Return whether If-None-Match contains the tag, compared weakly."""
    if if_none_match is None:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in known or etag.decode() in known


def range_applies(if_range: str | None, etag: bytes | None) -> bool:
    """Return whether a Range header applies: always without If-Range, else only if the tag is equal."""
    return if_range is None or (etag is not None and if_range.strip() == etag.decode())
