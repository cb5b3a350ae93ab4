"""The line that shows how a copy goes on."""

import io

import pytest

from partageclient import progress
from partageclient.progress import BytesLine

MIB = 1 << 20


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_line_has_bytes_rate_and_rest_in_79_columns() -> None:
    terminal, clock = Terminal(), Clock()
    line = BytesLine("a name that is far too long for a line of a terminal " * 3, terminal, clock)
    line(0, 1000 * MIB)
    clock.now = 2.0
    line(250 * MIB, 1000 * MIB)
    shown = terminal.getvalue().split("\r")[-1].removesuffix("\x1b[K")
    assert shown.endswith(" 25%  250.0 MiB of 1000.0 MiB  125.0 MiB/s  6 s left")
    assert len(shown) <= 79
    line.close()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_rate_begins_anew_with_the_copy() -> None:
    clock = Clock()
    line = BytesLine("golden", io.StringIO(), clock)
    line(0, 100 * MIB)
    clock.now = 1.0
    line(90 * MIB, 100 * MIB)
    clock.now = 2.0
    line(0, 100 * MIB)
    clock.now = 3.0
    line(10 * MIB, 100 * MIB)
    assert line.describe(10 * MIB, 100 * MIB) == "golden   10%  10.0 MiB of 100.0 MiB  10.0 MiB/s  9 s left"


def test_nothing_is_shown_where_the_output_is_no_terminal() -> None:
    stream = io.StringIO()
    line = BytesLine("golden", stream)
    line(5, 10)
    line.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * MIB, "1.5 GiB"), (1 << 60, "1024.0 PiB")]
)
def test_bytes_have_the_largest_unit(number: int, text: str) -> None:
    assert progress.format_bytes(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert progress.format_seconds(seconds) == text
