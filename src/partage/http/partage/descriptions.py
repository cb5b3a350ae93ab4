"""What the table of routes does not say of a route of the sharing API, for its OpenAPI document. One row for each route."""

from collections.abc import Mapping

from partage.http.openapi import Description, Part
from partage.http.partage import paths
from partage.http.partage.manifests import CHUNKS_DEFAULT, FRAME, MANIFEST_NAMES, MOST_CHUNKS, PARTS_NAMES, SEGMENTS
from partage.http.partage.query import COUNTS_NAMES, EVENTS_NAMES, NAMES, USES_NAMES
from partage.model.claim_code import LONGEST_CODE, MOST_USES
from partage.model.document import LONGEST_NAME, LONGEST_VALUE
from partage.model.ending import EndReason
from partage.model.event import ActorRole, EventType
from partage.model.guard import GuardMode
from partage.model.image import ImageStatus, Visibility
from partage.model.impact import Action, EndOfAccess, KeptFor
from partage.model.member import MemberStatus
from partage.model.offer import MOST_PAIRS
from partage.model.share import Direction
from partage.model.terms import LONGEST_MESSAGE
from partage.model.trust import TrustAnswer, TrustKind
from partage.model.use import UseKind
from partage.model.webhook import LONGEST_DESCRIPTION, LONGEST_URL, WebhookStatus

_JSON = "application/json"
_STATE = ("Upload-Offset", "Upload-Complete", "Upload-Limit")
_OCTETS, _PARTIAL = "application/octet-stream", "application/partial-upload"


def _json(name: str) -> Mapping[str, str]:
    return {_JSON: name}


_IDS = {"image_id": "$response.body#/shares/0/image_id", "project_id": "$response.body#/shares/0/member_id"}

_WEBHOOK_IDS = {"webhook_id": "$response.body#/webhooks/0/id"}

