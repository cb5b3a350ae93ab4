"""Rules on images and their data."""

from partage.policies import checks
from partage.policies.checks import document_rule

ADD_IMAGE = "add_image"
GET_IMAGE = "get_image"
GET_IMAGES = "get_images"
MODIFY_IMAGE = "modify_image"
DELETE_IMAGE = "delete_image"
PUBLICIZE_IMAGE = "publicize_image"
COMMUNITIZE_IMAGE = "communitize_image"
UPLOAD_IMAGE = "upload_image"
DOWNLOAD_IMAGE = "download_image"
DOWNLOAD_FROM_STORE = "download_from_store"
COPY_IMAGE = "copy_image"
DEACTIVATE = "deactivate"
REACTIVATE = "reactivate"

RULES = [
    document_rule(ADD_IMAGE, checks.ADMIN_OR_CREATOR, "Create an image.", "POST", "/v2/images"),
    document_rule(
        GET_IMAGE,
        checks.ADMIN_OR_READER_IN_REACH,
        "See an image. Relies on the query: an image that the caller may not see is not found, whatever this rule says.",
        "GET",
        "/v2/images/{image_id}",
    ),
    document_rule(
        GET_IMAGES, checks.ADMIN_OR_OWNER_READER, "List images; the target is the caller's project.", "GET", "/v2/images"
    ),
    document_rule(MODIFY_IMAGE, checks.ADMIN_OR_OWNER_MEMBER, "Change an image or its tags.", "PATCH", "/v2/images/{image_id}"),
    document_rule(DELETE_IMAGE, checks.ADMIN_OR_OWNER_MEMBER, "Delete an image.", "DELETE", "/v2/images/{image_id}"),
    document_rule(PUBLICIZE_IMAGE, checks.ADMIN, "Make an image public.", "PATCH", "/v2/images/{image_id}"),
    document_rule(
        COMMUNITIZE_IMAGE, checks.ADMIN_OR_OWNER_MEMBER, "Set an image's visibility to community.", "PATCH", "/v2/images/{image_id}"
    ),
    document_rule(UPLOAD_IMAGE, checks.ADMIN_OR_OWNER_MEMBER, "Upload image data.", "PUT", "/v2/images/{image_id}/file"),
    document_rule(COPY_IMAGE, checks.ADMIN, "Copy an image to further stores.", "POST", "/v2/images/{image_id}/import"),
    document_rule(
        DOWNLOAD_FROM_STORE,
        checks.ADMIN_OR_MEMBER_IN_REACH,
        "Choose the store from which image data is downloaded. Relies on the query as get_image does.",
        "GET",
        "/v2/images/{image_id}/file",
    ),
    document_rule(
        DOWNLOAD_IMAGE,
        checks.ADMIN_OR_MEMBER_IN_REACH,
        "Download image data. Relies on the query as get_image does.",
        "GET",
        "/v2/images/{image_id}/file",
    ),
    document_rule(
        DEACTIVATE, checks.ADMIN_OR_OWNER_MEMBER, "Deactivate an image.", "POST", "/v2/images/{image_id}/actions/deactivate"
    ),
    document_rule(
        REACTIVATE, checks.ADMIN_OR_OWNER_MEMBER, "Reactivate an image.", "POST", "/v2/images/{image_id}/actions/reactivate"
    ),
]
