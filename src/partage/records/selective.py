"""Finds out whether a filter of a list matches so few images of all projects that the list starts from them.

A list walks an index in its own order until a page is full. Where few images match, it reads all images of the project and all
that it received. It is faster to read the images that match, by an index of the filter, and to sort them.

Statistics of the database do not decide, because SQLite has none by default and PostgreSQL plans a prepared statement without the
values. Reading at most `MOST_FOUND` entries of an index decides for the values at hand. These statements are planned by value:
without values, PostgreSQL read the whole table of members for a project that has none.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, select

from partage.model.query import ImageQuery, Operator
from partage.records import visibility
from partage.records.compiled import CompiledSelect
from partage.records.database import Transaction
from partage.records.tables import endings, image_properties, image_tags, images, members

MOST_FOUND = 500
"""As many images are read and sorted in about two milliseconds."""

MOST_SHARES = 1000
"""A list by name sorts so many shares of a member, and so many that have ended. With more of them, it walks the images of all
projects by name."""

_RECEIVED = (members.c.member_id == visibility.PROJECT, visibility.SHOWN)
_ENOUGH: ColumnElement[int] = literal_column(str(MOST_SHARES + 1))
_SHARES = CompiledSelect(select(members.c.image_id).where(*_RECEIVED).limit(_ENOUGH), is_planned_by_value=True)
_ENDED = CompiledSelect(
    select(endings.c.image_id).where(endings.c.member_id == visibility.PROJECT).limit(_ENOUGH), is_planned_by_value=True
)
_LONGEST_KEY = 64
"""Indexes have so many first characters of values that may be long."""

Key = tuple[str, int, int]
"""A filter of a query: its attribute, or `tag` or `property`, its number, and how many values it compares with."""

_MOST_NAMES = 50
"""More names are no cheaper to find than a page."""

_MOST_PROBES = 4
"""A client may send any number of tags and properties; so many of each are tried."""


def choose(tx: Transaction, query: ImageQuery, given: Mapping[str, object]) -> Key | None:
    """Return a filter of `query` that matches at most `MOST_FOUND` images of all projects; None if there is none.

    `given` has the values of the query's parameters.
    """
    for key in _list_keys(query):
        if key[0] == "id" or len(_compile_probe(key).fetch_all(tx, given)) <= MOST_FOUND:
            return key
    return None


def has_few_shares(tx: Transaction, given: Mapping[str, object]) -> bool:
    """Return whether the caller's project has received at most `MOST_SHARES` shares."""
    return len(_SHARES.fetch_all(tx, given)) <= MOST_SHARES


def has_few_endings(tx: Transaction, given: Mapping[str, object]) -> bool:
    """Return whether at most `MOST_SHARES` shares with the caller's project have ended, with notices that run."""
    return len(_ENDED.fetch_all(tx, given)) <= MOST_SHARES


def select_ids(key: Key, *, most: int) -> Select[Any]:
    """Select the ids of at most `most` images that match a filter, as `image_id`."""
    found, clause = _match(*key)
    return select(found.label("image_id")).where(clause).limit(literal_column(str(most)))


def _list_keys(query: ImageQuery) -> Iterator[Key]:
    """List the filters that have an index across all projects, those first that usually match few images."""
    most = {"id": MOST_FOUND, "name": _MOST_NAMES, "checksum": 1, "os_hash_value": 1}
    keys = [
        (each.attribute, number, len(each.values))
        for number, each in enumerate(query.filters)
        if each.operator in (Operator.EQ, Operator.IN) and 1 <= len(each.values) <= most.get(each.attribute, 0)
    ]
    yield from sorted(keys, key=lambda key: list(most).index(key[0]))
    for number in range(min(len(query.properties), _MOST_PROBES)):
        yield ("property", number, 1)
    for number in range(min(len(query.tags), _MOST_PROBES)):
        yield ("tag", number, 1)


@lru_cache(maxsize=256)
def _compile_probe(key: Key) -> CompiledSelect:
    return CompiledSelect(select_ids(key, most=MOST_FOUND + 1), is_planned_by_value=True)


def _match(attribute: str, number: int, count: int) -> tuple[ColumnElement[str], ColumnElement[bool]]:
    """Return the column with the image's id, and the condition in the words of the index.

    More images may match it than match the filter, which the list compares again: values that begin alike.
    """
    if attribute == "tag":
        return image_tags.c.image_id, image_tags.c.tag == bindparam(f"tag_{number}")
    if attribute == "property":
        named = image_properties.c.name == bindparam(f"property_{number}")
        value: ColumnElement[str] = bindparam(f"property_value_{number}")
        return image_properties.c.image_id, and_(named, _begin(image_properties.c.value) == _begin(value))
    values: list[ColumnElement[str]] = [bindparam(f"condition_{number}_{each}") for each in range(count)]
    if attribute == "os_hash_value":
        return images.c.id, and_(_begin(images.c.os_hash_value) == _begin(values[0]), images.c.os_hash_value.is_not(None))
    if attribute == "name":
        return images.c.id, and_(func.coalesce(images.c.name, literal_column("''")).in_(values), images.c.name.is_not(None))
    return images.c.id, images.c[attribute].in_(values)


def _begin(text: ColumnElement[str]) -> ColumnElement[str]:
    return func.substr(text, literal_column("1"), literal_column(str(_LONGEST_KEY)))