DESCRIPTIONS: Mapping[str, Description] = {
    f"GET {paths.SHARES}": Description(gives=_json("shares"), query=NAMES, names=_IDS),
    f"POST {paths.SHARES}": Description(
        takes=_json("new_offers"), gives=_json("outcomes"), headers=("Idempotency-Key",), fails=(409, 413)
    ),
    f"POST {paths.SHARES}/accept": Description(takes=_json("image_ids"), gives=_json("answers")),
    f"POST {paths.SHARES}/reject": Description(takes=_json("image_ids"), gives=_json("answers")),
    f"GET {paths.SHARE}": Description(gives=_json("share")),
    f"PATCH {paths.SHARE}": Description(takes=_json("terms_change"), gives=_json("share"), fails=(409,)),
    f"DELETE {paths.SHARE}": Description(gives=_json("share"), also=(204,), fails=(409,)),
    f"POST {paths.SHARE}/cancel-ending": Description(gives=_json("share"), fails=(409, 413)),
    f"POST {paths.SHARE}/accept": Description(gives=_json("share"), fails=(409,)),
    f"POST {paths.SHARE}/reject": Description(gives=_json("share"), fails=(409,)),
    f"POST {paths.SHARE}/leave": Description(),
    f"POST {paths.IMAGE}/restore": Description(gives=_json("restored_image"), fails=(413,)),
    f"POST {paths.IMAGE}/adopt": Description(takes=_json("adoption"), gives=_json("adopted_image")),
    f"GET {paths.IMAGE}/lineage": Description(gives=_json("lineage")),
    f"GET {paths.MANIFEST}": Description(
        gives={_JSON: "manifest", SEGMENTS: "bytes"}, query=tuple(f"chunk_{each}" for each in MANIFEST_NAMES), fails=(409,)
    ),
    f"GET {paths.CHUNKS}": Description(gives={FRAME: "bytes"}, query=PARTS_NAMES, fails=(409, 416)),
    f"GET {paths.UPLOAD}": Description(tells=_STATE),
    f"POST {paths.UPLOAD}": Description(
        takes={_OCTETS: "octets"},
        headers=("Upload-Complete", "Upload-Length", "Upload-Draft-Interop-Version", "X-Image-Meta-Store"),
        also=(204,),
        fails=(409, 410, 415),
        located=True,
        tells=_STATE,
    ),
    f"PATCH {paths.UPLOAD}": Description(
        takes={_PARTIAL: "octets"},
        headers=("Upload-Offset", "Upload-Complete", "Upload-Length", "Upload-Draft-Interop-Version"),
        fails=(409, 410, 415),
        tells=("Upload-Offset", "Upload-Complete"),
    ),
    f"DELETE {paths.UPLOAD}": Description(),
    f"GET {paths.USES}": Description(gives=_json("uses"), query=USES_NAMES),
    f"GET {paths.USES}/projects": Description(gives=_json("counts"), query=COUNTS_NAMES),
    f"PUT {paths.USE}": Description(gives=_json("use"), query=("project",), fails=(413,)),
    f"DELETE {paths.USE}": Description(query=("project",)),
    f"GET {paths.IMAGE}/guard": Description(gives=_json("guard")),
    f"PUT {paths.IMAGE}/guard": Description(takes=_json("guard_mode"), gives=_json("guard")),
    f"DELETE {paths.IMAGE}/guard": Description(gives=_json("guard")),
    f"POST {paths.IMAGE}/end": Description(takes=_json("end_request"), fails=(409, 413)),
    f"GET {paths.IMAGE}/impact": Description(gives=_json("impact"), query=("action", "unshared_project")),
    f"GET {paths.CODES}": Description(gives=_json("claim_codes")),
    f"POST {paths.CODES}": Description(takes=_json("new_claim_code"), gives=_json("created_claim_code"), fails=(409,)),
    f"DELETE {paths.CODE}": Description(),
    f"GET {paths.TRUST}": Description(gives=_json("trust_rules")),
    f"GET {paths.TRUST_PROJECT}": Description(gives=_json("trust_rule")),
    f"PUT {paths.TRUST_PROJECT}": Description(takes=_json("new_trust_rule"), gives=_json("trust_rule"), fails=(409,)),
    f"DELETE {paths.TRUST_PROJECT}": Description(),
    f"GET {paths.TRUST_DOMAIN}": Description(gives=_json("trust_rule")),
    f"PUT {paths.TRUST_DOMAIN}": Description(takes=_json("new_trust_rule"), gives=_json("trust_rule")),
    f"DELETE {paths.TRUST_DOMAIN}": Description(),
    f"POST {paths.CLAIMS}": Description(takes=_json("claim"), gives=_json("share"), also=(200,), fails=(404, 409, 429)),
    f"GET {paths.EVENTS}": Description(gives=_json("events"), query=EVENTS_NAMES, fails=(410,)),
    f"GET {paths.WEBHOOKS}": Description(gives=_json("webhooks"), names=_WEBHOOK_IDS),
    f"POST {paths.WEBHOOKS}": Description(takes=_json("new_webhook"), gives=_json("created_webhook"), fails=(413,)),
    f"GET {paths.WEBHOOK}": Description(gives=_json("webhook")),
    f"PATCH {paths.WEBHOOK}": Description(takes=_json("webhook_change"), gives=_json("webhook")),
    f"DELETE {paths.WEBHOOK}": Description(),
}


def _object(properties: Mapping[str, Part], required: tuple[str, ...] | None = None, *, is_open: bool = False) -> Part:
    """Describe an object; all its members are required unless said otherwise."""
    written: Part = {
        "type": "object",
        "properties": dict(properties),
        "required": [*(properties if required is None else required)],
    }
    return written if is_open else {**written, "additionalProperties": False}


def _reference(name: str) -> Part:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Part) -> Part:
    return {"oneOf": [schema, {"type": "null"}]}


