"""Filters, order and page position of an image list, as SQL expressions on the images table.

The expressions depend only on the *shape* of a query (which filters, which order); its values are bound parameters. So statements
are built once for each shape and cached: building one costs seven times as much as executing it.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from partage.model.image import Image
from partage.model.query import Filter, ImageQuery, Operator, Position, SortKey
from partage.records import selective, visibility
from partage.records.database import to_microseconds
from partage.records.tables import image_properties, image_tags, images
from partage.records.unindexed import EqualColumn, Unindexed

ROWS: BindParameter[int] = bindparam("rows")
MOST_BYTES: BindParameter[int] = bindparam("most_bytes", type_=BigInteger())
_TIMES = ("created_at", "updated_at")
_FILTERS_KEPT = 8
_VALUES_KEPT = 50
_MOST_ROWS = (26, 51, 101, 201, 501, 1001)
_EMPTY: dict[str, str | int] = {"name": "", "disk_format": "", "container_format": "", "size": -1}


@dataclass(frozen=True, slots=True)
class FilterShape:
    """The part of a filter that determines the text of its condition: with `count` values, or with a `constant`, true or false."""

    attribute: str
    operator: Operator
    count: int
    constant: bool | None


@dataclass(frozen=True, slots=True)
class QueryShape:
    """The part of a query that determines the text of its statement.

    `most_rows`: how many rows a branch finds at most, at least those of the page and one more. It is a number in the statement:
    PostgreSQL plans a prepared statement without values, and assumes that a limit that it does not know is a tenth of all rows.
    `os_hidden`, and the value of a filter that is true or false, are constants, for partial indexes.
    `start`: the filter from whose images the list starts. `from_shares`: images that the project has received are found
    by its shares, and sorted, instead of in the list's order; `from_endings`: so are images for which its notice runs.
    `is_merged`: SQLite merges the branches in the order of the list, and reads of each no more than the page needs.
    """

    is_admin: bool
    visibility: str | None
    all_visibilities: bool
    any_member_status: bool
    os_hidden: bool
    most_rows: int
    sort: tuple[SortKey, ...]
    has_position: bool
    filters: tuple[FilterShape, ...]
    tags: int
    properties: int
    start: selective.Key | None
    from_shares: bool
    from_endings: bool
    is_merged: bool

    @property
    def is_large(self) -> bool:
        """Whether statements of this shape are too large to be cached: a client can send any number of such shapes."""
        return self.tags + self.properties + len(self.filters) > _FILTERS_KEPT or any(
            each.count > _VALUES_KEPT for each in self.filters
        )


def shape_of(
    query: ImageQuery,
    *,
    is_admin: bool,
    has_position: bool = False,
    start: selective.Key | None = None,
    has_few_shares: bool = False,
    has_few_endings: bool = True,
    merges: bool = False,
) -> QueryShape:
    """Return a query's shape. `merges`: the database can merge branches that are in the order of the list."""
    return QueryShape(
        is_admin=is_admin,
        visibility=query.visibility,
        all_visibilities=query.all_visibilities,
        any_member_status=query.member_status is None,
        os_hidden=query.os_hidden,
        most_rows=next((each for each in _MOST_ROWS if each > query.limit), query.limit + 1),
        sort=query.sort,
        has_position=has_position,
        filters=tuple(FilterShape(each.attribute, each.operator, len(each.values), _constant(each)) for each in query.filters),
        tags=len(query.tags),
        properties=len(query.properties),
        start=start,
        from_endings=query.sort[0].attribute != "name" or has_few_endings,
        from_shares=query.sort[0].attribute not in ("created_at", "name") or has_few_shares,
        is_merged=merges and start is None and query.sort[0].attribute in ("created_at", "name"),
    )


def _constant(condition: Filter) -> bool | None:
    value = condition.values[0] if condition.values else None
    return value if isinstance(value, bool) else None


Columns = Mapping[str, ColumnElement[Any]]
"""Expressions that replace columns of an image, for a list that shows another value of an attribute."""


