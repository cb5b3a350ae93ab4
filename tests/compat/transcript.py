"""What commands said, as lines that two runs have in common: ids, times and digests become names, tables are drawn anew."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_PATTERNS = (
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\b"), "<time with microseconds>"),
    (re.compile(r"http://127\.0\.0\.1:\d+(?=/v2/)"), "<image service>"),
    (re.compile(r"\breq-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<request>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<another image>"),
    # Of this service alone, in links to next pages: where the last image stood, in microseconds. See row 1 of compatibility.md.
    (re.compile(r"&os_glance_after=[^&\"\s]*"), ""),
    (re.compile(r"(?<= != )[0-9a-f]{128}"), "<sha512 of what came>"),
)


@dataclass
class Names:
    """Exact texts and the names that stand for them."""

    known: dict[str, str] = field(default_factory=dict)

    def learn_file(self, path: Path) -> None:
        """Let a file's digests and its size be known by its name."""
        data = path.read_bytes()
        self.known[hashlib.md5(data, usedforsecurity=False).hexdigest()] = f"<md5 of {path.name}>"
        self.known[hashlib.sha512(data).hexdigest()] = f"<sha512 of {path.name}>"
        self.known[str(len(data))] = f"<size of {path.name}>"

    def applied_to(self, text: str) -> str:
        """Replace what is known, then what has a shape."""
        for exact in sorted(self.known, key=len, reverse=True):
            text = re.sub(rf"(?<![\w-]){re.escape(exact)}(?![\w-])", self.known[exact], text)
        for pattern, name in _PATTERNS:
            text = pattern.sub(name, text)
        return text


def lines_of(text: str) -> list[str]:
    """Split into lines, draw tables with columns as wide as their contents, and drop empty lines."""
    return [line.rstrip() for line in _drawn(text.splitlines()) if line.strip()]


def _drawn(lines: Iterable[str]) -> Iterable[str]:
    rows: list[list[str] | None] = []
    for line in lines:
        if re.fullmatch(r"\+[-+]+\+", line):
            rows.append(None)
        elif line.startswith("| ") and rows:
            rows += _cells(line)
        else:
            yield from _table(rows)
            rows = []
            yield line
    yield from _table(rows)


def _cells(line: str) -> list[list[str] | None]:
    """Split a row into its cells; the many properties of an image get a row each, as they would on a narrow screen."""
    first, *others = (cell.strip() for cell in line[2:-2].split(" | "))
    if first != "properties":
        return [[first, *others]]
    return [[first if number == 0 else "", each] for number, each in enumerate(re.split(r"(?<=',) ", others[0]))]


def _table(rows: list[list[str] | None]) -> Iterable[str]:
    filled = [row for row in rows if row is not None]
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    for row in rows:
        if row is None:
            yield "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        else:
            yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
