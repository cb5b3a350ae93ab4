"""Builds the OpenAPI document of an API from its route table, its descriptions and its JSON schemas.

Source: OpenAPI Specification 3.1.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from partage.http import errors
from partage.http.routing import Body, Row

Part = dict[str, Any]

_SCHEMA = "#/components/schemas/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One route. `takes` and `gives` map media types to names of schemas; `query` and `headers` name parameters.

    `also` are further success statuses, `fails` error statuses that do not follow from the route. `tells` names headers of the
    success. `names` maps parameters of longer paths to runtime expressions that find them in the answer.
    """

    takes: Mapping[str, str] = field(default_factory=dict)
    gives: Mapping[str, str] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    also: tuple[int, ...] = ()
    fails: tuple[int, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    located: bool = False
    tells: tuple[str, ...] = ()
    succeeds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class API:
    """The parts of an API's document that are not in its route table.

    `descriptions` are by method and path, `schemas` and `parameters` by the names that descriptions use; `failure` maps media types
    to the schema of an error.
    """

    prefix: str
    title: str
    version: str
    about: str
    descriptions: Mapping[str, Description]
    schemas: Mapping[str, Part]
    parameters: Mapping[str, Part]
    failure: Mapping[str, Part]

    def description_of(self, row: Row) -> Description:
        """Find the description of a route. A test fails if there is none; the service starts without it."""
        return self.descriptions.get(f"{row.method} {row.path}", Description())


def build_document(api: API, rows: Iterable[Row]) -> Part:
    """Describe these routes."""
    listed = tuple(rows)
    paths: dict[str, Part] = {}
    for row in listed:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(api, row, listed)
    responses = [
        response for operations in paths.values() for each in operations.values() for response in each["responses"].items()
    ]
    statuses = {status for status, _response in responses}
    failures = {str(kind.status.value): _failure(kind, api.failure) for kind in errors.KINDS.values()}
    failures = {status: failure for status, failure in failures.items() if status in statuses}
    shown = {name for each in (*failures.values(), *(each for _status, each in responses)) for name in each.get("headers", ())}
    return {
        "openapi": "3.1.0",
        "info": {"title": api.title, "version": api.version, "description": api.about},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": dict(api.schemas),
            "parameters": dict(api.parameters),
            "headers": {name: header for name, header in _HEADERS.items() if name in shown},
            "responses": failures,
        },
    }


def _operation(api: API, row: Row, rows: tuple[Row, ...]) -> Part:
    description = api.description_of(row)
    written: Part = {
        "operationId": _operation_id(api, row),
        "summary": (row.handler.__doc__ or "").partition("\n")[0],
        "description": f"Policy rule: `{row.rule}`." if row.rule else "Open to every valid token.",
        "tags": [_path_below_prefix(api, row).split("/")[1]],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _parameters(row, description)],
        "responses": _responses(api, row, description, rows),
    }
    if description.takes:
        written["requestBody"] = {"required": True, "content": _content(description.takes)}
    return written


def _path_below_prefix(api: API, row: Row) -> str:
    return row.path.removeprefix(api.prefix)


def _operation_id(api: API, row: Row) -> str:
    return row.method.lower() + _path_below_prefix(api, row).replace("/", "_").replace("{", "").replace("}", "")


def _parameters(row: Row, description: Description) -> list[str]:
    known = ("If-None-Match",) if row.method == "GET" else ()
    return [*(f"path.{name}" for name in parts_of(row.path)), *description.query, *description.headers, *known]


def parts_of(path: str) -> tuple[str, ...]:
    """Name the parameters of a path."""
    return tuple(part.strip("{}") for part in path.split("/") if part.startswith("{"))


def _responses(api: API, row: Row, description: Description, rows: tuple[Row, ...]) -> Part:
    found: Part = {}
    if description.succeeds:
        found[str(row.status.value)] = _success(api, row, description, rows)
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


def _success(api: API, row: Row, description: Description, rows: tuple[Row, ...]) -> Part:
    written: Part = {"description": row.status.phrase, "headers": _headers("X-Openstack-Request-Id")}
    if description.gives:
        written["content"] = _content(description.gives)
        if row.method == "GET":
            written["headers"] |= _headers("ETag")
    if description.located:
        written["headers"] |= _headers("Location")
    written["headers"] |= _headers(*description.tells)
    links = {
        _operation_id(api, each): _link(api, each, description.names) for each in rows if _leads_on(row, each, description.names)
    }
    return {**written, "links": links} if links else written


def _other_success(status: int, description: Description) -> Part:
    written: Part = {"description": HTTPStatus(status).phrase, "headers": _headers("X-Openstack-Request-Id")}
    if status == HTTPStatus.PARTIAL_CONTENT:
        written["content"] = _content(description.gives)
        written["headers"] |= _headers("Content-Range")
    return written


def _leads_on(row: Row, other: Row, names: Mapping[str, str]) -> bool:
    return other.path.startswith(f"{row.path}/") and set(parts_of(other.path)) <= set(names)


def _link(api: API, row: Row, names: Mapping[str, str]) -> Part:
    return {"operationId": _operation_id(api, row), "parameters": {name: names[name] for name in parts_of(row.path)}}


def _content(schemas_by_type: Mapping[str, str]) -> Part:
    return {media_type: {"schema": {"$ref": _SCHEMA + name}} for media_type, name in schemas_by_type.items()}


def _failure(kind: errors.Kind, content: Mapping[str, Part]) -> Part:
    headers = {
        HTTPStatus(401): "WWW-Authenticate",
        HTTPStatus(405): "Allow",
        HTTPStatus(429): "Retry-After",
        HTTPStatus(503): "Retry-After",
    }
    return {
        "description": kind.title,
        "headers": _headers("X-Openstack-Request-Id", *([headers[kind.status]] if kind.status in headers else [])),
        "content": dict(content),
    }


def _headers(*names: str) -> Part:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_HEADERS: Mapping[str, Part] = {
    name: {"required": True, "schema": {"type": "string"}, "description": words}
    for name, words in {
        "X-Openstack-Request-Id": "The id of the request in the operator's log",
        "ETag": "Identifies this representation",
        "Location": "The URL of the created resource",
        "Upload-Offset": "How many bytes of the image data are stored",
        "Upload-Complete": "?1: the response is that to the image data as a whole; ?0: the upload is unfinished",
        "Upload-Limit": "max-size: the largest image, in bytes; max-age: seconds until the upload expires",
        "Content-Range": "The range of these bytes, and the total size",
        "WWW-Authenticate": "Where to get a token",
        "Allow": "The methods of this path",
        "Retry-After": "Seconds until a retry may succeed",
    }.items()
}
