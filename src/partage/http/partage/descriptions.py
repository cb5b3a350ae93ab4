"""What the table of routes does not say of a route of the sharing API, for its OpenAPI document. One row for each route."""

from collections.abc import Mapping

from partage.http.openapi import Description, Part

DESCRIPTIONS: Mapping[str, Description] = {}

_PROBLEM: Part = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
SCHEMAS: Mapping[str, Part] = {"problem": _PROBLEM}
PARAMETERS: Mapping[str, Part] = {}
