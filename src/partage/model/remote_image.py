"""The document of an image in another region: which attributes and properties are copied.

Pure. The other region belongs to the same cloud, but its document is trusted no more than a client's: read-only and reserved names
are left out, and values that an image here cannot have are refused. Source: Glance's `glance-download`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from partage import problems
from partage.model.document import KnownFormats, check_storable, check_value, is_property_name, read_name
from partage.model.image import Image, ImageStatus

COPIED = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
"""Prefixes of the names of properties that describe an image's bytes. Source: Glance's default."""

LARGEST_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteImage:
    """The copied description of an image. `digest` is an algorithm and a value; None if the other service has none."""

    size_bytes: int
    digest: tuple[str, str] | None
    disk_format: str
    container_format: str
    properties: Mapping[str, str]

    def apply_to(self, image: Image) -> Image:
        """Return `image` with this description."""
        return replace(
            image,
            disk_format=self.disk_format,
            container_format=self.container_format,
            properties={**image.properties, **self.properties},
        )


def parse_remote_image(document: object, *, copied: Collection[str], known: KnownFormats) -> RemoteImage:
    """Parse another image service's document of an image. Properties with the prefixes `copied` are copied.

    Raises:
        RemoteImageRefused: it is not an image's document, the image is not active, or a value cannot be stored here.
    """
    if not isinstance(document, dict):
        raise _refusal("is not a JSON object")
    status = document.get("status")
    if status != ImageStatus.ACTIVE:
        raise _refusal(f"should be active and is {str(status)[:50]}")
    size = document.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST_BYTES:
        raise _refusal("has no valid size")
    for name in ("disk_format", "container_format"):
        if document.get(name) is None:
            raise _refusal(f"has no {name}")
        _require_fitting(name, document[name], known)
    return RemoteImage(
        size_bytes=size,
        digest=_digest(document),
        disk_format=document["disk_format"],
        container_format=document["container_format"],
        properties=MappingProxyType(_properties(document, copied, known)),
    )


def _digest(document: Mapping[str, Any]) -> tuple[str, str] | None:
    for algorithm, value in ((document.get("os_hash_algo"), document.get("os_hash_value")), ("md5", document.get("checksum"))):
        if isinstance(algorithm, str) and isinstance(value, str) and algorithm and value:
            return algorithm, value
    return None


def _properties(document: Mapping[str, Any], copied: Collection[str], known: KnownFormats) -> dict[str, str]:
    pairs = [(read_name(text), value) for text, value in document.items()]
    found = {name: value for name, value in pairs if name.startswith(tuple(copied)) and is_property_name(name)}
    for name, value in found.items():
        _require_fitting(name, value, known)
    return found


def _require_fitting(name: str, value: object, known: KnownFormats) -> None:
    try:
        check_value(name, value, known)
        check_storable(name, value)
    except problems.BodyInvalid as problem:
        raise _refusal(f"has a {name[:100]} that is not taken here: {problem.sentence()}") from problem
    if "\x00" in f"{name}{value}":
        raise _refusal("has a NUL character in a property")


def _refusal(words: str) -> problems.RemoteImageRefused:
    return problems.RemoteImageRefused(f"The image in the other region {words}; only a complete and active image can be copied")
