"""Tables that fit a terminal of 80 columns: texts are shortened for people, and whole for programs (-f json, csv, value, yaml)."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cliff.columns import FormattableColumn

from partageclient.printable import make_printable, measure, shorten, wrap

_LEAST_WIDTH = 80
_BORDER, _BORDERS_OF_CELL = 1, 3  # "| cell | cell |"


@dataclass(frozen=True)
class Column:
    """A column: its title, and the fewest characters that a table may shorten its texts to (None: they are never shortened).

    A table for people has the columns `for_people`, every other format those `for_programs`.
    """

    title: str
    least: int | None = None
    for_people: bool = True
    for_programs: bool = True


class Shortened(FormattableColumn):  # type: ignore[type-arg]
    """A text that a table shows in at most so many characters."""

    # The class has no parameter in cliff 4.0, the version of Debian 12: with one, no command of this package would be there.

    def __init__(self, value: Any, width: int) -> None:
        super().__init__(value)
        self._width = width

    def human_readable(self) -> str:
        """Return the text for a table, on one line."""
        return shorten(_text_of(self._value), self._width)


class Printable(FormattableColumn):  # type: ignore[type-arg]
    """A text that a table shows without what would control the terminal, in lines that fit; other formats have it as it is."""

    def __init__(self, value: Any, width: int) -> None:
        super().__init__(value)
        self._width = width

    def human_readable(self) -> str:
        """Return the text for a table."""
        return wrap(make_printable(str(self._value)), self._width)


def find_value_width(names: Iterable[str]) -> int:
    """Return how many columns a value has in a table of names and values."""
    return _find_room(2) - max(len(each) for each in ("Field", *names))


def fit(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, for_people: bool) -> tuple[list[str], list[list[Any]]]:
    """Return titles and rows as a command returns them. For people, rows are shortened to the width of the terminal."""
    kept = [index for index, each in enumerate(columns) if (each.for_people if for_people else each.for_programs)]
    shown = [columns[index] for index in kept]
    cells = [[row[index] for index in kept] for row in rows]
    if not for_people:
        return [each.title for each in shown], cells
    widths = _shrink(shown, _find_widths(shown, cells))
    return [each.title for each in shown], [
        [Shortened(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells
    ]


def _text_of(value: Any) -> str:
    return "" if value is None else make_printable(" ".join(str(value).split()))


def _find_widths(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[int]:
    return [max([len(column.title), *(measure(_text_of(row[index])) for row in rows)]) for index, column in enumerate(columns)]


def _shrink(columns: Sequence[Column], widths: list[int]) -> list[int]:
    """Take characters from the widest texts that can be shortened until the table fits."""
    room = _find_room(len(columns))
    found = list(widths)
    while sum(found) > room:
        floors = [max(len(each.title), each.least) if each.least is not None else None for each in columns]
        able = [index for index, floor in enumerate(floors) if floor is not None and found[index] > floor]
        if not able:
            break
        found[max(able, key=lambda index: found[index])] -= 1
    return found


def _find_room(cells: int) -> int:
    """Return how many columns the texts of a row have together."""
    return max(_LEAST_WIDTH, shutil.get_terminal_size((_LEAST_WIDTH, 24)).columns) - _BORDER - _BORDERS_OF_CELL * cells
