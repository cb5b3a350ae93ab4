"""The Image API's JSON patch: parse, check, apply to an Image.

Two media types: v2.1 has `{"op", "path", "value"}`, v2.0 `{"add": path, "value"}`. Only add, replace and remove; one level deep.
Permissions are not checked here: see `apply`. Pure; the configured formats and the time are parameters.
Source: Image API v2, "Image PATCH"; statuses and messages are Glance's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from partage import problems
from partage.model import document as documents
from partage.model import location_changes
from partage.model.document import KnownFormats
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.location_changes import NO_CHANGES_ALLOWED, LocationTerms

DEFAULT_MOST = 1000
"""Operations of one patch: an image may have 128 properties and a dozen attributes, and a patch may change each twice."""

Version = Literal["2.0", "2.1"]

_OPERATIONS = ("add", "remove", "replace")
_READ_ONLY = frozenset({*documents.DISALLOWED, *documents.SERVICE_OWNED, *documents.DROPPED, "id"})
_RESERVED = frozenset(documents.RESERVED) - {"locations"}
_LOCATIONS_DEPTH = {"add": 2, "remove": 2, "replace": 1}
SETTABLE = frozenset(
    {
        "name",
        "visibility",
        "protected",
        "os_hidden",
        "owner",
        "tags",
        "min_ram",
        "min_disk",
        "disk_format",
        "container_format",
    },
)
"""The attributes that a patch may change, besides locations and properties."""
_FORMATS = ("disk_format", "container_format")
_FORMATS_CHANGE_WHILE = (ImageStatus.QUEUED, ImageStatus.IMPORTING)


class Operation(StrEnum):
    """The operation of a change."""

    ADD = "add"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of a patch. `path` is decoded, without the leading slash; `value` is None for remove.

    `strict`: adding an existing property is a conflict, as in the v2.0 media type; otherwise it replaces. `written` is the client's
    name if it has spaces around it: an image of an older release may have such a property, which can be replaced and removed.
    """

    op: Operation
    path: tuple[str, ...]
    value: Any = None
    strict: bool = False
    written: str = ""

    @property
    def name(self) -> str:
        """The changed attribute or property."""
        return self.path[0]


def parse(document: object, *, version: Version, known: KnownFormats, most: int = DEFAULT_MOST) -> tuple[Change, ...]:
    """Parse a patch of at most `most` operations, and check it as far as possible without the image.

    Raises:
        TooMany: it has more operations.
        BodyInvalid: an operation, pointer or value is invalid.
        AttributeReadOnly: an attribute is read-only or reserved.
    """
    if not isinstance(document, list):
        raise problems.BodyInvalid("Request body must be a JSON array of operation objects.")
    if len(document) > most:
        raise problems.TooMany(f"The patch has {len(document)} operations; at most {most} are accepted in one request")
    return tuple(_parse_operation(raw, version, known) for raw in document)


def apply(image: Image, changes: Iterable[Change], *, now: datetime, locations: LocationTerms = NO_CHANGES_ALLOWED) -> Image:
    """Apply the changes to the image in order. An empty list changes nothing, not even `updated_at`.

    Not checked here: whether the project may modify the image, set this `owner` or this `visibility`; whether counts of tags and
    properties are within limits (`list_changed_names` returns the names concerned); whether new locations may be opened, and their
    sizes.

    Raises:
        PropertyConflict: a replaced or removed property does not exist, or an added one exists (with `strict`).
        AttributeReadOnly: an attribute cannot be removed, or locations cannot be changed.
        StatusForbids: a format is changed after image data was uploaded, or the last location would be removed.
        StatusConflict, BodyInvalid, FormatMissing, TooMany: a change of locations is invalid, see `location_changes`.
    """
    changed = image
    properties = dict(image.properties)
    touched_at_all = False
    for change in changes:
        touched_at_all = True
        if change.name == "locations":
            changed = _apply_to_locations(changed, change, locations, now)
        elif change.name in SETTABLE:
            changed = _apply_to_attribute(changed, change)
        else:
            _apply_to_property(properties, change)
    return replace(changed, properties=properties, updated_at=now) if touched_at_all else image


def list_changed_names(changes: Iterable[Change]) -> frozenset[str]:
    """Return the names of the changed attributes and properties."""
    return frozenset(name for change in changes for name in (change.name, change.written or change.name))


