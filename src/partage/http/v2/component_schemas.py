"""Schemas and parameters for the OpenAPI document only: requests, small answers, queries and headers.

The JSON schemas that clients can fetch are in `schemas.py` and `model/metadef_schemas.py`; the document contains them too.
"""

from typing import Any

from partage.model.document import (
    DISALLOWED,
    DROPPED,
    LARGEST_INTEGER,
    LONGEST_NAME,
    LONGEST_VALUE,
    RESERVED,
    RESERVED_PREFIX,
    SERVICE_OWNED,
    STATUSES,
    VISIBILITIES,
)
from partage.model.import_request import ImportMethod
from partage.model.location import DIGEST_BYTES
from partage.model.member import MemberStatus
from partage.model.metadef_schemas import BY_NAME
from partage.model.metadef_schemas import LONGEST_NAME as LONGEST_METADEF_NAME
from partage.model.query import SORT_ATTRIBUTES
from partage.model.task import TaskStatus, TaskType

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_METADEF_NAME}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_NUMBER: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_SECONDS: Schema = {"type": "number", "description": "Seconds since 1970-01-01 UTC"}
_UNSET: Schema = {"type": ["string", "null"]}
_PRUNED = ("total_files_pruned", "total_bytes_pruned")
_WORD: Schema = {"type": "string", "enum": ["true"]}
_MOMENT = "ISO 8601, with `gt:`, `gte:`, `lt:`, `lte:`, `eq:` or `neq:` before it"
_LISTED = 'A value, `eq:value`, or `in:value,"value, with comma"`'
_DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]+$", "maxLength": 128}


def request_schemas() -> dict[str, Schema]:
    """Build the schemas of documents that clients send."""
    path = {"type": "string", "pattern": "^/", "examples": ["/name", "/colour", "/tags"]}
    return {
        "image_patch": _list(
            {
                "type": "object",
                "properties": {"op": {"enum": ["add", "replace", "remove"]}, "path": path, "value": {}},
                "required": ["op", "path"],
            }
        ),
        "image_patch_2_0": _list(
            {
                "type": "object",
                "oneOf": [{"properties": {name: path, "value": {}}, "required": [name]} for name in ("add", "replace", "remove")],
            }
        ),
        "new_member": _object({"member": _ID}, "member"),
        "member_answer": _object({"status": {"enum": [each.value for each in MemberStatus]}}, "status"),
        "import_request": _import_request(),
        "new_location": _object({"url": _TEXT, "validation_data": _validation_data()}, "url"),
        "new_task": _new_task(),
        "new_tags": _object({"tags": _list(_object({"name": _NAME}, "name"))}, "tags"),
    }


def answer_schemas() -> dict[str, Schema]:
    """Build the schemas of answers."""
    store = {"id": _TEXT, "description": _TEXT, "default": _WORD, "read-only": _WORD}
    detail = {**store, "type": _TEXT, "weight": _NUMBER, "properties": {"type": "object"}}
    usage = {"type": "object", "additionalProperties": _object({"usage": _NUMBER, "limit": _NUMBER}, "usage", "limit")}
    cached = {
        "image_id": _ID,
        "hits": _NUMBER,
        "last_accessed": _SECONDS,
        "last_modified": _SECONDS,
        "size": _NUMBER,
        "checksum": _UNSET,
    }
    methods = {"description": _TEXT, "type": {"const": "array"}, "value": _list({"enum": [each.value for each in ImportMethod]})}
    return {
        "error": _object({"message": _TEXT, "code": _TEXT, "title": _TEXT}, "message", "code", "title"),
        "wrapped_error": _object({"error": {"$ref": "#/components/schemas/error"}}, "error"),
        "octets": {"type": "string", "format": "binary"},
        "schema": _object({"name": _TEXT, "properties": {"type": "object"}}, "name", "properties"),
        "import_methods": _object({"import-methods": _object(methods, *methods)}, "import-methods"),
        "stores": _object({"stores": _list(_object(store, "id"))}, "stores"),
        "stores_detail": _object({"stores": _list(_object(detail, "id", "type", "weight", "properties"))}, "stores"),
        "usage": _object({"usage": usage}, "usage"),
        "cache": _object(
            {"cached_images": _list(_object(cached, *cached)), "queued_images": _list(_ID)}, "cached_images", "queued_images"
        ),
        "cache_pruned": _object(dict.fromkeys(_PRUNED, _NUMBER), *_PRUNED),
        "cache_nodes": _list(_TEXT),
        "locations": _list(_object({"url": _TEXT, "metadata": {"type": "object"}}, "url", "metadata")),
        "tasks_of_image": _object({"tasks": _list(_object({"id": _ID, "type": _TEXT, "status": _TEXT}, "id"))}, "tasks"),
        "all_resource_types": _object({"resource_types": _list({"$ref": "#/components/schemas/resource_type"})}, "resource_types"),
        # The served schema requires a name in each property, but answers have none, as in Glance.
        "properties": _object({"properties": {"$ref": "#/components/schemas/namespace.property"}}, "properties"),
    }


