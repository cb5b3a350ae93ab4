"""The image document of a client: the schema of each attribute, and the parser of a new image.

Pure: the configured formats are parameters. Statuses and messages are Glance's, without its dump of the schema.
Source: Image API v2, "Create image", and the `image` schema.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NoReturn

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.image import NewImage, Visibility
from partage.model.image_schema import PropertySchemas
from partage.model.location import parse_given_location

DISALLOWED = ("direct_url", "self", "file", "schema", "stores")
"""Attributes that the service derives from others; a client cannot set them."""

SERVICE_OWNED = ("created_at", "updated_at", "status", "checksum", "size", "virtual_size")
"""Attributes that only the service sets."""

DROPPED = ("os_hash_algo", "os_hash_value")
"""Attributes that only the service sets, but that are accepted and ignored on create. Source: Glance 33."""

STATUSES = ("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated")
VISIBILITIES = ("community", "public", "private", "shared")
"""In the order of Glance's schema and messages."""

RESERVED = ("location", "deleted", "deleted_at", "locations")
RESERVED_PREFIX = "os_glance"
LONGEST_NAME = 255
LONGEST_VALUE = 65_535
"""Characters of a property's value: the limit of MariaDB's TEXT columns; Glance returns 500 above it."""

LARGEST_INTEGER = 2**31 - 1
"""The largest `min_ram` and `min_disk`: the limit of their columns."""

_UUID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_UUID = re.compile(_UUID_PATTERN)
_ORNAMENTS = re.compile(r"\A[\W_]+")
_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class KnownFormats:
    """The disk and container formats that the operator permits (Glance's by default), and the schemas of properties."""

    disk: tuple[str, ...] = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
    container: tuple[str, ...] = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
    properties: PropertySchemas = field(default_factory=PropertySchemas)


def parse_new_image(document: object, known: KnownFormats) -> NewImage:
    """Parse the document of a create call.

    Raises:
        BodyInvalid: an attribute does not match the schema.
        AttributeReadOnly: an attribute is read-only or reserved.
    """
    if not isinstance(document, dict):
        raise problems.BodyInvalid("Provided object does not match schema 'image': the body must be a JSON object")
    document = _read_names(document)
    for name in DISALLOWED:
        if name in document:
            raise read_only_problem(name)
    for name, value in document.items():
        check_value(name, value, known)
    known.properties.require(document)
    given = {name: value for name, value in document.items() if name not in DROPPED}
    for name in given:
        check_allowed(name)
    properties = {name: value for name, value in given.items() if name not in ATTRIBUTES}
    for name, value in given.items():
        check_storable(name, value)
    return NewImage(
        id=ImageID(given["id"]) if "id" in given else None,
        owner=None if given.get("owner") is None else ProjectID(given["owner"]),
        owner_given="owner" in given,
        name=given.get("name"),
        visibility=Visibility(given.get("visibility", Visibility.SHARED)),
        protected=given.get("protected", False),
        os_hidden=given.get("os_hidden", False),
        min_disk=int(given.get("min_disk", 0)),
        min_ram=int(given.get("min_ram", 0)),
        disk_format=given.get("disk_format"),
        container_format=given.get("container_format"),
        tags=tuple(read_name(tag) for tag in given.get("tags", [])),
        properties=MappingProxyType(properties),
    )


def read_name(text: str) -> str:
    """Strip the spaces around the name of a property or a tag.

    Names in documents, patches, paths, queries and imports are read by this function.
    Source: Glance does so in patches and in filters by tags. Differs from Glance: elsewhere it keeps the spaces, and such names are
    not found again.
    """
    return text.strip()


def is_property_name(name: str) -> bool:
    """Whether a property may have the name: it is not an attribute's, and not reserved in any spelling."""
    if name in ATTRIBUTES or name in DISALLOWED or name in DROPPED:
        return False
    try:
        check_allowed(name)
    except problems.Problem:
        return False
    return not _FOUR_BYTES.search(name)


def check_allowed(name: str) -> None:
    """Check that a client may use the property name.

    Raises:
        AttributeReadOnly: the name is read-only or reserved.
        BodyInvalid: the name is too long.
    """
    if name in SERVICE_OWNED:
        raise read_only_problem(name)
    if len(name) > LONGEST_NAME:
        raise problems.BodyInvalid("Custom property should not be greater than 255 characters.")
    if name in RESERVED or _looks_like(name).startswith(RESERVED_PREFIX):
        raise make_reserved_problem(name)


def check_value(name: str, value: object, known: KnownFormats) -> None:
    """Check a value against the schema of the attribute, or of a custom property (a string).

    Raises:
        BodyInvalid: the value does not match.
    """
    if name == "disk_format":
        _one_of(value, (None, *known.disk))
    elif name == "container_format":
        _one_of(value, (None, *known.container))
    else:
        _CHECKS.get(name, _check_text)(value)
        known.properties.check(name, value)


