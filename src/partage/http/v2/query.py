"""Parses the query string of a list call into an ImageQuery. A malformed value is a 400 here and nowhere else.

Source: Image API v2, "List images"; statuses and words are Glance's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import urlencode

import orjson
from oslo_utils import timeutils

from partage import problems
from partage.http.query_strings import Parameters, parse_integer, parse_limit
from partage.http.v2 import paths
from partage.model.document import read_name
from partage.model.ids import ImageID
from partage.model.image import Visibility
from partage.model.member import MemberStatus
from partage.model.query import SORT_ATTRIBUTES, Filter, ImageQuery, Operator, Position, SortKey

_MOST_LISTED = 500
_LARGEST_INTEGER = 2**63 - 1
AFTER = "os_glance_after"
"""The parameter of `next` links with the marker's position, in case the marker is deleted. No property can have this name."""

_NOTHING = Filter("id", Operator.IN, ())
"""Matches no image: the filter for a value that no image can have."""

_LIST_ITEM = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)",?|([^,]+),?|,')


def link(parameters: Parameters, marker: str | None = None, position: Position | None = None, *, path: str = paths.IMAGES) -> str:
    """Build the link to a page of a list: the first page, or the page after `marker`, which is at `position`.

    Differs from Glance: repeated parameters stay, so that the next page has the same filters, and the link has the position, so
    that the next page exists even if the marker is deleted.
    """
    kept = [pair for pair in parameters if pair[0] not in ("marker", AFTER)]
    if marker is not None:
        kept.append(("marker", marker))
    if position is not None:
        kept.append((AFTER, orjson.dumps(position).decode()))
    return f"{path}?{urlencode(kept)}" if kept else path


def position_of(text: str | None, attributes: Sequence[str]) -> Position | None:
    """Parse the position of a marker: a value for each attribute by which the list is sorted.

    Raises:
        QueryInvalid: it is not a position that `link` writes for a list in this order.
    """
    if text is None:
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or len(values) != len(attributes) or not all(map(_is_sort_value, attributes, values)):
        raise problems.QueryInvalid(f"{AFTER} is not what this service wrote into `next`; follow `next` as it is, or leave it out")
    return tuple(values)


def _is_sort_value(attribute: str, value: object) -> bool:
    if attribute == "size" or attribute.endswith("_at"):
        return type(value) is int and abs(value) <= _LARGEST_INTEGER
    return isinstance(value, str) and "\x00" not in value


def parse(parameters: Parameters, *, page_default: int, page_max: int) -> ImageQuery:
    """Parse the parameters of a list call. A name that is not an attribute filters by a custom property.

    Raises:
        QueryInvalid: a value is malformed.
    """
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    limit = parse_limit(given.pop("limit", [None])[0], page_default, page_max)
    marker, position = given.pop("marker", [None])[0], given.pop(AFTER, [None])[0]
    member_status = _parse_member_status(given.pop("member_status", ["accepted"])[0])
    tags = tuple(read_name(tag) for tag in given.pop("tag", []))
    sort = _parse_sort(given)
    filters = {name: values[-1] for name, values in given.items() if name != "deleted"}  # Source: Glance sets that one itself
    if filters.get("changes-since"):
        raise problems.QueryInvalid('The "changes-since" filter is no longer available on v2.')
    visibility, all_visibilities, impossible = _parse_visibility(filters.pop("visibility", None))
    os_hidden = _parse_os_hidden(filters.pop("os_hidden", "false"))
    conditions = [each for name, value in filters.items() if (each := _parse_condition(name, value)) is not None]
    return ImageQuery(
        limit=limit,
        marker=None if marker is None else ImageID(marker),
        after=position_of(position, [key.attribute for key in sort]),
        sort=sort,
        visibility=visibility,
        all_visibilities=all_visibilities,
        member_status=member_status,
        os_hidden=os_hidden,
        tags=tags,
        filters=(*conditions, *impossible),
        properties=tuple((read_name(name), value) for name, value in filters.items() if not _is_attribute_filter(name)),
    )


def _parse_member_status(text: str) -> MemberStatus | None:
    if text == "all":
        return None
    if text not in tuple(MemberStatus):
        raise problems.QueryInvalid(f"Invalid status: {text}")
    return MemberStatus(text)


def _parse_visibility(text: str | None) -> tuple[Visibility | None, bool, tuple[Filter, ...]]:
    if text is None:
        return None, False, ()
    if not text:
        return None, True, (_NOTHING,)
    if text == "all":
        return None, True, ()
    if text not in tuple(Visibility):
        raise problems.QueryInvalid(f"Invalid visibility value: {text}")
    return Visibility(text), False, ()


def _parse_os_hidden(text: str) -> bool:
    lowered = text.lower()
    if lowered not in {"true", "false"}:
        raise problems.QueryInvalid(f"Invalid value '{lowered}' for 'os_hidden' filter. Valid values are 'true' or 'false'.")
    return lowered == "true"


def _parse_sort(given: dict[str, list[str]]) -> tuple[SortKey, ...]:
    combined = given.pop("sort", None)
    names = [name.strip() for name in given.pop("sort_key", [])]
    directions = [direction.strip() for direction in given.pop("sort_dir", [])]
    if combined is not None:
        if names or directions:
            raise problems.QueryInvalid("Old and new sorting syntax cannot be combined")
        pairs = [part.partition(":") for part in combined[0].strip().split(",")]
        names = [name.strip() for name, _, _ in pairs]
        directions = [direction.strip() or "desc" for _, _, direction in pairs]
    for name in names:
        if name not in SORT_ATTRIBUTES:
            available = ", ".join(SORT_ATTRIBUTES)
            raise problems.QueryInvalid(f"Invalid sort key: {name}. It must be one of the following: {available}.")
    for direction in directions:
        if direction not in {"asc", "desc"}:
            raise problems.QueryInvalid(f"Invalid sort direction: {direction}")
    if len(directions) > 1 and len(directions) != len(names):
        raise problems.QueryInvalid("Number of sort dirs does not match the number of sort keys")
    return _complete_sort(names or ["created_at"], directions or ["desc"])