_TEXT: Part = {"type": "string"}
_TEXT_OR_NULL: Part = {"type": ["string", "null"]}
_TIME: Part = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Part = {"type": ["string", "null"], "format": "date-time"}
_UNKNOWN: Part = {"const": "unknown"}
_TIME_OR_UNKNOWN: Part = {"oneOf": [_TIME, _UNKNOWN]}
_COUNT_OR_UNKNOWN: Part = {"oneOf": [{"type": "integer"}, _UNKNOWN]}
_NAME: Part = {"type": "string", "minLength": 1, "maxLength": 255}
_NAMES: Part = {"type": "array", "minItems": 1, "maxItems": MOST_PAIRS, "items": _NAME}
_NOTICE: Part = {
    "type": "string",
    "description": "An ISO 8601 duration without years and months, such as P30D, or forever, or while-used",
}
_MESSAGE: Part = {"type": "string", "maxLength": LONGEST_MESSAGE}
_TERMS: Mapping[str, Part] = {"notice": _NOTICE, "expires_at": _TIME_OR_NULL, "message": _MESSAGE}
_STATUS: Part = {"enum": [*MemberStatus]}
_COUNT: Part = {"type": "integer", "minimum": 0}
_IMAGE_STATUS: Part = {"enum": [*ImageStatus]}
_VISIBILITY: Part = {"enum": [*Visibility]}
_IMAGE: Mapping[str, Part] = {
    "image_id": _TEXT,
    "image_name": _TEXT_OR_NULL,
    "image_status": _IMAGE_STATUS,
    "visibility": _VISIBILITY,
}
_LINEAGE: Mapping[str, Part] = {
    "adopted_from": {**_TEXT_OR_NULL, "description": "The source's id; null for an image that was not adopted"},
    "adopted_at": _TIME_OR_NULL,
}

_ANSWER: Part = {"enum": [*TrustAnswer], "description": "How the caller's project answers offers"}
_CODE: Mapping[str, Part] = {
    "id": {**_TEXT, "description": "The first part of the code, which is no secret"},
    "image_id": _TEXT,
    "created_at": _TIME,
    "expires_at": _TIME,
    "uses": {"type": "integer"},
    "uses_left": {"type": "integer"},
    "terms": _reference("terms"),
}

_URL: Part = {"type": "string", "format": "uri", "minLength": 1, "maxLength": LONGEST_URL}
_DESCRIPTION: Part = {"type": "string", "maxLength": LONGEST_DESCRIPTION}
_WEBHOOK: Mapping[str, Part] = {
    "id": _TEXT,
    "url": _URL,
    "description": _DESCRIPTION,
    "status": {"enum": [*WebhookStatus], "description": "paused: by the service, because its receiver fails"},
    "created_at": _TIME,
    "after": {**_TEXT, "description": "The cursor of the last event that was delivered, or where the webhook began"},
    "delivered_at": _TIME_OR_NULL,
    "missed_at": {
        **_TIME_OR_NULL,
        "description": "When events that other projects caused were last found removed before they were delivered",
    },
    "failures": {"type": "integer", "description": "Failed attempts in a row"},
    "failing_since": _TIME_OR_NULL,
    "last_error": _TEXT_OR_NULL,
    "next_attempt_at": {**_TIME_OR_NULL, "description": "After a failure: when the next attempt is made"},
}

