"""What a list request asks for, already typed: filters, order, page."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from partage.model.ids import ImageID
from partage.model.image import Visibility
from partage.model.member import MemberStatus

Item = TypeVar("Item")


class Operator(StrEnum):
    """How a condition compares an attribute with its value."""

    EQ = "eq"
    NEQ = "neq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"


Value = str | int | bool | datetime
Position = tuple[str | int, ...]
"""Where something stands in a sorted list: the value of each sort key, times as microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One base attribute compared; `values` has one element except under IN, where any of them may match."""

    attribute: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute to sort by."""

    attribute: str
    descending: bool


DEFAULT_SORT = (SortKey("created_at", descending=True), SortKey("id", descending=True))
SORT_ATTRIBUTES = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A page of images.

    `visibility`: only that one; None with `all_visibilities` false is the API's default (own, shared with me, public).
    `member_status`: which answers of mine count for images shared with me; None is all of them.
    `sort` always ends in a key that makes the order total (`id`).
    `after` is where the marker stood when it was listed, for the case that it is there no longer.
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
    conditions: tuple[Filter, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a longer list; after which one the next page begins, and where that stands: None when this page is the last."""

    items: tuple[Item, ...]
    next_marker: ImageID | None
    position: Position | None = None