def _complete_sort(names: list[str], directions: list[str]) -> tuple[SortKey, ...]:
    """Give every key its direction, and append created_at and id, so that the order is total. One direction applies to all keys."""
    single = len(directions) == 1
    keys: dict[str, str] = {}
    for name, direction in zip(names, directions * len(names) if single else directions, strict=True):
        keys.setdefault(name, direction)
    for name in ("created_at", "id"):
        keys.setdefault(name, directions[0] if single else "desc")
    found = [SortKey(name, direction == "desc") for name, direction in keys.items()]
    after_id = next(number for number, key in enumerate(found) if key.attribute == "id") + 1
    return tuple(found[:after_id])


def _is_attribute_filter(name: str) -> bool:
    return name in _CONDITIONS or _split_range_name(name) is not None


def _parse_condition(name: str, value: str) -> Filter | None:
    bound = _split_range_name(name)
    if bound is not None:
        attribute, operator = bound
        number = parse_integer(value, "Unable to filter on a range with a non-numeric value.")
        return Filter(attribute, operator, (max(-_LARGEST_INTEGER, min(number, _LARGEST_INTEGER)),))
    parse_value = _CONDITIONS.get(name)
    return None if parse_value is None else parse_value(name, value)


def _split_range_name(name: str) -> tuple[str, Operator] | None:
    for ending, operator in (("_min", Operator.GTE), ("_max", Operator.LTE)):
        if name.endswith(ending) and name.removesuffix(ending) in _INTEGERS:
            return name.removesuffix(ending), operator
    return None


def _parse_exact(name: str, value: str) -> Filter:
    return Filter(name, Operator.EQ, (value,))


def _parse_exact_integer(name: str, value: str) -> Filter:
    try:
        number = int(value)
    except ValueError:
        return _NOTHING
    return Filter(name, Operator.EQ, (number,)) if abs(number) <= _LARGEST_INTEGER else _NOTHING


def _parse_exact_boolean(name: str, value: str) -> Filter:
    if value not in {"true", "false"}:
        raise problems.QueryInvalid(f"Invalid value '{value}' for '{name}' filter. Valid values are 'true' or 'false'.")
    return Filter(name, Operator.EQ, (value == "true",))


def _parse_list_filter(name: str, value: str) -> Filter:
    operator, operand = _split_operator(value)
    if operator == "in":
        listed = tuple(_split_list(operand))
        if len(listed) > _MOST_LISTED:
            raise problems.QueryInvalid(f"The filter {name} lists {len(listed)} values; at most {_MOST_LISTED} are compared")
        return Filter(name, Operator.IN, listed)
    if operator == "eq":
        return Filter(name, Operator.EQ, (operand,))
    raise problems.QueryInvalid(f"Unable to filter by unknown operator '{operator}'.")


def _parse_time_filter(name: str, value: str) -> Filter:
    operator, operand = _split_operator(value)
    moment = _parse_time(operand)
    if moment is None:
        raise problems.QueryInvalid(f'Bad "{name}" query filter format. Use ISO 8601 DateTime notation.')
    if operator not in {"eq", "neq", "lt", "lte", "gt", "gte"}:
        raise problems.QueryInvalid("Unable to filter on a unknown operator.")
    return Filter(name, Operator(operator), (moment,))


def _split_operator(expression: str) -> tuple[str, str]:
    """Split `operator:operand`. A time contains colons: text that is a time has no operator."""
    left, separator, right = expression.partition(":")
    if not separator or _parse_time(expression) is not None:
        return "eq", expression
    return left, right


def _parse_time(text: str) -> datetime | None:
    try:
        return timeutils.normalize_time(timeutils.parse_isotime(text)).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _split_list(text: str) -> list[str]:
    """Split a list at its commas, except commas in double quotes.

    Source: the API working group's "Filtering" guideline.
    """
    _check_quotes(text)
    return [quoted or plain for quoted, plain in _LIST_ITEM.findall(text)]


def _check_quotes(text: str) -> None:
    opening = True
    for number, character in enumerate(text):
        if character != '"' or (number and text[number - 1] == "\\"):
            continue
        if opening and number and text[number - 1] != ",":
            raise problems.QueryInvalid(f"Invalid filter value {text}. There is no comma before opening quotation mark.")
        if not opening and number + 1 != len(text) and text[number + 1] != ",":
            raise problems.QueryInvalid(f"Invalid filter value {text}. There is no comma after closing quotation mark.")
        opening = not opening
    if not opening:
        raise problems.QueryInvalid(f"Invalid filter value {text}. The quote is not closed.")


_INTEGERS = ("size", "virtual_size", "min_ram", "min_disk")
_CONDITIONS: Mapping[str, Callable[[str, str], Filter]] = MappingProxyType(
    {
        **dict.fromkeys(("name", "id", "status", "container_format", "disk_format"), _parse_list_filter),
        **dict.fromkeys(("owner", "checksum", "os_hash_algo", "os_hash_value"), _parse_exact),
        **dict.fromkeys(("created_at", "updated_at"), _parse_time_filter),
        **dict.fromkeys(_INTEGERS, _parse_exact_integer),
        "protected": _parse_exact_boolean,
    },
)
