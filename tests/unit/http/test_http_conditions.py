"""Ranges and entity tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.http.server import conditions

SERVED = {
    "bytes=0-1": (0, 2),
    "bytes=-3": (7, 10),
    "bytes=-50": (0, 10),
    "bytes=5-": (5, 10),
    "bytes=9-100": (9, 10),
    "bytes=0-9": (0, 10),
    "bytes = 2 - 3": (2, 4),
    "BYTES=2-3": (2, 4),
    "bytes=0-99999999999999999999999999": (0, 10),
}
NOT_SERVED = [
    "bytes=10-",
    "bytes=3-1",
    "bytes=-0",
    "bytes=-",
    "bytes=",
    "x",
    "",
    "lines=0-1",
    "bytes=0-1x",
    "bytes=a-b",
    "bytes=--1",
]


@pytest.mark.parametrize(("header", "expected"), SERVED.items())
def test_range_is_served(header: str, expected: tuple[int, int]) -> None:
    assert conditions.parse_range(header, 10) == expected


@pytest.mark.parametrize("header", NOT_SERVED)
def test_range_cannot_be_served(header: str) -> None:
    with pytest.raises(problems.RangeUnsatisfiable) as caught:
        conditions.parse_range(header, 10)
    assert caught.value.size_bytes == 10


def test_no_range_is_the_whole() -> None:
    assert conditions.parse_range(None, 10) is None


def test_several_ranges_are_refused() -> None:
    with pytest.raises(problems.Invalid):
        conditions.parse_range("bytes=0-1,3-4", 10)


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=-1", "bytes=0-"])
def test_no_range_of_nothing_can_be_served(header: str) -> None:
    with pytest.raises(problems.RangeUnsatisfiable):
        conditions.parse_range(header, 0)


@given(st.binary(min_size=1, max_size=50), st.data())
def test_every_range_within_is_that_slice(content: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(content) - 1))
    last = data.draw(st.integers(first, len(content) + 5))
    found = conditions.parse_range(f"bytes={first}-{last}", len(content))
    assert found is not None
    assert content[found[0] : found[1]] == content[first : last + 1]


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', "*", ' "a" '])
def test_known_representation(header: str) -> None:
    assert conditions.matches_etag(header, b'"a"')


@pytest.mark.parametrize("header", [None, "", '"b"', "a", '"A"'])
def test_unknown_representation(header: str | None) -> None:
    assert not conditions.matches_etag(header, b'"a"')


def test_if_range_counts_only_for_the_same_strong_tag() -> None:
    assert conditions.range_applies(None, b'"a"')
    assert conditions.range_applies('"a"', b'"a"')
    assert not conditions.range_applies('W/"a"', b'"a"')
    assert not conditions.range_applies("Tue, 24 Nov 2026 00:00:00 GMT", b'"a"')
