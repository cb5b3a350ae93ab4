"""The query of a list request: filters, order, page."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from partage.model.ids import ImageID
from partage.model.image import Visibility
from partage.model.member import MemberStatus

Item = TypeVar("Item")


class Operator(StrEnum):
    """How a filter compares an attribute with its value."""

    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"


Value = str | int | bool | datetime
Position = tuple[str | int, ...]
"""The position of an item in a sorted list: the value of each sort key, times as microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter on one base attribute. `values` has one element, except with IN, where any of them may match."""

    attribute: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One sort key: an attribute and its direction."""

    attribute: str
    descending: bool


DEFAULT_SORT = (SortKey("created_at", descending=True), SortKey("id", descending=True))
SORT_ATTRIBUTES = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A page of images.

    `visibility`: only that one; None without `all_visibilities` is the API's default (own, shared with the caller, public).
    `member_status`: the caller's member status on images shared with it; None is any.
    `sort` always ends with `id`, so that the order is total.
    `after` is the position of the marker when it was listed, in case it no longer exists.
    """

    limit: int
    marker: ImageID | None = None
    after: Position | None = None
    sort: tuple[SortKey, ...] = DEFAULT_SORT
    visibility: Visibility | None = None
    all_visibilities: bool = False
    member_status: MemberStatus | None = MemberStatus.ACCEPTED
    os_hidden: bool = False
    tags: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page of a list; the marker of the next page and its position: None on the last page."""

    items: tuple[Item, ...]
    next_marker: ImageID | None
    position: Position | None = None
