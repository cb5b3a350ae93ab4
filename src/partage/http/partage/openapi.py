"""The OpenAPI document of the sharing API. It names no image and no project, so that nobody needs a token for it."""

from partage.http import openapi
from partage.http.messages import Reply, json_reply
from partage.http.partage import paths
from partage.http.partage.descriptions import DESCRIPTIONS, PARAMETERS, SCHEMAS
from partage.http.partage.routes import ROWS

_PROBLEM = {"schema": {"$ref": "#/components/schemas/problem"}}
_ABOUT = (
    "What Partage adds to the Image API: shares with terms. Identifiers and statuses are those of the Image API. "
    "Errors are problem documents (RFC 9457)."
)


def build_document() -> openapi.Part:
    """Describe the sharing API."""
    api = openapi.API(
        prefix=paths.PREFIX,
        title="Sharing API v1",
        version="1.0",
        about=_ABOUT,
        descriptions=DESCRIPTIONS,
        schemas=SCHEMAS,
        parameters=PARAMETERS,
        failure={"application/problem+json": _PROBLEM},
    )
    return openapi.build_document(api, ROWS)


def reply() -> Reply:
    """Build the reply that carries the document, with a strong ETag. It is the same for every client."""
    return json_reply(build_document())
