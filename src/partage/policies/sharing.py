"""Rules of the sharing API. A share's target: its `project_id` is the image's owner, its `member_id` the member.

A default refers to the rule of the Image API that allows the same, if there is one, so that an operator who restricts one
restricts both. The target of the rules of uses is the project whose uses they are, except for `count_uses`.
"""

from partage.policies import checks, images, members
from partage.policies.checks import document_rule

LIST_SHARES = "partage:list_shares"
GET_SHARE = "partage:get_share"
OFFER_SHARE = "partage:offer_share"
CHANGE_TERMS = "partage:change_terms"
ANSWER_SHARE = "partage:answer_share"
LEAVE_SHARE = "partage:leave_share"
LIST_EVENTS = "partage:list_events"
LIST_WEBHOOKS = "partage:list_webhooks"
CREATE_WEBHOOK = "partage:create_webhook"
GET_WEBHOOK = "partage:get_webhook"
CHANGE_WEBHOOK = "partage:change_webhook"
DELETE_WEBHOOK = "partage:delete_webhook"
END_SHARE = "partage:end_share"
CANCEL_ENDING = "partage:cancel_ending"
RESTORE_IMAGE = "partage:restore_image"
ADOPT_IMAGE = "partage:adopt_image"
GET_LINEAGE = "partage:get_lineage"
RECORD_USE = "partage:record_use"
RELEASE_USE = "partage:release_use"
LIST_USES = "partage:list_uses"
COUNT_USES = "partage:count_uses"
GET_IMPACT = "partage:get_impact"
CREATE_CODE = "partage:create_code"
LIST_CODES = "partage:list_codes"
REVOKE_CODE = "partage:revoke_code"
CLAIM_SHARE = "partage:claim_share"
GET_GUARD = "partage:get_guard"
SWITCH_GUARD = "partage:switch_guard"
END_ACCESS = "partage:end_access"
LIST_TRUST = "partage:list_trust"
SET_TRUST = "partage:set_trust"

_ALL = "/partage/v1/shares"
_ONE = f"{_ALL}/{{image_id}}/{{project_id}}"
_IMAGE = "/partage/v1/images/{image_id}"

_USES = f"{_IMAGE}/uses"
_USE = f"{_USES}/{{kind}}/{{use_id}}"
_OF_PROJECT = f"{checks.SERVICE} or ({checks.OWNER_MEMBER})"

_WEBHOOKS = "/partage/v1/webhooks"
_WEBHOOK = f"{_WEBHOOKS}/{{webhook_id}}"

_OF_ADD = f"rule:{members.ADD_MEMBER}"
_OF_ANSWER = f"rule:{members.MODIFY_MEMBER}"

