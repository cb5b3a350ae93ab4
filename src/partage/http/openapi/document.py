"""The OpenAPI document of all that is below `/v2`, made of the table of routes, what describes them, and schemas that are served.

It is ours, so it lies outside of what is Glance's. It says nothing of images or projects, so that nobody needs a token for it.

Source: OpenAPI Specification 3.1.1.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from partage.http import errors
from partage.http.messages import Reply
from partage.http.openapi import component_schemas
from partage.http.openapi.descriptions import DESCRIPTIONS, Description
from partage.http.v2 import discovery, schemas, wire
from partage.http.v2.routes import Body, Row
from partage.model import metadef_schemas
from partage.model.document import KnownFormats

PATH = "/partage/v1/openapi/image-api-v2.json"

Part = dict[str, Any]

_JSON = "application/json"
_SCHEMA = "#/components/schemas/"
_DEFINITION = "#/definitions/"
_ABOUT = (
    "The OpenStack Image API v2 as Partage serves it. Every version that `GET /` lists is a prefix as good as `/v2`; HEAD is "
    "answered wherever GET is. What users may see depends on who they are: what is not theirs to see is 404."
)


def document(rows: Iterable[Row], formats: KnownFormats) -> Part:
    """Describe these routes."""
    listed = tuple(rows)
    paths: dict[str, Part] = {}
    for row in listed:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, listed)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Image API v2", "version": next(iter(discovery.FEATURES)), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": _schemas(formats),
            "parameters": component_schemas.parameters(),
            "headers": _HEADERS,
            "responses": {str(kind.status.value): _failure(kind) for kind in errors.KINDS.values()},
        },
    }


def reply(rows: Iterable[Row], formats: KnownFormats) -> Reply:
    """Make the reply that carries the document, with a strong ETag. It is the same for everybody and for ever."""
    return wire.reply(document(rows, formats))


def description_of(row: Row) -> Description:
    """Find what is said of a route. One of which nothing is said is a failing test, and no reason not to start."""
    return DESCRIPTIONS.get(f"{row.method} {row.path}", Description())


def _operation(row: Row, rows: tuple[Row, ...]) -> Part:
    description = description_of(row)
    written: Part = {
        "operationId": _operation_id(row),
        "summary": (row.handler.__doc__ or "").partition("\n")[0],
        "description": f"Policy rule: `{row.rule}`." if row.rule else "Open to every valid token.",
        "tags": [row.path.split("/")[2]],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _parameters(row, description)],
        "responses": _responses(row, description, rows),
    }
    if description.takes:
        written["requestBody"] = {"required": True, "content": _content(description.takes)}
    return written


def _operation_id(row: Row) -> str:
    return row.method.lower() + row.path.removeprefix("/v2").replace("/", "_").replace("{", "").replace("}", "")


def _parameters(row: Row, description: Description) -> list[str]:
    known = ("If-None-Match",) if row.method == "GET" else ()
    return [*(f"path.{name}" for name in parts_of(row.path)), *description.query, *description.headers, *known]


def parts_of(path: str) -> tuple[str, ...]:
    """Name the parameters of a path."""
    return tuple(part.strip("{}") for part in path.split("/") if part.startswith("{"))


def _responses(row: Row, description: Description, rows: tuple[Row, ...]) -> Part:
    found: Part = {}
    if description.succeeds:
        found[str(row.status.value)] = _success(row, description, rows)
    cached = {304} if row.method == "GET" else set()
    for status in sorted(cached.union(description.also)):
        found[str(status)] = _other_success(status, description)
    for status in sorted(_failures(row, description)):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _failures(row: Row, description: Description) -> set[int]:
    found = {400, 401, 503, *description.fails}
    if row.rule is not None:
        found.add(403)
    if "{" in row.path:
        found.add(404)
    if row.body is Body.TAKEN and row.method != "GET":
        found |= {408, 413}
    return found


def _success(row: Row, description: Description, rows: tuple[Row, ...]) -> Part:
    written: Part = {"description": row.status.phrase, "headers": _headers("X-Openstack-Request-Id")}
    if description.gives:
        written["content"] = _content(description.gives)
        if row.method == "GET":
            written["headers"] |= _headers("ETag")
    if description.located:
        written["headers"] |= _headers("Location")
    links = {_operation_id(each): _link(each, description.names) for each in rows if _leads_on(row, each, description.names)}
    return {**written, "links": links} if links else written


def _other_success(status: int, description: Description) -> Part:
    written: Part = {"description": HTTPStatus(status).phrase, "headers": _headers("X-Openstack-Request-Id")}
    if status == HTTPStatus.PARTIAL_CONTENT:
        written["content"] = _content(description.gives)
        written["headers"] |= _headers("Content-Range")
    return written


def _leads_on(row: Row, other: Row, names: Mapping[str, str]) -> bool:
    return other.path.startswith(f"{row.path}/") and set(parts_of(other.path)) <= set(names)


def _link(row: Row, names: Mapping[str, str]) -> Part:
    return {"operationId": _operation_id(row), "parameters": {name: names[name] for name in parts_of(row.path)}}


def _content(schemas_by_type: Mapping[str, str]) -> Part:
    return {media_type: {"schema": {"$ref": _SCHEMA + name}} for media_type, name in schemas_by_type.items()}


def _failure(kind: errors.Kind) -> Part:
    text = {"schema": {"type": "string"}}
    documents = [{"$ref": f"{_SCHEMA}{name}"} for name in ("error", "wrapped_error")]
    headers = {HTTPStatus.UNAUTHORIZED: "WWW-Authenticate", HTTPStatus.METHOD_NOT_ALLOWED: "Allow", HTTPStatus(503): "Retry-After"}
    return {
        "description": kind.title,
        "headers": _headers("X-Openstack-Request-Id", *([headers[kind.status]] if kind.status in headers else [])),
        "content": {"text/html": text, _JSON: {"schema": {"oneOf": documents}}, "text/plain": text},
    }


def _headers(*names: str) -> Part:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_HEADERS: Mapping[str, Part] = {
    name: {"required": True, "schema": {"type": "string"}, "description": words}
    for name, words in {
        "X-Openstack-Request-Id": "By which the operator finds the request in the log",
        "ETag": "Names this representation by its bytes",
        "Location": "Where what was made is",
        "Content-Range": "Which bytes these are, and how many there are in all",
        "WWW-Authenticate": "Where to get a token",
        "Allow": "The methods that there are",
        "Retry-After": "Seconds until a retry may succeed",
    }.items()
}


def _schemas(formats: KnownFormats) -> Part:
    served = {
        "image": schemas.image_schema(formats),
        "images": schemas.images_schema(formats),
        "member": schemas.member_schema(),
        "members": schemas.members_schema(),
        "task": schemas.task_schema(),
        "tasks": schemas.tasks_schema(),
        **metadef_schemas.BY_NAME,
    }
    found: Part = {**component_schemas.request_schemas(), **component_schemas.answer_schemas()}
    found["new_image"] = component_schemas.new_image(served["image"])
    for name, schema in served.items():
        if name in found:
            continue
        own = {key: value for key, value in schema.items() if key not in ("definitions", "name", "links")}
        found[name] = {"type": "object", **_at_home(own, name)}
        found |= {f"{name}.{part}": _at_home(value, name) for part, value in schema.get("definitions", {}).items()}
    return found


def _at_home(value: Any, name: str) -> Any:
    """Let a schema's references to its own definitions lead to where those are in this document."""
    if isinstance(value, dict):
        return {
            key: f"{_SCHEMA}{name}.{each.removeprefix(_DEFINITION)}"
            if key == "$ref" and isinstance(each, str)
            else _at_home(each, name)
            for key, each in value.items()
        }
    return [_at_home(each, name) for each in value] if isinstance(value, list | tuple) else value
