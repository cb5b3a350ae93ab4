"""`GET /partage`: the version of the sharing API, and the features that are on."""

from http import HTTPStatus

from partage.http.incoming import Incoming
from partage.http.messages import Reply, json_reply
from partage.http.partage import paths
from partage.model.terms import Notice
from partage.operations.service import Service

FEATURES = (
    "notice",
    "retained-images",
    "shares",
    "events",
    "restore",
    "adopt",
    "uses",
    "impact",
    "claim-codes",
    "guard",
    "trust",
    "webhooks",
    "transfer",
    "resumable-uploads",
)
"""What this service does, by name. A name stays once it has been in a release."""


def describe(service: Service, incoming: Incoming) -> Reply:
    """Describe the API to any client, with or without a token. The notice is that of the cloud; domains can have their own."""
    links = [
        {"rel": "self", "href": f"{incoming.origin}{paths.PREFIX}/"},
        {"rel": "describedby", "href": f"{incoming.origin}{paths.OPENAPI}"},
    ]
    notice = {
        "default": str(service.sharing.default_terms.notice),
        "least": str(service.sharing.notice_bounds.least),
        "longest": str(service.sharing.notice_bounds.longest),
        "while_used": service.sharing.while_used,
    }
    guard = {"default": service.sharing.guard, "cool_down": str(Notice(service.sharing.guard_cool_down))}
    versions = [{"id": "v1.0", "status": "CURRENT", "links": links}]
    found = json_reply({"versions": versions, "features": FEATURES, "notice": notice, "guard": guard})
    return Reply(status=HTTPStatus.OK, body=found.body, content_type=found.content_type, etag=found.etag)