def new_image(image: Schema) -> Schema:
    """Build the schema of a new image from that of an image: without read-only attributes, limited to values that can be stored."""
    refused = {*DISALLOWED, *DROPPED, *SERVICE_OWNED, *RESERVED}
    storable = {"pattern": "^[\\u0001-\\uffff]*$"}
    number = {"minimum": 0, "maximum": LARGEST_INTEGER}
    further: dict[str, Schema] = {
        "min_ram": number,
        "min_disk": number,
        "name": storable,
        "owner": storable,
        "tags": {"items": {**_TEXT, **storable, "maxLength": LONGEST_NAME}},
    }
    return {
        "type": "object",
        "properties": {
            name: {**each, **further.get(name, {})} for name, each in image["properties"].items() if name not in refused
        },
        "additionalProperties": {**_TEXT, **storable, "maxLength": LONGEST_VALUE},
        "propertyNames": {
            **storable,
            "maxLength": LONGEST_NAME,
            "not": {"pattern": f"^({'|'.join(sorted(refused))})$|^{RESERVED_PREFIX}"},
        },
    }


def parameters() -> dict[str, Schema]:
    """Build the parameters, by the names that descriptions use."""
    query = {**_page_parameters(), **_filters(), **_other_queries()}
    return {**{name: {"in": "query", "name": name, **given} for name, given in query.items()}, **_headers(), **_path()}


def _page_parameters() -> dict[str, Schema]:
    return {
        "limit": {"schema": {"type": "integer", "minimum": 0}, "description": "The maximum number of items in the page"},
        "marker": {"schema": _ID, "description": "The id or name of the last item of the previous page; prefer the link `next`"},
        "sort_key": {"schema": _TEXT, "description": "The attribute to sort by"},
        "sort_dir": {"schema": {"type": "string", "enum": ["asc", "desc"]}, "description": "The sort direction"},
        "sort": {"schema": _TEXT, "description": f"`key:asc,key:desc`, keys of {', '.join(SORT_ATTRIBUTES)}"},
    }


def _filters() -> dict[str, Schema]:
    numbers = ("size", "virtual_size", "min_ram", "min_disk")
    bounds = tuple(f"{name}_{end}" for name in ("size", "min_ram", "min_disk") for end in ("min", "max"))
    return {
        "visibility": {"schema": {"type": "string", "enum": [*VISIBILITIES, "all"]}},
        "member_status": {"schema": {"type": "string", "enum": [*(each.value for each in MemberStatus), "all"]}},
        **{name: {"schema": _TEXT, "description": _LISTED} for name in ("name", "id", "container_format", "disk_format")},
        "status": {"schema": {"type": "string", "examples": list(STATUSES)}, "description": _LISTED},
        **{
            name: {"schema": {**_TEXT, "examples": ["gt:2026-01-01"]}, "description": _MOMENT}
            for name in ("created_at", "updated_at")
        },
        **{name: {"schema": _NUMBER} for name in (*numbers, *bounds)},
        **{name: {"schema": _TEXT} for name in ("owner", "checksum", "os_hash_algo", "os_hash_value")},
        **{name: {"schema": _FLAG} for name in ("protected", "os_hidden")},
        "tag": {"schema": _list(_TEXT), "description": "The image has all of these tags"},
        "custom_properties": {
            "schema": {"type": "object", "additionalProperties": _TEXT},
            "style": "form",
            "explode": True,
            "description": "Any other name filters by the custom property of that name",
        },
    }


