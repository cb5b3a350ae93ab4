"""Cursors of events: each position has one, and it says nothing of the position."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from partage.model.event_cursor import CursorCipher

KEY = bytes(range(16))
POSITIONS = st.integers(min_value=0, max_value=(1 << 63) - 1)


@given(position=POSITIONS)
def test_cursor_is_read_as_the_position_that_was_written(position: int) -> None:
    cursor = CursorCipher(KEY).write(position)
    assert CursorCipher(KEY).read(cursor) == position
    assert CursorCipher(KEY).write(position) == cursor


def test_cursors_of_neighbours_have_no_distance() -> None:
    numbers = [int(CursorCipher(KEY).write(position), 16) for position in range(200)]
    assert len(set(numbers)) == 200
    assert len({after - before for before, after in pairwise(numbers)}) == 199
    assert numbers != sorted(numbers)


@given(text=st.text(max_size=40) | st.integers(min_value=0, max_value=(1 << 128) - 1).map("{:032x}".format))
def test_text_that_was_made_up_is_no_cursor(text: str) -> None:
    assert CursorCipher(KEY).read(text) is None


@given(position=POSITIONS)
def test_cursor_of_another_database_is_no_cursor(position: int) -> None:
    assert CursorCipher(KEY).read(CursorCipher(bytes(16)).write(position)) is None
    assert CursorCipher(KEY).read(CursorCipher(KEY).write(position).upper() + " ") is None