def check_storable(name: str, value: object) -> None:
    """Check that a value can be stored: integers in range, strings not too long and without four-byte characters.

    Raises:
        BodyInvalid: it cannot be stored.
    """
    if name in {"min_disk", "min_ram"} and isinstance(value, int | float):
        _check_range(name, int(value))
    if _FOUR_BYTES.search(name):
        raise problems.BodyInvalid("Property names can't contain 4 byte unicode.")
    if isinstance(value, str):
        if _FOUR_BYTES.search(value):
            raise problems.BodyInvalid(f"{name.title()} can't contain 4 byte unicode characters.")
        if len(value) > LONGEST_VALUE:
            raise problems.BodyInvalid(f"The value of {name} has {len(value)} characters; at most {LONGEST_VALUE} are accepted")
    if isinstance(value, list) and any(isinstance(each, str) and _FOUR_BYTES.search(each) for each in value):
        raise problems.BodyInvalid("Param values can't contain 4 byte unicode.")


def parse_tag(text: str) -> str:
    """Parse one tag.

    Raises:
        BodyInvalid: the tag is too long, or cannot be stored.
    """
    _check_tags([text])
    check_storable("tags", [text])
    return read_name(text)


def unique_tags(tags: list[str]) -> tuple[str, ...]:
    """Return tags as they are stored: sorted, without duplicates."""
    return tuple(sorted({read_name(tag) for tag in tags}))


def read_only_problem(name: str) -> problems.AttributeReadOnly:
    """Return the problem of a read-only attribute."""
    return problems.AttributeReadOnly(f"Attribute '{name}' is read-only.")


def make_reserved_problem(name: str) -> problems.AttributeReadOnly:
    """Return the problem of a reserved name."""
    return problems.AttributeReadOnly(f"Attribute '{name}' is reserved.")


def _read_names(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text, value in document.items():
        name = read_name(text)
        if name in found:
            raise problems.BodyInvalid(f"The property {_shorten(name)} occurs twice: spaces around a name are ignored")
        found[name] = value
    return found


def _looks_like(name: str) -> str:
    """Normalize a name for comparison with reserved ones. Differs from Glance, which accepts /os_glance_x and OS_GLANCE_x."""
    return _ORNAMENTS.sub("", unicodedata.normalize("NFKC", name)).casefold()


def _mismatch(complaint: str) -> NoReturn:
    raise problems.BodyInvalid(f"Provided object does not match schema 'image': {complaint}")


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _type_mismatch(value: object, *types: str) -> NoReturn:
    _mismatch(f"{_shorten(value)} is not of type {', '.join(repr(each) for each in types)}")


def _check_text(value: object) -> None:
    if not isinstance(value, str):
        _type_mismatch(value, "string")


def _text_or_null(longest: int) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            _type_mismatch(value, "null", "string")
        if len(value) > longest:
            _mismatch(f"{_shorten(value)} is too long")

    return check


def _one_of(value: object, options: tuple[str | None, ...]) -> None:
    if not isinstance(value, str | None):
        _type_mismatch(value, *(("null", "string") if None in options else ("string",)))
    if value not in options:
        _mismatch(f"{_shorten(value)} is not one of {list(options)!r}")


def _options(options: tuple[str | None, ...]) -> Callable[[object], None]:
    return lambda value: _one_of(value, options)


def _check_boolean(value: object) -> None:
    if not isinstance(value, bool):
        _type_mismatch(value, "boolean")


def _check_integer(value: object) -> None:
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        _type_mismatch(value, "integer")


def _check_integer_or_null(value: object) -> None:
    if value is not None:
        _check_integer(value)


def _check_id(value: object) -> None:
    _check_text(value)
    if not _UUID.fullmatch(str(value)):
        _mismatch(f"{_shorten(value)} does not match {_UUID_PATTERN!r}")


def _check_tags(value: object) -> None:
    if not isinstance(value, list):
        _type_mismatch(value, "array")
    for tag in value:
        _check_text(tag)
        if len(read_name(tag)) > LONGEST_NAME:
            _mismatch(f"{_shorten(tag)} is too long")


def _check_locations(value: object) -> None:
    if not isinstance(value, list):
        _type_mismatch(value, "array")
    for location in value:
        parse_given_location(location)


def _check_range(name: str, value: int) -> None:
    if value < 0:
        raise problems.BodyInvalid(f"Invalid value '{value}' for parameter '{name}': Cannot be a negative value")
    if value > LARGEST_INTEGER:
        raise problems.BodyInvalid(f"'{name}' value out of range, must not exceed {LARGEST_INTEGER}.")


_CHECKS: Mapping[str, Callable[[object], None]] = MappingProxyType(
    {
        "id": _check_id,
        "name": _text_or_null(LONGEST_NAME),
        "status": _options(STATUSES),
        "visibility": _options(VISIBILITIES),
        "protected": _check_boolean,
        "os_hidden": _check_boolean,
        "checksum": _text_or_null(32),
        "os_hash_algo": _text_or_null(64),
        "os_hash_value": _text_or_null(128),
        "owner": _text_or_null(LONGEST_NAME),
        "size": _check_integer_or_null,
        "virtual_size": _check_integer_or_null,
        "tags": _check_tags,
        "min_ram": _check_integer,
        "min_disk": _check_integer,
        "locations": _check_locations,
    },
)

ATTRIBUTES = frozenset(_CHECKS) | {"disk_format", "container_format", "created_at", "updated_at"}
"""The names that are not custom properties."""