def matches(shape: QueryShape, seen: Columns) -> ColumnElement[bool]:
    """SQL condition: the image matches every filter of the query. `seen` replaces columns of which the list shows other values."""
    clauses: list[ColumnElement[bool]] = [images.c.os_hidden == (true() if shape.os_hidden else false())]
    image_id = EqualColumn(images.c.id, seen.get("id", images.c.id))
    seen = {**{name: Unindexed(images.c[name]) for name in _list_unsuited(shape)}, **seen}
    clauses += [_condition(number, each, seen, is_ordered=is_by_time(shape)) for number, each in enumerate(shape.filters)]
    clauses += [
        visibility.exists_for_each(
            select(image_tags.c.tag).where(image_tags.c.image_id == image_id, image_tags.c.tag == bindparam(f"tag_{number}"))
        )
        for number in range(shape.tags)
    ]
    clauses += [
        visibility.exists_for_each(
            select(image_properties.c.name).where(
                image_properties.c.image_id == image_id,
                image_properties.c.name == bindparam(f"property_{number}"),
                image_properties.c.value == bindparam(f"property_value_{number}"),
            ),
        )
        for number in range(shape.properties)
    ]
    return and_(*clauses)


def is_by_time(shape: QueryShape) -> bool:
    """Whether the list is in the order of creation, in which an index of an attribute has the images with the same value."""
    return shape.sort[0].attribute == "created_at"


def _list_unsuited(shape: QueryShape) -> Iterator[str]:
    """List the attributes whose index, used for a filter, would return the images in another order than the list's.

    A database without statistics takes such an index all the same, then reads and sorts most of a project's images for one page.
    """
    for attribute in ("status", "updated_at"):
        operators = {each.operator for each in shape.filters if each.attribute == attribute}
        is_equal = attribute == "status" and operators == {Operator.EQ}
        if operators and shape.sort[0].attribute != attribute and not (is_equal and is_by_time(shape)):
            yield attribute


def list_ranges(shape: QueryShape, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[bool]]:
    """SQL conditions, one of which holds: the image comes after the position (the last page costs as much as the first).

    `columns` has an expression for each sort key. Each condition is one range of an index. SQLite compares a tuple by an
    index of columns, and not by one of expressions: it read a sorted list from its start.
    """
    if not shape.has_position:
        return [true()]
    if is_by_time(shape):
        return [_is_after(shape, columns, 0)]
    first: BindParameter[Any] = bindparam("after_0")
    equal = [columns[0] == first, _is_after(shape, columns, 1)] if len(columns) > 1 else [false()]
    return [and_(*equal), columns[0] < first if shape.sort[0].descending else columns[0] > first]


def is_after(shape: QueryShape, columns: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
    """SQL condition: the image comes after the position, if the query has one."""
    return or_(*list_ranges(shape, columns))


def _is_after(shape: QueryShape, columns: Sequence[ColumnElement[Any]], start: int) -> ColumnElement[bool]:
    """SQL condition on the sort keys from `start`, where those before it are equal."""
    keys, columns = shape.sort[start:], columns[start:]
    values: list[BindParameter[Any]] = [bindparam(f"after_{start + number}") for number in range(len(columns))]
    directions = {key.descending for key in keys}
    if directions == {True}:
        return tuple_(*columns) < tuple_(*values)
    if directions == {False}:
        return tuple_(*columns) > tuple_(*values)
    alternatives = []
    for number, key in enumerate(keys):
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
    given: dict[str, object] = {}
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


def _condition(number: int, condition: FilterShape, seen: Columns, *, is_ordered: bool) -> ColumnElement[bool]:
    attribute, operator = condition.attribute, condition.operator
    column = seen.get(attribute, images.c[attribute])
    if condition.constant is not None:
        return column == (true() if condition.constant else false())
    # PostgreSQL rejects a parameter above the column's 32 bits, but a client may send any number of 64 bits.
    wide = BigInteger() if isinstance(column.type, Integer) else None
    first: BindParameter[object] = bindparam(f"condition_{number}_0", type_=wide)
    if attribute in _TIMES:
        return _time_condition(number, column, operator)
    if attribute in _EMPTY and operator is Operator.EQ and (attribute == "name" or is_ordered):
        return and_(sort_column(attribute, seen) == first, column.is_not(None))  # for the index; an unset name is not an empty one
    if operator is Operator.IN:
        return (
            column.in_([bindparam(f"condition_{number}_{each}") for each in range(condition.count)]) if condition.count else false()
        )
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
    if _constant(condition) is not None:
        return {}
    return {f"condition_{number}_{each}": value for each, value in enumerate(condition.values)}
