"""Rules on image members. `member_id` of the target is the project of the membership."""

from partage.policies import checks
from partage.policies.checks import document_rule

ADD_MEMBER = "add_member"
GET_MEMBER = "get_member"
GET_MEMBERS = "get_members"
MODIFY_MEMBER = "modify_member"
DELETE_MEMBER = "delete_member"

_ALL = "/v2/images/{image_id}/members"
_ONE = f"{_ALL}/{{member_id}}"

RULES = [
    document_rule(ADD_MEMBER, checks.ADMIN_OR_OWNER_MEMBER, "Share an image with a project.", "POST", _ALL),
    document_rule(GET_MEMBER, checks.ADMIN_OR_READER_OF_MEMBERS, "See one member of an image.", "GET", _ONE),
    document_rule(GET_MEMBERS, checks.ADMIN_OR_READER_OF_MEMBERS, "List the members of an image.", "GET", _ALL),
    document_rule(
        MODIFY_MEMBER, checks.ADMIN_OR_IMAGE_MEMBER, "Accept or reject an offer: the member's project only.", "PUT", _ONE
    ),
    document_rule(DELETE_MEMBER, checks.ADMIN_OR_OWNER_MEMBER, "End the share with a project.", "DELETE", _ONE),
]