SCHEMAS: Mapping[str, Part] = {
    "problem": _object(
        {"type": {"type": "string", "format": "uri"}, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}, is_open=True
    ),
    "terms": _object(_TERMS),
    "terms_change": _object(_TERMS, required=()),
    "share": _object(
        {
            "image_id": _TEXT,
            "image_name": _TEXT_OR_NULL,
            "image_status": _IMAGE_STATUS,
            "size": {"type": ["integer", "null"], "description": "Bytes of image data"},
            "disk_format": _TEXT_OR_NULL,
            "container_format": _TEXT_OR_NULL,
            "owner_id": _TEXT_OR_NULL,
            "owner_name": {**_TEXT_OR_NULL, "description": "Known of projects in the caller's domain"},
            "member_id": _TEXT,
            "member_name": {**_TEXT_OR_NULL, "description": "Known of projects in the caller's domain"},
            "status": _STATUS,
            "terms": _reference("terms"),
            "offered_at": _TIME,
            "answered_at": _TIME_OR_NULL,
            "last_used": {**_TIME_OR_NULL, "description": "When the member last used or downloaded the image; null is unknown"},
            "ending": _or_null(_reference("ending")),
        }
    ),
    "ending": _object(
        {
            "reason": {"enum": [*EndReason]},
            "began_at": _TIME,
            "ends_at": {
                **_TIME_OR_NULL,
                "description": "When access ends; null is never, and unknown while the notice while-used runs",
            },
        }
    ),
    "shares": _object({"shares": {"type": "array", "items": _reference("share")}, "next": _TEXT}, required=("shares",)),
    "new_offers": _object(
        {
            "image_ids": _NAMES,
            "projects": {**_NAMES, "description": "Each an id, a name in the caller's domain, or domain/name"},
            "terms": _reference("terms_change"),
            "make_shared": {"type": "boolean", "default": False},
            "all_or_nothing": {"type": "boolean", "default": False},
        },
        required=("image_ids", "projects"),
    ),
    "outcomes": _object({"results": {"type": "array", "items": _reference("outcome")}}),
    "outcome": _object(
        {
            "image_id": _TEXT,
            "project": {**_TEXT, "description": "As the request named it"},
            "project_id": _TEXT_OR_NULL,
            "problem": _or_null(_reference("problem")),
        }
    ),
    "image_ids": _object({"image_ids": _NAMES}),
    "answers": _object({"results": {"type": "array", "items": _reference("answer")}}),
    "answer": _object({"image_id": _TEXT, "share": _or_null(_reference("share")), "problem": _or_null(_reference("problem"))}),
    "restored_image": _object(_IMAGE),
    "adoption": _object(
        {
            "name": {**_TEXT_OR_NULL, "maxLength": LONGEST_NAME, "description": "The source's name unless said"},
            "visibility": {**_VISIBILITY, "default": Visibility.SHARED},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": LONGEST_NAME}, "description": "None unless said"},
            "properties": {
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE},
                "description": "Added to the source's, or instead of those of the same name",
            },
        },
        required=(),
    ),
    "adopted_image": _object({**_IMAGE, **_LINEAGE}),
    "lineage": _object({"image_id": _TEXT, **_LINEAGE}),
    "use": _object({"kind": {"enum": [*UseKind]}, "use_id": _TEXT, "recorded_at": _TIME, "last_seen": _TIME}),
    "uses": _object({"uses": {"type": "array", "items": _reference("use")}, "next": _TEXT}, required=("uses",)),
    "project_uses": _object(
        {
            "project_id": _TEXT,
            "servers": _COUNT,
            "volumes": _COUNT,
            "is_complete": {"type": "boolean", "description": "False: the project has more uses than are recorded"},
            "last_used": {**_TIME_OR_NULL, "description": "When a use was last recorded, seen or released; null is unknown"},
            "last_download": {**_TIME_OR_NULL, "description": "When the project last downloaded the image; null is unknown"},
        }
    ),
    "event": _object(
        {
            "cursor": {**_TEXT, "description": "Its position; give it as after to read on"},
            "type": {"type": "string", "description": "One of: " + ", ".join(EventType) + "; later releases may have more"},
            "time": _TIME,
            "project_id": {**_TEXT_OR_NULL, "description": "The project that the event is for; null for images of nobody"},
            "image_id": _TEXT,
            "owner_id": _TEXT_OR_NULL,
            "member_id": {**_TEXT_OR_NULL, "description": "The member of the share; null for an event of the image"},
            "actor": _object(
                {
                    "role": {"enum": [*ActorRole]},
                    "project_id": _TEXT_OR_NULL,
                    "user_id": {**_TEXT_OR_NULL, "description": "Known of users of the project itself"},
                }
            ),
            "request_id": {**_TEXT_OR_NULL, "description": "Known of requests of the project itself"},
            "data": {"type": "object", "description": "What the type says more; see the documentation"},
        }
    ),
    "new_webhook": _object({"url": _URL, "description": _DESCRIPTION}, required=("url",)),
    "webhook_change": _object({"url": _URL, "description": _DESCRIPTION, "enabled": {"type": "boolean"}}, required=()),
    "webhook": _object(_WEBHOOK),
    "created_webhook": _object({**_WEBHOOK, "secret": {**_TEXT, "description": "For the signatures; no other reply has it"}}),
    "webhooks": _object({"webhooks": {"type": "array", "items": _reference("webhook")}}),
    "events": _object(
        {
            "events": {"type": "array", "items": _reference("event")},
            "after": {**_TEXT, "description": "The position to read on from, also if there are no events now"},
            "is_complete": {
                "type": "boolean",
                "description": "False: since the position that was asked for, events that other projects caused have been removed",
            },
            "next": _TEXT,
        },
        required=("events", "after", "is_complete"),
    ),
    "counts": _object(
        {
            "projects": {"type": "array", "items": _reference("project_uses")},
            "other_users": {"type": "integer", "description": "Projects that use the image and are no members; they are not named"},
            "next": _TEXT,
        },
        required=("projects", "other_users"),
    ),
    "guard_mode": _object({"mode": {"enum": [*GuardMode]}}),
    "guard": _object(
        {
            "image_id": _TEXT,
            "mode": {"enum": [*GuardMode], "description": "What holds now"},
            "default": {"enum": [*GuardMode], "description": "The operator's"},
            "override": {"enum": [*GuardMode, None], "description": "The image's own; null: it has the default"},
            "pending": _or_null(_object({"override": {"enum": [*GuardMode, None]}, "at": _TIME})),
            "cool_down": {"type": "string", "description": "For so long a switch from block to off is pending"},
        }
    ),
    "end_request": _object(
        {
            "action": {"enum": [*Action]},
            "project": {**_TEXT, "description": "The member, for unshare only"},
            "acknowledge": {"type": "boolean", "default": False, "description": "Proceed although projects use the image"},
        },
        required=("action",),
    ),
    "impact": _object(
        {
            "image_id": _TEXT,
            "action": {"enum": [*Action]},
            "takes_down": {"type": "boolean", "description": "An administrator ends every promise"},
            "ends_for_everybody": {"type": "boolean", "description": "Projects without a share lose access at once, too"},
            "other_users": {**_COUNT_OR_UNKNOWN, "description": "Projects without a share that are known to use the image"},
            "projects": {"type": "array", "items": _reference("project_impact")},
            "projects_left_out": {"type": "integer"},
            "bytes": _object(
                {
                    "freed": {**_reference("bounds"), "description": "Stored bytes that the next sweeps free"},
                    "kept": {**_reference("bounds"), "description": "Stored bytes of the image that stay"},
                    "kept_for": _or_null({"enum": [*KeptFor]}),
                    "kept_until": {**_TIME_OR_NULL, "description": "null: not known, or never"},
                    "quota_bytes": {"type": "integer", "description": "Taken from the usage of the image's owner"},
                }
            ),
            "guard": _object(
                {
                    "mode": {"enum": [*GuardMode]},
                    "blocks": {"type": "boolean", "description": "The action has to be acknowledged; the prediction is of that"},
                    "can_acknowledge": {"type": "boolean", "description": "False: projects without a share use the image"},
                }
            ),
        }
    ),
    "bounds": _object({"least": {"type": "integer"}, "most": {"type": "integer"}}),
    "project_impact": _object(
        {
            "project_id": _TEXT,
            "project_name": {**_TEXT_OR_NULL, "description": "Known of projects in the caller's domain"},
            "status": _STATUS,
            "notice": _NOTICE,
            "ends": {"enum": [*EndOfAccess], "description": "When access to the image data ends"},
            "ends_at": {**_TIME_OR_NULL, "description": "null is never"},
            "quota_bytes": {"type": "integer", "description": "Added to the project's usage while the image is retained for it"},
            "uses": {
                "oneOf": [
                    _UNKNOWN,
                    _object(
                        {
                            "servers": _COUNT,
                            "volumes": _COUNT,
                            "is_complete": {"type": "boolean", "description": "False: there are more than are recorded"},
                        }
                    ),
                ]
            },
            "last_used": _TIME_OR_UNKNOWN,
            "last_download": _TIME_OR_UNKNOWN,
        }
    ),
    "trust_rule": _object(
        {
            "kind": {"enum": [*TrustKind]},
            "id": {**_TEXT, "description": "The id of the project or domain"},
            "rule": _ANSWER,
            "created_at": _TIME,
            "updated_at": _TIME,
        }
    ),
    "trust_rules": _object({"rules": {"type": "array", "items": _reference("trust_rule")}}),
    "new_trust_rule": _object({"rule": _ANSWER}),
    "claim_code": _object(_CODE),
    "claim_codes": _object({"codes": {"type": "array", "items": _reference("claim_code")}}),
    "new_claim_code": _object(
        {
            "uses": {"type": "integer", "minimum": 1, "maximum": MOST_USES, "default": 1},
            "expires_at": {**_TIME_OR_NULL, "description": "When the code expires; null is the operator's default"},
            "terms": _reference("terms_change"),
            "make_shared": {"type": "boolean", "default": False},
        },
        required=(),
    ),
    "created_claim_code": _object({**_CODE, "code": {**_TEXT, "description": "The secret, which is shown this once"}}),
    "octets": {"type": "string", "format": "binary"},
    "claim": _object({"code": {"type": "string", "minLength": 1, "maxLength": LONGEST_CODE}}),
    "manifest": _object(
        {
            "image_id": _TEXT,
            "size": {"type": "integer", "description": "Bytes of the whole image"},
            "chunks": {"type": "array", "items": _reference("chunk")},
            "next": {**_TEXT, "description": "The path of the next page; absent on the last"},
        },
        required=("image_id", "size", "chunks"),
    ),
    "chunk": _object(
        {
            "offset": {**_COUNT, "description": "The chunk's first byte in the image"},
            "length": {"type": "integer", "minimum": 1},
            "digest": {**_TEXT_OR_NULL, "description": "BLAKE3 of the bytes in hexadecimal; null: they are zeros"},
        }
    ),
    "bytes": {"type": "string", "format": "binary"},
}