def _other_queries() -> dict[str, Schema]:
    return {
        "prefer": {"schema": _TEXT, "description": "Stores to download from, the preferred one first"},
        "task_status": {"name": "status", "schema": {"type": "string", "enum": [each.value for each in TaskStatus]}},
        "task_type": {"name": "type", "schema": {"type": "string", "enum": [each.value for each in TaskType]}},
        "namespace_visibility": {"name": "visibility", "schema": {"type": "string", "enum": ["public", "private"]}},
        "resource_types": {"schema": _TEXT, "description": "Resource types, separated by commas"},
        "resource_type": {"schema": _TEXT, "description": "Add the prefix of this resource type to the names of properties"},
    }


def _headers() -> dict[str, Schema]:
    size = {"type": "integer", "minimum": 0}
    given = {
        "Range": {"schema": {"type": "string", "examples": ["bytes=0-1"]}, "description": "One range of bytes"},
        "If-Range": {"schema": _TEXT, "description": "The range applies only if this is the current ETag"},
        "If-None-Match": {"schema": _TEXT, "description": "ETags of the answers in the client's cache"},
        "X-OpenStack-Image-Size": {"schema": size, "description": "The size of the image data in bytes"},
        "X-Image-Meta-Store": {"schema": {"type": "string", "minLength": 1}, "description": "The id of the store to use"},
        "X-Image-Cache-Clear-Target": {
            "schema": {"type": "string", "enum": ["", "cache", "queue"]},
            "description": "What to clear; empty clears both",
        },
        "X-Openstack-Append": {"schema": _FLAG, "description": "Whether to keep the existing tags"},
    }
    return {name: {"in": "header", "name": name, **each} for name, each in given.items()}


def _path() -> dict[str, Schema]:
    given = {
        **dict.fromkeys(("image_id", "member_id", "tag", "store_id", "task_id"), _ID),
        **dict.fromkeys(("namespace", "name"), _NAME),
        "schema": {"type": "string", "enum": list(BY_NAME)},
    }
    return {f"path.{name}": {"in": "path", "name": name, "required": True, "schema": each} for name, each in given.items()}


def _import_request() -> Schema:
    fields: dict[ImportMethod, Schema] = {
        ImportMethod.GLANCE_DIRECT: {},
        ImportMethod.WEB_DOWNLOAD: {"uri": {"type": "string", "format": "uri"}},
        ImportMethod.COPY_IMAGE: {},
        ImportMethod.GLANCE_DOWNLOAD: {
            "glance_region": {"type": "string", "minLength": 1},
            "glance_image_id": {"type": "string", "format": "uuid"},
        },
    }
    optional = {ImportMethod.GLANCE_DOWNLOAD: {"glance_service_interface": {"type": "string", "minLength": 1}}}
    methods = [
        _object({"name": {"const": name.value}, **given, **optional.get(name, {})}, "name", *given)
        for name, given in fields.items()
    ]
    return _object(
        {
            "method": {"oneOf": methods},
            "stores": {**_list(_TEXT), "minItems": 1},
            "all_stores": _FLAG,
            "all_stores_must_succeed": _FLAG,
        },
        "method",
    )


def _validation_data() -> Schema:
    return {
        **_object({"os_hash_algo": {"enum": list(DIGEST_BYTES)}, "os_hash_value": _DIGEST}, "os_hash_algo", "os_hash_value"),
        "additionalProperties": False,
    }


def _new_task() -> Schema:
    given = {"import_from": _TEXT, "import_from_format": _TEXT, "image_properties": {"$ref": "#/components/schemas/image"}}
    return _object({"type": {"const": TaskType.IMPORT.value}, "input": _object(given, *given)}, "type", "input")


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}
