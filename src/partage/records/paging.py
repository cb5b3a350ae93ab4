"""Filters, order and page position of an image list, as SQL expressions on the images table.

The expressions depend only on the *shape* of a query (which filters, which order); its values are bound parameters. So statements
are built once for each shape and cached: building one costs seven times as much as executing it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    and_,
    bindparam,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from partage.model.image import Image
from partage.model.query import Filter, ImageQuery, Operator, Position, SortKey
from partage.records.database import to_microseconds
from partage.records.tables import image_properties, image_tags, images

ROWS: BindParameter[int] = bindparam("rows")
MOST_BYTES: BindParameter[int] = bindparam("most_bytes", type_=BigInteger())
_TIMES = ("created_at", "updated_at")
_FILTERS_KEPT = 8
_VALUES_KEPT = 50
_EMPTY: dict[str, str | int] = {"name": "", "disk_format": "", "container_format": "", "size": -1}


@dataclass(frozen=True, slots=True)
class QueryShape:
    """The part of a query that determines the text of its statement."""

    is_admin: bool
    visibility: str | None
    all_visibilities: bool
    any_member_status: bool
    sort: tuple[SortKey, ...]
    has_position: bool
    filters: tuple[tuple[str, Operator, int], ...]
    tags: int
    properties: int

    @property
    def is_large(self) -> bool:
        """Whether statements of this shape are too large to be cached: a client can send any number of such shapes."""
        return self.tags + self.properties + len(self.filters) > _FILTERS_KEPT or any(
            count > _VALUES_KEPT for _, _, count in self.filters
        )


def shape_of(query: ImageQuery, *, is_admin: bool, has_position: bool = False) -> QueryShape:
    """Return a query's shape."""
    return QueryShape(
        is_admin=is_admin,
        visibility=query.visibility,
        all_visibilities=query.all_visibilities,
        any_member_status=query.member_status is None,
        sort=query.sort,
        has_position=has_position,
        filters=tuple((each.attribute, each.operator, len(each.values)) for each in query.filters),
        tags=len(query.tags),
        properties=len(query.properties),
    )


Columns = Mapping[str, ColumnElement[Any]]
"""Expressions that replace columns of an image, for a list that shows another value of an attribute."""


def matches(shape: QueryShape, seen: Columns) -> ColumnElement[bool]:
    """SQL condition: the image matches every filter of the query. `seen` replaces columns of which the list shows other values."""
    clauses: list[ColumnElement[bool]] = [images.c.os_hidden == bindparam("os_hidden")]
    clauses += [_condition(number, *each, seen) for number, each in enumerate(shape.filters)]
    clauses += [
        exists(select(image_tags.c.tag).where(image_tags.c.image_id == images.c.id, image_tags.c.tag == bindparam(f"tag_{number}")))
        for number in range(shape.tags)
    ]
    clauses += [
        exists(
            select(image_properties.c.name).where(
                image_properties.c.image_id == images.c.id,
                image_properties.c.name == bindparam(f"property_{number}"),
                image_properties.c.value == bindparam(f"property_value_{number}"),
            ),
        )
        for number in range(shape.properties)
    ]
    return and_(*clauses)


def is_after(shape: QueryShape, columns: Sequence[ColumnElement[object]]) -> ColumnElement[bool]:
    """SQL condition: the image comes after the position (keyset pagination: the last page costs as much as the first).

    `columns` has an expression for each sort key of the query.
    """
    values: list[BindParameter[object]] = [bindparam(f"after_{number}") for number in range(len(columns))]
    directions = {key.descending for key in shape.sort}
    if directions == {True}:
        return tuple_(*columns) < tuple_(*values)
    if directions == {False}:
        return tuple_(*columns) > tuple_(*values)
    alternatives = []
    for number, key in enumerate(shape.sort):
        equal = [column == value for column, value in zip(columns[:number], values[:number], strict=True)]
        beyond = columns[number] < values[number] if key.descending else columns[number] > values[number]
        alternatives.append(and_(*equal, beyond))
    return or_(*alternatives)


