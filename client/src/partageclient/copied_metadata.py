"""Which attributes, properties and tags of an image a copy gets, and which images cannot be copied. Sends no requests."""

from dataclasses import dataclass, field
from typing import Any

from partageclient import errors
from partageclient.images import Image

MARKER = "partage_copy_of"
"""The property of an image that is being copied: the id of its source. So a later run finds what an interrupted one has left."""

_ATTRIBUTES = frozenset(
    ("id", "name", "owner", "created_at", "updated_at", "visibility", "status", "protected", "checksum", "size", "virtual_size",
     "container_format", "disk_format", "min_ram", "min_disk", "tags", "locations", "direct_url", "self", "file", "schema",
     "os_hash_algo", "os_hash_value", "os_hidden", "stores")
)  # fmt: skip
"""Attributes of the Image API, all others are properties. Source: its schema /v2/schemas/image."""

_KEPT = ("disk_format", "container_format", "min_disk", "min_ram")
_KEYS = ("cinder_encryption_key_id", "os_encrypt_key_id")
"""Properties that name a key which the image's data cannot be read without. Source: Cinder and Glance."""

_VOLUMES = ("block_device_mapping", "bdm_v2")
_ELSEWHERE = {
    **dict.fromkeys(("kernel_id", "ramdisk_id"), "names an image of the other cloud"),
    **dict.fromkeys(_VOLUMES, "names snapshots of volumes of the other cloud"),
}
_SIGNATURE = "img_signature"
_OF_SERVICE = "os_glance_"
"""Properties that image services keep for themselves begin so."""


@dataclass(frozen=True)
class Metadata:
    """What a copy is created with, what is set when it is whole, and what is left out: properties, each with the reason."""

    document: dict[str, Any]
    afterwards: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """The properties among what the copy is created with."""
        return {name: value for name, value in self.document.items() if name not in _ATTRIBUTES and name != MARKER}

    def has_created(self, image: Image) -> bool:
        """Return whether an image looks as if it had been created with this metadata; a property may be missing."""
        attributes = {name: value for name, value in self.document.items() if name not in self.properties and name != "tags"}
        is_same = all(image.get(name) == value for name, value in attributes.items())
        kept = {name: value for name, value in image.items() if name not in _ATTRIBUTES and not name.startswith(_OF_SERVICE)}
        has_no_other = all(self.document.get(name) == value for name, value in kept.items())
        return is_same and has_no_other and sorted(image.get("tags") or []) == sorted(self.document["tags"])

    def find_missing(self, image: Image) -> dict[str, str]:
        """Return the properties that an image does not have."""
        return {name: value for name, value in self.properties.items() if name not in image}


def select(image: Image, *, name: str | None = None, to_other_cloud: bool) -> Metadata:
    """Choose what the copy of an image gets.

    The copy is private, because it has no members, and neither protected nor hidden before it is whole, so that it can be removed.
    To another cloud these two come along; within a cloud they are the business of the image's owner.
    """
    document: dict[str, Any] = {each: image[each] for each in _KEPT if image.get(each) is not None}
    document |= {
        "name": name or image.get("name") or str(image["id"]),
        "visibility": "private",
        "tags": list(image.get("tags") or []),
    }
    left_out = {}
    for key, value in image.items():
        if key in _ATTRIBUTES or key == MARKER or value is None:
            continue
        reason = _find_reason_to_leave_out(key, to_other_cloud=to_other_cloud)
        if reason:
            left_out[key] = reason
        else:
            document[key] = value
    document[MARKER] = str(image["id"])
    afterwards = {each: True for each in ("protected", "os_hidden") if to_other_cloud and image.get(each)}
    return Metadata(document, afterwards, left_out)


def _find_reason_to_leave_out(key: str, *, to_other_cloud: bool) -> str:
    if key.startswith(_OF_SERVICE):
        return "the image service keeps it for itself"
    if to_other_cloud and key.startswith(_SIGNATURE):
        return "names a certificate of the other cloud"
    return _ELSEWHERE.get(key, "") if to_other_cloud else ""


def check_copyable(image: Image, asked: str) -> None:
    """Check that a copy of the image's data would be an image that works.

    Raises:
        Conflict: the image has no data, refers to snapshots of volumes, or is encrypted.
    """
    if image.get("status") != "active":
        obstacle = f"the image is {image.get('status')}, so that its data cannot be downloaded"
        raise errors.Conflict(asked, obstacle, "Only active images can be copied; ask its owner to activate it")
    if not image.get("size") and any(image.get(each) not in (None, "", "[]") for each in _VOLUMES):
        remedy = "Copy the volume instead: `openstack image create --volume VOLUME NAME` makes an image that has its data"
        raise errors.Conflict(asked, "the image has no data of its own, it refers to snapshots of volumes", remedy)
    key = next((each for each in _KEYS if image.get(each)), None)
    if key:
        remedy = "Its owner can create an image without encryption: of a volume that was retyped to a type without encryption"
        raise errors.Conflict(asked, f"the image is encrypted with a key that a copy could not use ({key})", remedy)
