"""`GET /partage`: the version of the sharing API, and the features that are on."""

from http import HTTPStatus

from partage.http import json_documents
from partage.http.incoming import Incoming
from partage.http.messages import Reply
from partage.http.partage.routes import PREFIX

PATH = "/partage"
OPENAPI_PATH = f"{PREFIX}/openapi.json"
FEATURES = ("notice", "retained-images")
"""What this service does, by name. A name stays once it has been in a release."""


def describe(incoming: Incoming) -> Reply:
    """Describe the API to any client, with or without a token."""
    links = [
        {"rel": "self", "href": f"{incoming.origin}{PREFIX}/"},
        {"rel": "describedby", "href": f"{incoming.origin}{OPENAPI_PATH}"},
    ]
    found = json_documents.reply({"versions": [{"id": "v1.0", "status": "CURRENT", "links": links}], "features": FEATURES})
    return Reply(status=HTTPStatus.OK, body=found.body, content_type=found.content_type, etag=found.etag)
