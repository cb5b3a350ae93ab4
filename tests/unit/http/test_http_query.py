"""Query strings: what each means, and what is refused in which words."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.http import query_strings
from partage.http.v2 import query
from partage.model.image import Visibility
from partage.model.member import MemberStatus
from partage.model.query import Filter, ImageQuery, Operator, SortKey


def asked(text: str) -> ImageQuery:
    return query.parse(query_strings.decode(text.encode()), page_default=25, page_max=1000)


def but(**changes: Any) -> ImageQuery:
    return ImageQuery(**{"limit": 25, **changes})


def condition(attribute: str, operator: Operator, *values: Any) -> dict[str, Any]:
    return {"filters": (Filter(attribute, operator, values),)}


def order(text: str) -> dict[str, Any]:
    pairs = [part.split(":") for part in text.split()]
    return {"sort": tuple(SortKey(name, direction == "desc") for name, direction in pairs)}


EQ, IN = Operator.EQ, Operator.IN
SPRING = datetime(2026, 4, 1, 12, tzinfo=UTC)
UNDERSTOOD: dict[str, ImageQuery] = {
    "": but(),
    "limit=7": but(limit=7),
    "limit=0": but(limit=0),
    "limit=99999999999999999999999": but(limit=1000),
    "limit=7&limit=8": but(limit=7),
    "marker=abc": but(marker="abc"),
    "visibility=shared": but(visibility=Visibility.SHARED),
    "visibility=all": but(all_visibilities=True),
    "visibility=": but(all_visibilities=True, **condition("id", IN)),
    "member_status=pending": but(member_status=MemberStatus.PENDING),
    "member_status=all": but(member_status=None),
    "os_hidden=TRUE": but(os_hidden=True),
    "protected=false": but(**condition("protected", EQ, False)),
    "tag=a&tag=%20b%20": but(tags=("a", "b")),
    "name=a": but(**condition("name", EQ, "a")),
    "name=": but(**condition("name", EQ, "")),
    "name=eq:a:b": but(**condition("name", EQ, "a:b")),
    "name=in:a,b": but(**condition("name", IN, "a", "b")),
    'name=in:"a,b",c': but(**condition("name", IN, "a,b", "c")),
    'name=in:"a\\"b",': but(**condition("name", IN, 'a\\"b')),
    "name=in:": but(**condition("name", IN)),
    "name=2026-04-01T12:00:00Z": but(**condition("name", EQ, "2026-04-01T12:00:00Z")),
    "status=in:active,queued": but(**condition("status", IN, "active", "queued")),
    "owner=x": but(**condition("owner", EQ, "x")),
    "os_hash_value=x": but(**condition("os_hash_value", EQ, "x")),
    "min_ram=512": but(**condition("min_ram", EQ, 512)),
    "min_ram=x": but(**condition("id", IN)),
    "size=99999999999999999999999": but(**condition("id", IN)),
    "size_min=5": but(**condition("size", Operator.GTE, 5)),
    "min_disk_max=5": but(**condition("min_disk", Operator.LTE, 5)),
    "size_min=99999999999999999999999": but(**condition("size", Operator.GTE, 2**63 - 1)),
    "created_at=gt:2026-04-01T12:00:00Z": but(**condition("created_at", Operator.GT, SPRING)),
    "created_at=2026-04-01T14:00:00%2B02:00": but(**condition("created_at", EQ, SPRING)),
    "updated_at=neq:2026-04-01T12:00:00": but(**condition("updated_at", Operator.NEQ, SPRING)),
    "os_distro=debian": but(properties=(("os_distro", "debian"),)),
    "locations=x": but(properties=(("locations", "x"),)),
    "is_public=true": but(properties=(("is_public", "true"),)),
    "hw_cpu_max=4": but(properties=(("hw_cpu_max", "4"),)),
    "a=1&a=2": but(properties=(("a", "2"),)),
    "changes-since=": but(properties=(("changes-since", ""),)),
    "sort=name": but(**order("name:desc created_at:desc id:desc")),
    "sort=name:asc": but(**order("name:asc created_at:asc id:asc")),
    "sort=name:asc,size": but(**order("name:asc size:desc created_at:desc id:desc")),
    "sort=id:asc,name": but(**order("id:asc")),
    "sort=name:asc,name:desc": but(**order("name:asc created_at:desc id:desc")),
    "sort_key=name": but(**order("name:desc created_at:desc id:desc")),
    "sort_dir=asc": but(**order("created_at:asc id:asc")),
    "sort_key=name&sort_key=size&sort_dir=asc": but(**order("name:asc size:asc created_at:asc id:asc")),
    "sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc": but(**order("name:asc size:desc created_at:desc id:desc")),
}


@pytest.mark.parametrize(("text", "expected"), UNDERSTOOD.items(), ids=list(UNDERSTOOD))
def test_query_means(text: str, expected: ImageQuery) -> None:
    assert asked(text) == expected


REFUSED = {
    "limit=x": "limit param must be an integer",
    "limit=": "limit param must be an integer",
    "limit=" + "9" * 5000: "limit param must be an integer",
    "limit=-1": "limit param must be positive",
    "visibility=x": "Invalid visibility value: x",
    "member_status=x": "Invalid status: x",
    "member_status=": "Invalid status: ",
    "os_hidden=x": "Invalid value 'x' for 'os_hidden' filter",
    "protected=True": "Invalid value 'True' for 'protected' filter",
    "changes-since=x": "no longer available on v2",
    "sort=x": "Invalid sort key: x",
    "sort=": "Invalid sort key: ",
    "sort=name:up": "Invalid sort direction: up",
    "sort_key=x": "Invalid sort key: x",
    "sort_key=name&sort_dir=up": "Invalid sort direction: up",
    "sort_key=name&sort_dir=asc&sort_dir=asc": "Number of sort dirs does not match",
    "sort=name&sort_key=name": "Old and new sorting syntax cannot be combined",
    "name=a:b": "Unable to filter by unknown operator 'a'",
    'name=in:a"b': "no comma before opening quotation mark",
    'name=in:"a"b': "no comma after closing quotation mark",
    'name=in:"a': "The quote is not closed",
    "size_min=x": "range with a non-numeric value",
    "created_at=x": 'Bad "created_at" query filter format',
    "created_at=gt:x": 'Bad "created_at" query filter format',
    "created_at=0001-01-01T00:00:00%2B23:00": 'Bad "created_at" query filter format',
    "created_at=in:2026-04-01T12:00:00": "Unable to filter on a unknown operator",
    "name=%ff": "could not be decoded",
    "%ff=x": "could not be decoded",
    "name=a%00": "could not be decoded",
    "&".join(["a=b"] * 41): "more than 40 parameters",
    "name=in:" + "a," * 501: "at most 500 are compared",
    "a=" + "x" * 40_000: "at most 32768 are read",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items(), ids=[text[:60] for text in REFUSED])
def test_query_is_refused(text: str, words: str) -> None:
    with pytest.raises(problems.QueryInvalid) as caught:
        asked(text)
    assert words in caught.value.sentence()


def test_links_keep_repeated_parameters_and_change_only_the_marker() -> None:
    given = query_strings.decode(b"tag=t1&tag=t2&marker=old&sort_key=name&sort_key=size&limit=2")
    assert query.link(given) == "/v2/images?tag=t1&tag=t2&sort_key=name&sort_key=size&limit=2"
    assert query.link(given, query.ImageID("new")) == "/v2/images?tag=t1&tag=t2&sort_key=name&sort_key=size&limit=2&marker=new"
    assert query.link(()) == "/v2/images"


names = st.sampled_from(
    ["limit", "sort", "sort_key", "sort_dir", "name", "size_min", "created_at", "tag", "visibility", "protected"]
)
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
texts = st.text(characters, max_size=12) | st.sampled_from(["in:", 'in:"', "gt:2026", "eq:", "asc", "name:asc"])


@given(st.lists(st.tuples(names | st.text(characters, max_size=5), texts), max_size=8))
def test_any_input_gives_a_query_or_a_problem(pairs: list[tuple[str, str]]) -> None:
    try:
        found = query.parse(tuple(pairs), page_default=25, page_max=1000)
    except problems.QueryInvalid:
        return
    assert found.sort[-1].attribute == "id"
    assert 0 <= found.limit <= 1000


@given(st.lists(st.tuples(names | st.text(characters, max_size=5), texts), max_size=8))
def test_a_link_asks_what_was_asked(pairs: list[tuple[str, str]]) -> None:
    asked_again = query_strings.decode(query.link(tuple(pairs)).partition("?")[2].encode("ascii"))
    assert asked_again == tuple(pair for pair in pairs if pair[0] != "marker")
