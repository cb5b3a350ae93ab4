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
ADD_IMAGE_LOCATION = "add_image_location"
FETCH_IMAGE_LOCATION = "fetch_image_location"
GET_IMAGE_LOCATION = "get_image_location"
SET_IMAGE_LOCATION = "set_image_location"
DELETE_IMAGE_LOCATION = "delete_image_location"
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
        ADD_IMAGE_LOCATION,
        checks.SERVICE_OR_CREATOR,
        "Add the location from which an image's data is fetched.",
        "POST",
        "/v2/images/{image_id}/locations",
    ),
    document_rule(
        FETCH_IMAGE_LOCATION, checks.SERVICE, "Get the locations of an image's data.", "GET", "/v2/images/{image_id}/locations"
    ),
    document_rule(
        GET_IMAGE_LOCATION,
        checks.ADMIN_OR_OWNER_READER,
        "Get the locations of an image's data; checked before the image is removed from a store.",
        "DELETE",
        "/v2/stores/{store_id}/{image_id}",
    ),
    document_rule(
        SET_IMAGE_LOCATION,
        checks.ADMIN_OR_OWNER_MEMBER,
        "Add locations by a patch, or change their order and metadata; checked in addition to modify_image.",
        "PATCH",
        "/v2/images/{image_id}",
    ),
    document_rule(
        DELETE_IMAGE_LOCATION,
        checks.ADMIN,
        "Remove an image from one of its stores; checked in addition to modify_image when a patch removes a location.",
        "DELETE",
        "/v2/stores/{store_id}/{image_id}",
    ),
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
