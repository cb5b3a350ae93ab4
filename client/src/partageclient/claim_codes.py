"""Claim codes: a secret that makes the project of its bearer a member of an image. Only Partage has them."""

from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient import images
from partageclient.connections import Cloud, as_cloud
from partageclient.shares import Share, Terms

_INSTEAD = (
    "Ask the other side for the id of its project (`openstack token issue` shows it), and run"
    " `openstack image share create IMAGE --project ID`"
)


@dataclass(frozen=True)
class ClaimCode:
    """A claim code. `code` is the secret itself, which only `create_code` returns; `id` is its first part and no secret."""

    id: str
    image_id: str
    uses: int
    uses_left: int
    created_at: str
    expires_at: str | None
    notice: str | None
    message: str | None
    code: str | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "ClaimCode":
        """Read a code of the sharing API."""
        terms = document.get("terms") or {}
        same = ("id", "image_id", "uses", "uses_left", "created_at", "expires_at", "code")
        return cls(**{each: document.get(each) for each in same}, notice=terms.get("notice"), message=terms.get("message"))  # type: ignore[arg-type]


def create_code(
    conn: Connection | Cloud,
    image: str,
    *,
    uses: int = 1,
    expires_at: str | None = None,
    terms: Terms | None = None,
    make_shared: bool = True,
) -> ClaimCode:
    """Create a code with which so many projects can claim an image of one's own. `terms` are those of the shares it makes.

    Raises:
        Unsupported: the image service has no claim codes.
        ClientError: it refuses: the image is not the project's own, or has too many codes.
    """
    cloud, asked = as_cloud(conn), f"Create a claim code for image {image}"
    cloud.features.require("claim-codes", asked, _INSTEAD)
    image_id = images.find_image(cloud, image)["id"]
    body: dict[str, Any] = {"uses": uses, "make_shared": make_shared}
    body |= {"expires_at": expires_at} if expires_at else {}
    body |= {"terms": terms.to_json()} if terms is not None and terms.are_given else {}
    return ClaimCode.from_json(cloud.request("POST", f"/partage/v1/images/{image_id}/codes", body=body, asked=asked).document)


def list_codes(conn: Connection | Cloud, image: str) -> list[ClaimCode]:
    """List the codes of an image that have not expired, without their secrets.

    Raises:
        Unsupported: the image service has no claim codes.
        ClientError: it refuses.
    """
    cloud, asked = as_cloud(conn), f"List the claim codes of image {image}"
    cloud.features.require("claim-codes", asked, _INSTEAD)
    image_id = images.find_image(cloud, image)["id"]
    document = cloud.request("GET", f"/partage/v1/images/{image_id}/codes", asked=asked).document
    return [ClaimCode.from_json(each) for each in document["codes"]]


def revoke_code(conn: Connection | Cloud, image: str, code_id: str) -> None:
    """Revoke a code. Shares that it has made stay.

    Raises:
        Unsupported: the image service has no claim codes.
        NotFound: there is no such code.
        ClientError: the service refuses.
    """
    cloud, asked = as_cloud(conn), f"Revoke the claim code {code_id}"
    cloud.features.require("claim-codes", asked, _INSTEAD)
    image_id = images.find_image(cloud, image)["id"]
    cloud.request("DELETE", f"/partage/v1/images/{image_id}/codes/{code_id}", asked=asked)


def claim(conn: Connection | Cloud, code: str) -> Share:
    """Make the project a member of the image that a code is for. A claim can be repeated.

    Raises:
        Unsupported: the image service has no claim codes.
        NotFound: the code is wrong, used up, revoked or expired.
        Overloaded: too many claims have failed.
    """
    cloud, asked = as_cloud(conn), "Claim the share"
    check_support(cloud)
    return Share.from_json(cloud.request("POST", "/partage/v1/claims", body={"code": code}, asked=asked).document)


def check_support(conn: Connection | Cloud) -> None:
    """Check that codes can be claimed.

    Raises:
        Unsupported: the image service has no claim codes.
    """
    instead = "Send the id of your project to the owner of the image, who shares it with that"
    as_cloud(conn).features.require("claim-codes", "Claim the share", instead)
