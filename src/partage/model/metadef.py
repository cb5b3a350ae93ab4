"""Metadata definitions as values: namespaces, definitions, and associations with resource types.

Objects, properties and tags are stored alike: a name in a namespace and a document. Source: Image API v2, "Metadata definitions".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from partage import problems
from partage.model import metadef_schemas
from partage.model.ids import ProjectID

_TIMES = ("created_at", "updated_at")
_READ_ONLY = {"namespace": ("self", "schema", *_TIMES), "object": ("self", "schema", *_TIMES)}
"""Read-only attributes of the documents of each schema; of the other schemas, only the times."""
_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")


class DefinitionKind(StrEnum):
    """The kind of a definition."""

    OBJECT = "object"
    PROPERTY = "property"
    TAG = "tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace of definitions, private to its owner or public. `name` is unique in the cloud."""

    name: str
    owner: ProjectID | None
    created_at: datetime
    updated_at: datetime
    display_name: str | None = None
    description: str | None = None
    public: bool = False
    protected: bool = False

    def require_unprotected(self, what: str) -> None:
        """Check that the namespace, and what is in it, may be deleted. `what` names it in the message.

        Raises:
            NamespaceProtected: the namespace is protected.
        """
        if self.protected:
            raise problems.NamespaceProtected(f"Metadata definition {what} is protected and cannot be deleted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """An object, a property or a tag. `document` is the client's document without the name."""

    kind: DefinitionKind
    name: str
    created_at: datetime
    updated_at: datetime
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name for lookups: a tag's name is case-folded."""
        return self.name.casefold() if self.kind is DefinitionKind.TAG else self.name

    def with_prefix(self, prefix: str) -> "Definition":
        """Return the definition with property names as on resources whose type has this prefix."""
        if self.kind is DefinitionKind.PROPERTY:
            return replace(self, name=prefix + self.name)
        if self.kind is DefinitionKind.TAG:
            return self
        document = dict(self.document)
        if "properties" in document:
            document["properties"] = {prefix + name: value for name, value in document["properties"].items()}
        if document.get("required"):
            document["required"] = [prefix + name for name in document["required"]]
        return replace(self, document=document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """The association of a namespace with a resource type."""

    resource_type: str
    created_at: datetime
    updated_at: datetime
    prefix: str | None = None
    properties_target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNamespace:
    """A request to create a namespace with definitions and associations."""

    namespace: Namespace
    owner_given: bool
    definitions: tuple[Definition, ...] = ()
    associations: tuple[Association, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def parse_namespace(document: object, *, now: datetime) -> NewNamespace:
    """Parse the document of a namespace.

    Raises:
        BodyInvalid, AttributeReadOnly: it does not match the schema, or has a read-only attribute.
    """
    given = _check(document, "namespace")
    namespace = Namespace(
        name=given["namespace"],
        owner=None if given.get("owner") is None else ProjectID(given["owner"]),
        created_at=now,
        updated_at=now,
        display_name=given.get("display_name"),
        description=given.get("description"),
        public=given.get("visibility") == "public",
        protected=given.get("protected", False),
    )
    if not namespace.name:
        raise problems.BodyInvalid("Provided object does not match schema 'namespace': '' is too short")
    objects = _parse_definitions(DefinitionKind.OBJECT, given.get("objects", ()), now)
    tags = _parse_definitions(DefinitionKind.TAG, given.get("tags", ()), now)
    properties = [_definition(DefinitionKind.PROPERTY, name, value, now) for name, value in given.get("properties", {}).items()]
    return NewNamespace(
        namespace=namespace,
        owner_given="owner" in given,
        definitions=(*objects, *tags, *properties),
        associations=tuple(_association(each, now) for each in given.get("resource_type_associations", ())),
        document=given,
    )


def parse_definition(document: object, kind: DefinitionKind, *, now: datetime) -> Definition:
    """Parse the document of an object, a property or a tag.

    Raises:
        BodyInvalid, AttributeReadOnly: as `parse_namespace`.
    """
    given = _check(document, kind.value)
    if kind is DefinitionKind.OBJECT:
        _refuse_unknown_attributes(given.get("properties", {}))
    return _parse_named(kind, given, now)


def parse_tags(document: object, *, now: datetime) -> list[Definition]:
    """Parse the document of many tags.

    Raises:
        BodyInvalid, AttributeReadOnly: as `parse_namespace`.
    """
    given = _check(document, "tags")
    if "tags" not in given:
        raise problems.BodyInvalid("Provided object does not match schema 'tags': 'tags' is a required property")
    return _parse_definitions(DefinitionKind.TAG, [metadef_schemas.check(each, "tag") for each in given["tags"]], now)


def parse_association(document: object, *, now: datetime) -> Association:
    """Parse the document of an association.

    Raises:
        BodyInvalid, AttributeReadOnly: as `parse_namespace`.
    """
    return _association(_check(document, "resource_type"), now)


def _check(document: object, schema_name: str) -> dict[str, Any]:
    for name in _READ_ONLY.get(schema_name, _TIMES):
        if isinstance(document, dict) and name in document:
            raise problems.AttributeReadOnly(f"Attribute '{name}' is read-only.")
    _refuse_four_bytes(document)
    return metadef_schemas.check(document, schema_name)


def _refuse_unknown_attributes(properties: Mapping[str, Mapping[str, Any]]) -> None:
    """Source: Glance validates an object's properties with the schema of a property, though the object's schema does not say so."""
    for name in {name for each in properties.values() for name in each} - {*metadef_schemas.PROPERTY["properties"]}:
        raise problems.BodyInvalid(
            "Provided object does not match schema 'property': "
            f"Additional properties are not allowed ('{name[:100]}' was unexpected)"
        )


def _refuse_four_bytes(value: object) -> None:
    """Source: Glance refuses such characters in names. Many databases cannot store them, so they are refused everywhere."""
    texts: Iterable[object] = ()
    if isinstance(value, str):
        if _FOUR_BYTES.search(value):
            raise problems.BodyInvalid("Metadata definitions can't contain 4 byte unicode characters.")
    elif isinstance(value, dict):
        texts = (*value.keys(), *value.values())
    elif isinstance(value, list):
        texts = value
    for each in texts:
        _refuse_four_bytes(each)


def _parse_definitions(kind: DefinitionKind, given: Iterable[Mapping[str, Any]], now: datetime) -> list[Definition]:
    """Parse definitions. Each is created a microsecond after the one before, because lists are in the order of creation."""
    return [_parse_named(kind, each, now + timedelta(microseconds=number)) for number, each in enumerate(given)]


def _parse_named(kind: DefinitionKind, given: Mapping[str, Any], now: datetime) -> Definition:
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise problems.BodyInvalid(f"Provided object does not match schema '{kind}': 'name' is a required property")
    return _definition(kind, name, {key: value for key, value in given.items() if key != "name"}, now)


def _definition(kind: DefinitionKind, name: str, document: Mapping[str, Any], now: datetime) -> Definition:
    if len(name) > metadef_schemas.LONGEST_NAME:
        raise problems.BodyInvalid(f"Provided object does not match schema '{kind}': '{name[:100]}' is too long")
    return Definition(kind=kind, name=name, document=document, created_at=now, updated_at=now)


def _association(given: Mapping[str, Any], now: datetime) -> Association:
    name = given.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= metadef_schemas.LONGEST_NAME:
        raise problems.BodyInvalid(
            "Provided object does not match schema 'resource_type_association': it needs a 'name' of at most 80 characters"
        )
    return Association(
        resource_type=name,
        prefix=given.get("prefix"),
        properties_target=given.get("properties_target"),
        created_at=now,
        updated_at=now,
    )
