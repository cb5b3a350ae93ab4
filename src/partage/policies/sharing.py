"""Rules of the sharing API. A share's target: its `project_id` is the image's owner, its `member_id` the member.

Each default refers to the rule of the Image API that allows the same, so that an operator who restricts one restricts both.
"""

from partage.policies import images, members
from partage.policies.checks import document_rule

LIST_SHARES = "partage:list_shares"
GET_SHARE = "partage:get_share"
OFFER_SHARE = "partage:offer_share"
CHANGE_TERMS = "partage:change_terms"
ANSWER_SHARE = "partage:answer_share"
LEAVE_SHARE = "partage:leave_share"
END_SHARE = "partage:end_share"
CANCEL_ENDING = "partage:cancel_ending"
RESTORE_IMAGE = "partage:restore_image"
ADOPT_IMAGE = "partage:adopt_image"
GET_LINEAGE = "partage:get_lineage"

_ALL = "/partage/v1/shares"
_ONE = f"{_ALL}/{{image_id}}/{{project_id}}"
_IMAGE = "/partage/v1/images/{image_id}"

_OF_ADD = f"rule:{members.ADD_MEMBER}"
_OF_ANSWER = f"rule:{members.MODIFY_MEMBER}"

RULES = [
    document_rule(LIST_SHARES, f"rule:{members.GET_MEMBERS}", "List the shares of the caller's project.", "GET", _ALL),
    document_rule(GET_SHARE, f"rule:{members.GET_MEMBER}", "See one share.", "GET", _ONE),
    document_rule(OFFER_SHARE, _OF_ADD, "Offer an image to a project.", "POST", _ALL),
    document_rule(CHANGE_TERMS, _OF_ADD, "Change the terms of a share.", "PATCH", _ONE),
    document_rule(ANSWER_SHARE, _OF_ANSWER, "Accept or reject an offer: the member's project only.", "POST", f"{_ONE}/accept"),
    document_rule(LEAVE_SHARE, _OF_ANSWER, "Leave a share: the member's project only.", "POST", f"{_ONE}/leave"),
    document_rule(END_SHARE, f"rule:{members.DELETE_MEMBER}", "End a share.", "DELETE", _ONE),
    document_rule(CANCEL_ENDING, _OF_ADD, "Cancel the ending of a share.", "POST", f"{_ONE}/cancel-ending"),
    document_rule(
        RESTORE_IMAGE, f"rule:{images.DELETE_IMAGE}", "Take back a retained image: its former owner.", "POST", f"{_IMAGE}/restore"
    ),
    document_rule(
        ADOPT_IMAGE,
        f"rule:{images.ADD_IMAGE}",
        "Adopt an image; the target is the new image. The source has to pass download_image too.",
        "POST",
        f"{_IMAGE}/adopt",
    ),
    document_rule(
        GET_LINEAGE, f"rule:{images.GET_IMAGES}", "See what an image was adopted from: its owner.", "GET", f"{_IMAGE}/lineage"
    ),
]
