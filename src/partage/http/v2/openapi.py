"""The OpenAPI document of the Image API. It contains no image and no project, so it needs no token."""

from typing import Any

from partage.http import openapi
from partage.http.messages import Reply, json_reply
from partage.http.v2 import component_schemas, discovery, schemas
from partage.http.v2.descriptions import DESCRIPTIONS
from partage.http.v2.paths import PREFIX
from partage.http.v2.routes import ROWS
from partage.model import metadef_schemas
from partage.model.document import KnownFormats

_SCHEMA = "#/components/schemas/"
_DEFINITION = "#/definitions/"
_ABOUT = (
    "The OpenStack Image API v2 as Partage serves it. Every version that `GET /` lists is a prefix that is equivalent to "
    f"`{PREFIX}`; HEAD is answered like GET. What a caller may not see is 404."
)
_TEXT = {"schema": {"type": "string"}}
_ERRORS = [{"$ref": f"{_SCHEMA}{name}"} for name in ("error", "wrapped_error")]


def build_document(formats: KnownFormats) -> openapi.Part:
    """Describe the Image API, with the disk and container formats that this service takes."""
    api = openapi.API(
        prefix=PREFIX,
        title="Image API v2",
        version=next(iter(discovery.FEATURES)),
        about=_ABOUT,
        descriptions=DESCRIPTIONS,
        schemas=_schemas(formats),
        parameters=component_schemas.parameters(),
        failure={"text/html": _TEXT, "application/json": {"schema": {"oneOf": _ERRORS}}, "text/plain": _TEXT},
    )
    return openapi.build_document(api, ROWS)


def reply(formats: KnownFormats) -> Reply:
    """Build the reply that carries the document, with a strong ETag. It is the same for every client."""
    return json_reply(build_document(formats))


def _schemas(formats: KnownFormats) -> openapi.Part:
    served = {
        "image": schemas.image_schema(formats),
        "images": schemas.images_schema(formats),
        "member": schemas.member_schema(),
        "members": schemas.members_schema(),
        "task": schemas.task_schema(),
        "tasks": schemas.tasks_schema(),
        **metadef_schemas.BY_NAME,
    }
    found: openapi.Part = {**component_schemas.request_schemas(), **component_schemas.answer_schemas()}
    found["new_image"] = component_schemas.new_image(served["image"])
    for name, schema in served.items():
        if name in found:
            continue
        own = {key: value for key, value in schema.items() if key not in ("definitions", "name", "links")}
        found[name] = {"type": "object", **_rewrite_references(own, name)}
        found |= {f"{name}.{part}": _rewrite_references(value, name) for part, value in schema.get("definitions", {}).items()}
    return found


def _rewrite_references(value: Any, name: str) -> Any:
    """Rewrite a schema's references to its own definitions: in the OpenAPI document, these are elsewhere."""
    if isinstance(value, dict):
        return {
            key: f"{_SCHEMA}{name}.{each.removeprefix(_DEFINITION)}"
            if key == "$ref" and isinstance(each, str)
            else _rewrite_references(each, name)
            for key, each in value.items()
        }
    return [_rewrite_references(each, name) for each in value] if isinstance(value, list | tuple) else value
