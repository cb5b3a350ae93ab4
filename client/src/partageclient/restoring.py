"""Take a deleted image back, as long as the image service keeps it. Only Partage does that on request."""

from openstack.connection import Connection

from partageclient import errors, images, sharing
from partageclient.connections import Cloud, as_cloud
from partageclient.images import Image
from partageclient.shares import Share

_INSTEAD = (
    "Glance has deleted it for good, unless the operator delays deletions: ask there at once."
    " A project that adopted the image (`openstack image adopt`) still has its data"
)


def restore(conn: Connection | Cloud, image_id: str) -> Image:
    """Take back an image that the project deleted; return it.

    Raises:
        Unsupported: the image service restores nothing.
        Invalid: a name was given; a deleted image has only its id.
        NotFound: the image is not kept any more.
        Overloaded: it does not fit into the quota.
    """
    cloud, asked = as_cloud(conn), f"Restore image {image_id}"
    _check(cloud, image_id, asked)
    cloud.request("POST", f"/partage/v1/images/{image_id}/restore", asked=asked)
    restored: Image = cloud.request("GET", f"/v2/images/{image_id}", asked=f"Show image {image_id}").document
    return restored


def find_retained(conn: Connection | Cloud, image_id: str) -> Share:
    """Find a share of a deleted image that the service keeps for its members; change nothing.

    Raises:
        Unsupported, Invalid: see `restore`.
        NotFound: there is none; where deletions are delayed, the image may be restored nevertheless.
    """
    cloud, asked = as_cloud(conn), f"Look whether image {image_id} can be restored"
    _check(cloud, image_id, asked)
    kept = [each for each in sharing.outbox(cloud) if each.image_id == image_id and each.ending_reason == "deleted"]
    if not kept:
        raise errors.NotFound(asked, "no member keeps it", "Without --dry-run the image service tells")
    return kept[0]


def _check(cloud: Cloud, image_id: str, asked: str) -> None:
    cloud.features.require("restore", asked, _INSTEAD)
    if not images.is_id(image_id):
        remedy = "`openstack image share list --out` and `openstack image event list` show ids of deleted images"
        raise errors.Invalid(asked, "a deleted image can be named by its id only", remedy)
