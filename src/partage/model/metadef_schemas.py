"""The JSON schemas of metadata definitions, by which documents are checked and which clients fetch.

Content as Glance 33 gives it, words included: `glance md-...` and Horizon build their forms from them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema

from partage import problems

Schema = dict[str, Any]

LONGEST_NAME = 80

_NAME: Schema = {"type": "string", "maxLength": LONGEST_NAME}
_TEXT: Schema = {"type": "string"}
_READ_ONLY: Schema = {"readOnly": True, "type": "string"}
_TYPES = ["array", "boolean", "integer", "number", "object", "string", None]
_TYPE: Schema = {"type": "string", "enum": _TYPES}
_STRINGS: Schema = {"$ref": "#/definitions/stringArray"}
_PROPERTIES: Schema = {"$ref": "#/definitions/property"}
_COUNT: Schema = {"$ref": "#/definitions/positiveInteger"}
_COUNT_OR_0: Schema = {"$ref": "#/definitions/positiveIntegerDefault0"}

_BASIC: Schema = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [{"$ref": "#/definitions/positiveInteger"}, {"default": 0}]},
    "stringArray": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
}

_PROPERTY: Schema = {
    "name": _NAME,
    "title": _TEXT,
    "description": _TEXT,
    "operators": {"type": "array", "items": {"type": "string"}},
    "type": _TYPE,
    "required": _STRINGS,
    "minimum": {"type": "number"},
    "maximum": {"type": "number"},
    "maxLength": _COUNT,
    "minLength": _COUNT_OR_0,
    "pattern": {"type": "string", "format": "regex"},
    "enum": {"type": "array"},
    "readonly": {"type": "boolean"},
    "default": {},
    "items": {"type": "object", "properties": {"type": _TYPE, "enum": {"type": "array"}}},
    "maxItems": _COUNT,
    "minItems": _COUNT_OR_0,
    "uniqueItems": {"type": "boolean", "default": False},
    "additionalItems": {"type": "boolean"},
}

_DEFINITIONS: Schema = {
    **_BASIC,
    "property": {
        "type": "object",
        "additionalProperties": {"type": "object", "required": ["title", "type"], "properties": _PROPERTY},
    },
}


def _times(created: str, updated: str) -> Schema:
    return {
        name: {"type": "string", "readOnly": True, "description": f"Date and time of {words}", "format": "date-time"}
        for name, words in (("created_at", created), ("updated_at", updated))
    }


def _schema(name: str, properties: Schema, *, required: list[str], definitions: Schema | None = None) -> Schema:
    written: Schema = {"name": name, "properties": properties, "additionalProperties": False, "required": required}
    return written if definitions is None else {**written, "definitions": definitions}


NAMESPACE = _schema(
    "namespace",
    {
        "namespace": {"type": "string", "description": "The unique namespace text.", "maxLength": 80},
        "display_name": {
            "type": "string",
            "description": "The user friendly name for the namespace. Used by UI if available.",
            "maxLength": 80,
        },
        "description": {
            "type": "string",
            "description": "Provides a user friendly description of the namespace.",
            "maxLength": 500,
        },
        "visibility": {"type": "string", "description": "Scope of namespace accessibility.", "enum": ["public", "private"]},
        "protected": {"type": "boolean", "description": "If true, namespace will not be deletable."},
        "owner": {"type": "string", "description": "Owner of the namespace.", "maxLength": 255},
        **_times("namespace creation", "the last namespace modification"),
        "schema": _READ_ONLY,
        "self": _READ_ONLY,
        "resource_type_associations": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": _TEXT, "prefix": _TEXT, "properties_target": _TEXT}},
        },
        "properties": _PROPERTIES,
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": _TEXT, "description": _TEXT, "required": _STRINGS, "properties": _PROPERTIES},
            },
        },
        "tags": {"type": "array", "items": {"type": "object", "properties": {"name": _TEXT}}},
    },
    required=["namespace"],
    definitions=_DEFINITIONS,
)

OBJECT = _schema(
    "object",
    {
        "name": _NAME,
        "description": _TEXT,
        "required": _STRINGS,
        "properties": _PROPERTIES,
        "schema": _READ_ONLY,
        "self": _READ_ONLY,
        **_times("object creation", "the last object modification"),
    },
    required=["name"],
    definitions=_DEFINITIONS,
)

_OF_ONE: Schema = {**_BASIC, "stringArray": {**_BASIC["stringArray"], "minItems": 1}}
PROPERTY = _schema("property", _PROPERTY, required=["type", "title", "name"], definitions=_OF_ONE)

TAG = _schema("tag", {"name": _NAME, **_times("tag creation", "the last tag modification")}, required=["name"])

ASSOCIATION = _schema(
    "resource_type_association",
    {
        "name": {
            "type": "string",
            "description": (
                "Resource type names should be aligned with Heat resource types whenever possible: "
                "https://docs.openstack.org/heat/latest/template_guide/openstack.html"
            ),
            "maxLength": 80,
        },
        "prefix": {
            "type": "string",
            "description": (
                "Specifies the prefix to use for the given resource type. Any properties in the namespace should be prefixed with "
                "this prefix when being applied to the specified resource type. Must include prefix separator (e.g. a colon :)."
            ),
            "maxLength": 80,
        },
        "properties_target": {
            "type": "string",
            "description": (
                "Some resource types allow more than one key / value pair per instance.  For example, Cinder allows user and image "
                "metadata on volumes. Only the image properties metadata is evaluated by Nova (scheduling or drivers). This "
                "property allows a namespace target to remove the ambiguity."
            ),
            "maxLength": 80,
        },
        **_times("resource type association", "the last resource type association modification"),
    },
    required=["name"],
)


def _collection(name: str, member: Schema, *, member_name: str | None = None) -> Schema:
    """Return the schema of a list. The definitions of its members are at the top level, where references find them."""
    shown = {key: value for key, value in member.items() if key != "definitions"}
    written: Schema = {
        "name": name,
        "properties": {
            member_name or name: {"type": "array", "items": shown},
            "first": _TEXT,
            "next": _TEXT,
            "schema": _TEXT,
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
    return {**written, "definitions": member["definitions"]} if "definitions" in member else written


NAMESPACES = _collection("namespaces", NAMESPACE)
OBJECTS = _collection("objects", OBJECT)
TAGS = _collection("tags", TAG)
ASSOCIATIONS = _collection("resource_type_associations", ASSOCIATION)
PROPERTIES: Schema = {
    "name": "properties",
    "properties": {
        "properties": {
            "type": "object",
            # In this list the name is the property's key, not one of its members.
            "additionalProperties": {
                **{key: value for key, value in PROPERTY.items() if key != "definitions"},
                "required": [each for each in PROPERTY["required"] if each != "name"],
            },
        },
        "first": _TEXT,
        "next": _TEXT,
        "schema": _TEXT,
    },
    "definitions": _OF_ONE,
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}

BY_NAME: Mapping[str, Schema] = {
    "namespace": NAMESPACE,
    "namespaces": NAMESPACES,
    "resource_type": ASSOCIATION,
    "resource_types": ASSOCIATIONS,
    "property": PROPERTY,
    "properties": PROPERTIES,
    "object": OBJECT,
    "objects": OBJECTS,
    "tag": TAG,
    "tags": TAGS,
}
"""The schemas by the last part of their paths."""


def check(document: object, schema_name: str) -> dict[str, Any]:
    """Validate a document with the schema of that name, and return it.

    Raises:
        BodyInvalid: it does not fit.
    """
    label = BY_NAME[schema_name]["name"]
    if not isinstance(document, dict):
        raise problems.BodyInvalid(f"Provided object does not match schema '{label}': the body must be a JSON object")
    fault = next(iter(_validator(schema_name).iter_errors(document)), None)
    if fault is not None:
        raise problems.BodyInvalid(f"Provided object does not match schema '{label}': {fault.message[:300]}")
    return document


@cache
def _validator(name: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(BY_NAME[name])