def sort_column(attribute: str, seen: Columns) -> ColumnElement[object]:
    """Return the expression that sorts by an attribute; an unset attribute sorts before every value."""
    column = seen.get(attribute, images.c[attribute])
    # A literal, not a bound value: an index on the expression is used only if the text is the same.
    return func.coalesce(column, literal_column(repr(_EMPTY[attribute]))) if attribute in _EMPTY else column


def order(shape: QueryShape, columns: Sequence[ColumnElement[object]]) -> list[ColumnElement[object]]:
    """Apply the query's directions to `columns`, one for each sort key."""
    return [column.desc() if key.descending else column.asc() for key, column in zip(shape.sort, columns, strict=True)]


def position(image: Image, query: ImageQuery) -> Position:
    """Return an image's position in a list: the value of each sort key."""
    return tuple(_sort_value(image, key.attribute) for key in query.sort)


def bind_query(query: ImageQuery, after: Position | None) -> dict[str, object]:
    """Return the values of all bound parameters of the query's statement."""
    given: dict[str, object] = {"os_hidden": query.os_hidden}
    if query.member_status is not None:
        given["member_status"] = query.member_status.value
    for number, condition in enumerate(query.filters):
        given |= _condition_values(number, condition)
    given |= {f"tag_{number}": tag for number, tag in enumerate(query.tags)}
    for number, (name, value) in enumerate(query.properties):
        given |= {f"property_{number}": name, f"property_value_{number}": value}
    if after is not None:
        given |= {f"after_{number}": value for number, value in enumerate(after)}
    return given


def _sort_value(image: Image, attribute: str) -> str | int:
    value: str | int | datetime | None = getattr(image, attribute)
    if isinstance(value, datetime):
        return to_microseconds(value)
    return _EMPTY[attribute] if value is None else value


def _condition(number: int, attribute: str, operator: Operator, count: int, seen: Columns) -> ColumnElement[bool]:
    column = seen.get(attribute, images.c[attribute])
    # PostgreSQL rejects a parameter above the column's 32 bits, but a client may send any number of 64 bits.
    wide = BigInteger() if isinstance(column.type, Integer) else None
    first: BindParameter[object] = bindparam(f"condition_{number}_0", type_=wide)
    if attribute in _TIMES:
        return _time_condition(number, column, operator)
    if attribute == "name" and operator is Operator.EQ:
        return and_(sort_column(attribute, seen) == first, column.is_not(None))  # for the index; an unset name is not an empty one
    if operator is Operator.IN:
        return column.in_([bindparam(f"condition_{number}_{each}") for each in range(count)]) if count else false()
    return {
        Operator.EQ: column == first,
        Operator.NEQ: column.is_distinct_from(first),
        Operator.LT: column < first,
        Operator.LTE: column <= first,
        Operator.GT: column > first,
        Operator.GTE: column >= first,
    }[operator]


def _time_condition(number: int, column: ColumnElement[int], operator: Operator) -> ColumnElement[bool]:
    """Compare whole seconds, as the API shows times: `_0` is the first microsecond of the second, `_1` that of the next second."""
    second: BindParameter[int] = bindparam(f"condition_{number}_0")
    following: BindParameter[int] = bindparam(f"condition_{number}_1")
    return {
        Operator.EQ: and_(column >= second, column < following),
        Operator.NEQ: or_(column < second, column >= following),
        Operator.LT: column < second,
        Operator.LTE: column < following,
        Operator.GT: column >= following,
        Operator.GTE: column >= second,
    }[operator]


def _condition_values(number: int, condition: Filter) -> dict[str, object]:
    if condition.attribute in _TIMES:
        moment = condition.values[0]
        if not isinstance(moment, datetime):
            raise TypeError(condition)
        # Integers, because datetime cannot represent the second after the last one of the year 9999.
        second = to_microseconds(moment.replace(microsecond=0))
        return {f"condition_{number}_0": second, f"condition_{number}_1": second + 1_000_000}
    return {f"condition_{number}_{each}": value for each, value in enumerate(condition.values)}