def _query(name: str, schema: Part, words: str) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": words}


def _header(name: str, schema: Part, words: str) -> Part:
    return {**_query(name, schema, words), "in": "header"}


def _path(name: str, words: str) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": _NAME, "description": words}


_SIZE: Part = {"type": "integer", "minimum": 0}

PARAMETERS: Mapping[str, Part] = {
    "path.image_id": _path("image_id", "The image's id"),
    "path.project_id": _path(
        "project_id", "The project's id: that of the member, in a trust rule that of the project that makes offers"
    ),
    "path.kind": {**_path("kind", "What depends on the image"), "schema": {"enum": [*UseKind]}},
    "path.use_id": _path("use_id", "The id of the server or volume"),
    "path.domain_id": _path("domain_id", "The id of the domain whose projects make the offers"),
    "path.webhook_id": _path("webhook_id", "The id of the webhook"),
    "path.code_id": _path("code_id", "The id of the claim code"),
    "direction": _query("direction", {"enum": [*Direction], "default": "in"}, "in: received shares; out: offered ones"),
    "status": _query("status", _STATUS, "The member's answer"),
    "image": _query("image", _TEXT, "The image's id"),
    "project": _query(
        "project",
        _TEXT,
        "A project's id: in lists of shares that of the other side; for uses that of the project that has them, for services; "
        "for events an administrator can name any, or *",
    ),
    "limit": _query("limit", {"type": "integer", "minimum": 0}, "Rows in one page; at most 1000, 25 unless said"),
    "chunk_limit": _query(
        "limit", {"type": "integer", "minimum": 0}, f"Chunks in one page; at most {MOST_CHUNKS}, {CHUNKS_DEFAULT} unless said"
    ),
    "chunk_marker": _query("marker", _COUNT, "From the link next: the first byte of the page"),
    "ranges": {
        **_query("ranges", _TEXT, "The first and the last byte of each range, as in 0-98303,200704-299007"),
        "required": True,
    },
    "action": {**_query("action", {"enum": [*Action]}, "What would end access"), "required": True},
    "unshared_project": _query("project", _TEXT, "The id of the member whose share unshare would end; for no other action"),
    "marker": _query("marker", _TEXT, "From the link next"),
    "after": _query("after", _TEXT, "The cursor of an event, or latest: only the position of the last event"),
    "Upload-Offset": {
        **_header("Upload-Offset", _SIZE, "The first byte of the body within the image data: the offset of the upload"),
        "required": True,
    },
    "Upload-Complete": {
        **_header("Upload-Complete", {"enum": ["?0", "?1"]}, "?1: the body has the end of the image data; ?0: more follows"),
        "required": True,
    },
    "Upload-Length": _header("Upload-Length", _SIZE, "The size of all image data, as soon as it is known"),
    "Upload-Draft-Interop-Version": _header(
        "Upload-Draft-Interop-Version", {"const": 8}, "With it, interim responses 104 tell how much is stored"
    ),
    "X-Image-Meta-Store": _header("X-Image-Meta-Store", _TEXT, "The store for the image data; default: the default store"),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "Names this request: sent again within a day, it is not carried out again and gets the same answer",
    ),
    "If-None-Match": _header("If-None-Match", _TEXT, "An ETag that the client has"),
}