RULES = [
    document_rule(LIST_SHARES, f"rule:{members.GET_MEMBERS}", "List the shares of the caller's project.", "GET", _ALL),
    document_rule(GET_SHARE, f"rule:{members.GET_MEMBER}", "See one share.", "GET", _ONE),
    document_rule(OFFER_SHARE, _OF_ADD, "Offer an image to a project.", "POST", _ALL),
    document_rule(CHANGE_TERMS, _OF_ADD, "Change the terms of a share.", "PATCH", _ONE),
    document_rule(ANSWER_SHARE, _OF_ANSWER, "Accept or reject an offer: the member's project only.", "POST", f"{_ONE}/accept"),
    document_rule(LEAVE_SHARE, _OF_ANSWER, "Leave a share: the member's project only.", "POST", f"{_ONE}/leave"),
    document_rule(
        LIST_EVENTS,
        f"rule:{images.GET_IMAGES}",
        "Read what happened to the images and shares of a project: its readers.",
        "GET",
        "/partage/v1/events",
    ),
    document_rule(LIST_WEBHOOKS, checks.OWNER_READER, "List the webhooks of the caller's project.", "GET", _WEBHOOKS),
    document_rule(CREATE_WEBHOOK, checks.OWNER_MEMBER, "Create a webhook of the caller's project.", "POST", _WEBHOOKS),
    document_rule(GET_WEBHOOK, checks.OWNER_READER, "See a webhook of the caller's project.", "GET", _WEBHOOK),
    document_rule(CHANGE_WEBHOOK, checks.OWNER_MEMBER, "Change, disable or enable a webhook.", "PATCH", _WEBHOOK),
    document_rule(DELETE_WEBHOOK, checks.OWNER_MEMBER, "Delete a webhook.", "DELETE", _WEBHOOK),
    document_rule(END_SHARE, f"rule:{members.DELETE_MEMBER}", "End a share.", "DELETE", _ONE),
    document_rule(CANCEL_ENDING, _OF_ADD, "Cancel the ending of a share.", "POST", f"{_ONE}/cancel-ending"),
    document_rule(
        RESTORE_IMAGE, f"rule:{images.DELETE_IMAGE}", "Take back a deleted image: its former owner.", "POST", f"{_IMAGE}/restore"
    ),
    document_rule(
        ADOPT_IMAGE,
        f"rule:{images.ADD_IMAGE}",
        "Adopt an image; the target is the new image. The source has to pass download_image too.",
        "POST",
        f"{_IMAGE}/adopt",
    ),
    document_rule(
        GET_IMPACT,
        f"rule:{members.GET_MEMBERS}",
        "See what ending access to an image would do: its owner, and administrators.",
        "GET",
        f"{_IMAGE}/impact",
    ),
    document_rule(
        GET_GUARD,
        f"rule:{members.GET_MEMBERS}",
        "See the guard of an image: its owner, and administrators.",
        "GET",
        f"{_IMAGE}/guard",
    ),
    document_rule(
        SWITCH_GUARD,
        f"rule:{images.MODIFY_IMAGE}",
        "Switch the guard of an image: its owner, and administrators.",
        "PUT",
        f"{_IMAGE}/guard",
    ),
    document_rule(
        END_ACCESS,
        f"rule:{members.DELETE_MEMBER}",
        "End access to an image in spite of its guard; the rule of the action is asked too.",
        "POST",
        f"{_IMAGE}/end",
    ),
    document_rule(
        GET_LINEAGE, f"rule:{images.GET_IMAGES}", "See what an image was adopted from: its owner.", "GET", f"{_IMAGE}/lineage"
    ),
    document_rule(RECORD_USE, _OF_PROJECT, "Record a use of an image: members of the project, and services.", "PUT", _USE),
    document_rule(RELEASE_USE, _OF_PROJECT, "Release a use of an image: members of the project, and services.", "DELETE", _USE),
    document_rule(
        LIST_USES,
        f"{checks.SERVICE} or ({checks.OWNER_READER})",
        "List the uses of an image by one project: its readers, and services.",
        "GET",
        _USES,
    ),
    document_rule(
        COUNT_USES,
        checks.ADMIN_OR_OWNER_READER,
        "See how many uses each project has of an image, and when it used it: the image's owner.",
        "GET",
        f"{_USES}/projects",
    ),
    document_rule(CREATE_CODE, _OF_ADD, "Create a claim code of an image.", "POST", f"{_IMAGE}/codes"),
    document_rule(LIST_CODES, f"rule:{images.GET_IMAGES}", "List an image's claim codes: its owner.", "GET", f"{_IMAGE}/codes"),
    document_rule(REVOKE_CODE, f"rule:{members.DELETE_MEMBER}", "Revoke a claim code.", "DELETE", f"{_IMAGE}/codes/{{code_id}}"),
    document_rule(CLAIM_SHARE, _OF_ANSWER, "Claim a share with a code, for the caller's project.", "POST", "/partage/v1/claims"),
    document_rule(
        LIST_TRUST, f"rule:{members.GET_MEMBERS}", "See the trust rules of the caller's project.", "GET", "/partage/v1/trust"
    ),
    document_rule(
        SET_TRUST,
        _OF_ANSWER,
        "Set and remove trust rules of the caller's project.",
        "PUT",
        "/partage/v1/trust/projects/{project_id}",
    ),
]
