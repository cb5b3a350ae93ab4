"""Uses: servers and volumes that depend on an image, as far as they were recorded. Only Partage keeps them."""

from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient import images
from partageclient.connections import Cloud, as_cloud

KINDS = ("server", "volume")
_INSTEAD = "`openstack image impact show IMAGE` asks Nova and Cinder for what uses an image"


@dataclass(frozen=True)
class Use:
    """A server or volume of the project that depends on an image."""

    kind: str
    use_id: str
    recorded_at: str | None = None
    last_seen: str | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Use":
        """Read a use of the sharing API."""
        return cls(**{each: document.get(each) for each in ("kind", "use_id", "recorded_at", "last_seen")})  # type: ignore[arg-type]


def add_use(conn: Connection | Cloud, image: str, kind: str, use_id: str) -> Use:
    """Tell the image service that a server or volume of the project depends on an image.

    Raises:
        Unsupported: the image service does not keep uses.
        ClientError: it refuses: the project cannot see the image, or has recorded too many uses.
    """
    cloud, asked = as_cloud(conn), f"Record the {kind} {use_id} as a use of image {image}"
    cloud.features.require("shares", asked, _INSTEAD)
    return Use.from_json(cloud.request("PUT", _path(cloud, image, f"/{kind}/{use_id}"), asked=asked).document)


def remove_use(conn: Connection | Cloud, image: str, kind: str, use_id: str) -> None:
    """Tell the image service that a server or volume does not depend on an image any more. Repeating it is no error.

    Raises:
        Unsupported: the image service does not keep uses.
    """
    cloud, asked = as_cloud(conn), f"Remove the {kind} {use_id} from the uses of image {image}"
    cloud.features.require("shares", asked, _INSTEAD)
    cloud.request("DELETE", _path(cloud, image, f"/{kind}/{use_id}"), asked=asked)


def list_uses(conn: Connection | Cloud, image: str) -> list[Use]:
    """List the uses of an image that are recorded of the project.

    Raises:
        Unsupported: the image service does not keep uses.
    """
    cloud, asked = as_cloud(conn), f"List the uses of image {image}"
    cloud.features.require("shares", asked, _INSTEAD)
    path, found = _path(cloud, image, ""), []
    while path:
        document = cloud.request("GET", path, asked=asked).document
        found += [Use.from_json(each) for each in document["uses"]]
        path = str(document.get("next") or "")
    return found


def _path(cloud: Cloud, image: str, end: str) -> str:
    """Build a path. A use can be removed after the access has ended, when an id no longer answers; so ids are not looked up."""
    image_id = image if images.is_id(image) else images.find_image(cloud, image)["id"]
    return f"/partage/v1/images/{image_id}/uses{end}"
