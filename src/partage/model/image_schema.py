"""The operator's schemas of custom properties: permitted values, and properties that every new image must have.

Source: Glance's `schema-image.json`, in both of its forms: a mapping from names to JSON schemas, or an object with such a mapping
as `properties` and a list of names as `required`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from partage import problems

Schema = dict[str, Any]

_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class PropertySchemas:
    """JSON schemas of custom properties by name, and the names that the document of a new image must have."""

    by_name: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Validate a value against the property's schema.

        Raises:
            BodyInvalid: the value does not match.
        """
        schema = self.by_name.get(name)
        fault = None if schema is None else next(jsonschema.Draft4Validator(schema).iter_errors(value), None)
        if fault is not None:
            raise problems.BodyInvalid(f"Provided object does not match schema 'image': {fault.message[:_SHOWN_CHARACTERS]}")

    def require(self, names: Mapping[str, object]) -> None:
        """Check that the document of a new image has every required property.

        Raises:
            BodyInvalid: one is missing.
        """
        for name in self.required:
            if name not in names:
                raise problems.BodyInvalid(f"Provided object does not match schema 'image': '{name}' is a required property")


def parse(document: object) -> PropertySchemas:
    """Parse the operator's document.

    Raises:
        Invalid: it has neither form, or no image could match it.
    """
    if not isinstance(document, dict):
        raise problems.Invalid("it must be a JSON object that maps names of properties to their schemas")
    extended = "properties" in document
    schemas = document["properties"] if extended else document
    required = document.get("required") or [] if extended else []
    if not isinstance(schemas, dict) or not isinstance(required, list) or not all(isinstance(each, str) for each in required):
        raise problems.Invalid("'properties' must map names to schemas, and 'required' must be a list of names")
    for name, schema in schemas.items():
        _require_sound(name, schema)
    return PropertySchemas(by_name=dict(schemas), required=tuple(required))


def _require_sound(name: str, schema: object) -> None:
    if not isinstance(schema, dict):
        raise problems.Invalid(f"the schema of '{name}' must be a JSON object")
    try:
        jsonschema.Draft4Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise problems.Invalid(f"the schema of '{name}' is not a JSON schema: {error.message[:_SHOWN_CHARACTERS]}") from error
    kinds = schema.get("type", "string")
    if "string" not in ([kinds] if isinstance(kinds, str) else kinds):
        raise problems.Invalid(f"the schema of '{name}' must allow the type string: custom properties are text")
