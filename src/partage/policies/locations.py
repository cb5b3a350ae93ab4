"""Rules on the locations of image data."""

from partage.policies import checks
from partage.policies.checks import document_rule

ADD_IMAGE_LOCATION = "add_image_location"
FETCH_IMAGE_LOCATION = "fetch_image_location"
GET_IMAGE_LOCATION = "get_image_location"
SET_IMAGE_LOCATION = "set_image_location"
DELETE_IMAGE_LOCATION = "delete_image_location"

RULES = [
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
]