def _apply_to_attribute(image: Image, change: Change) -> Image:
    name = change.name
    if change.op is Operation.REMOVE:
        raise problems.AttributeReadOnly(f"Property {name} may not be removed.")
    if change.op is Operation.ADD and change.strict:
        raise problems.PropertyConflict(f"Property {name} already present.")
    if name in _FORMATS and image.status not in _FORMATS_CHANGE_WHILE:
        raise problems.StatusForbids(f"Attribute {name} can be only replaced for a queued image.")
    changes: dict[str, Any] = {name: _attribute_value(name, change.value)}
    return replace(image, **changes)


def _attribute_value(name: str, value: Any) -> Any:
    if name == "visibility":
        return Visibility(value)
    if name == "tags":
        return documents.unique_tags(value)
    if name in {"min_ram", "min_disk"}:
        return int(value)
    return value


def _apply_to_property(properties: dict[str, str], change: Change) -> None:
    is_from_before = bool(change.written) and change.op is not Operation.ADD and change.written in properties
    name = change.written if is_from_before else change.name
    if change.op is Operation.ADD:
        if change.strict and name in properties:
            raise problems.PropertyConflict(f"Property {name} already present.")
    elif name not in properties:
        raise problems.PropertyConflict(f"Property {name} does not exist.")
    if change.op is Operation.REMOVE:
        del properties[name]
    else:
        properties[name] = change.value


def _apply_to_locations(image: Image, change: Change, terms: LocationTerms, now: datetime) -> Image:
    if change.op is Operation.ADD:
        return location_changes.add(image, change.path[1], change.value, terms=terms, now=now)
    if change.op is Operation.REPLACE:
        return location_changes.replace_all(image, change.value, terms=terms, now=now)
    return location_changes.remove(image, change.path[1], terms=terms, now=now)


def _parse_operation(raw: object, version: Version, known: KnownFormats) -> Change:
    if not isinstance(raw, dict):
        raise problems.BodyInvalid("Operations must be JSON objects.")
    op, pointer = _operation_2_1(raw) if version == "2.1" else _operation_2_0(raw)
    written = _decode(pointer)
    path = tuple(map(documents.read_name, written))
    if len(path) != (_LOCATIONS_DEPTH[op] if path[0] == "locations" else 1):
        raise problems.BodyInvalid(f"Invalid JSON pointer for this resource: '/{'/'.join(path)}'")
    if op != "remove" and "value" not in raw:
        raise problems.BodyInvalid(f'Operation "{op}" requires a member named "value".')
    value = None if op == "remove" else raw["value"]
    _check_name(path[0])
    if op != "remove":
        documents.check_value(path[0], [value] if len(path) > 1 else value, known)
        documents.check_storable(path[0], value)
    return Change(Operation(op), path, value, strict=version == "2.0", written="" if written[0] == path[0] else written[0])


def _operation_2_1(raw: dict[str, Any]) -> tuple[str, object]:
    available = ", ".join(_OPERATIONS)
    op = raw.get("op")
    if op is None:
        raise problems.BodyInvalid(f"Unable to find `op` in JSON Schema change. It must be one of the following: {available}.")
    if op not in _OPERATIONS:
        raise problems.BodyInvalid(f"Invalid operation: `{str(op)[:100]}`. It must be one of the following: {available}.")
    if "path" not in raw:
        raise problems.BodyInvalid("Unable to find 'path' in JSON Schema change")
    return op, raw["path"]


def _operation_2_0(raw: dict[str, Any]) -> tuple[str, object]:
    found = [op for op in _OPERATIONS if op in raw]
    if len(found) != 1:
        count = "only" if found else "exactly"
        raise problems.BodyInvalid(f'Operation objects must contain {count} one member named "add", "remove", or "replace".')
    return found[0], raw[found[0]]


def _decode(pointer: object) -> tuple[str, ...]:
    if not isinstance(pointer, str):
        raise problems.BodyInvalid("The pointer of an operation must be text, such as /name")
    if not pointer.startswith("/"):
        raise problems.BodyInvalid(f'Pointer `{pointer}` does not start with "/".')
    if re.search(r"/\s*?/", pointer[1:]):
        raise problems.BodyInvalid(f'Pointer `{pointer}` contains adjacent "/".')
    if len(pointer) > 1 and pointer.endswith("/"):
        raise problems.BodyInvalid(f'Pointer `{pointer}` end with "/".')
    if re.search("~[^01]", pointer) or pointer.endswith("~"):
        raise problems.BodyInvalid(f'Pointer `{pointer}` contains "~" not part of a recognized escape sequence.')
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.lstrip("/").split("/"))


def _check_name(name: str) -> None:
    if name in _READ_ONLY:
        raise documents.read_only_problem(name)
    if name in _RESERVED:
        raise documents.make_reserved_problem(name)
    if name != "locations":
        documents.check_allowed(name)
