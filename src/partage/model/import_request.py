"""The request to import image data: the method, its fields, and the stores.

Messages and statuses are Glance's, except that a field of the wrong type is refused at once instead of failing later.
Source: Image API v2, "Import an image".
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from partage import problems
from partage.model.ids import ImageID, StoreID
from partage.model.image import ImageStatus


class ImportMethod(StrEnum):
    """The source of the image data."""

    GLANCE_DIRECT = "glance-direct"
    WEB_DOWNLOAD = "web-download"
    COPY_IMAGE = "copy-image"
    GLANCE_DOWNLOAD = "glance-download"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A request to import. `stores` None is the default store, unless `all_stores` is set."""

    method: ImportMethod
    uri: str = ""
    region: str = ""
    remote_image_id: str = ""
    interface: str = "public"
    stores: tuple[StoreID, ...] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True

    def require_status(self, status: ImageStatus) -> None:
        """Check that the image's status permits the import: `active` to copy it, else `queued` or `uploading`.

        Raises:
            StatusConflict: the image has another status.
        """
        copying = self.method is ImportMethod.COPY_IMAGE
        if status is ImageStatus.ACTIVE and not copying:
            raise problems.StatusConflict("Image with status active cannot be target for import")
        if copying:
            if status is not ImageStatus.ACTIVE:
                raise problems.StatusConflict("Only images with status active can be targeted for copying")
        elif self.method is ImportMethod.GLANCE_DIRECT:
            if status is not ImageStatus.UPLOADING:
                raise problems.StatusConflict("Image needs to be staged before 'glance-direct' method can be used")
        elif status is not ImageStatus.QUEUED:
            raise problems.StatusConflict(f"Image needs to be in 'queued' state to use '{self.method}' method")

    def document(self) -> dict[str, object]:
        """Return the request's document, which its task shows."""
        method: dict[str, object] = {"name": self.method.value}
        if self.method is ImportMethod.WEB_DOWNLOAD:
            method["uri"] = self.uri
        if self.method is ImportMethod.GLANCE_DOWNLOAD:
            method |= {
                "glance_region": self.region,
                "glance_image_id": self.remote_image_id,
                "glance_service_interface": self.interface,
            }
        written: dict[str, object] = {"method": method}
        if not self.all_stores_must_succeed:
            written["all_stores_must_succeed"] = False
        if self.all_stores:
            written["all_stores"] = True
        if self.stores is not None:
            written["stores"] = list(self.stores)
        return written


def parse_import_request(document: object, *, enabled: Collection[str], header_store: StoreID | None) -> ImportRequest:
    """Parse the document of an import call, and the store that a header named.

    Raises:
        BodyInvalid: the document is invalid, its method is not enabled, or stores are named in two ways.
    """
    if not isinstance(document, dict) or "method" not in document:
        raise problems.BodyInvalid("Import request requires a 'method' field.")
    given = document["method"]
    if not isinstance(given, dict) or "name" not in given:
        raise problems.BodyInvalid("Import request requires a 'name' field.")
    if not isinstance(given["name"], str) or given["name"] not in enabled:
        raise problems.BodyInvalid(f"Unknown import method name '{str(given['name'])[:100]}'.")
    method = ImportMethod(given["name"])
    return ImportRequest(
        method=method,
        uri=_uri(given) if method is ImportMethod.WEB_DOWNLOAD else "",
        **(_remote(given) if method is ImportMethod.GLANCE_DOWNLOAD else {}),
        all_stores_must_succeed=_flag(document, "all_stores_must_succeed", default=True),
        all_stores=_flag(document, "all_stores", default=False),
        stores=_stores(document, header_store),
    )


def request_of(document: Mapping[str, Any]) -> ImportRequest:
    """Parse a document that `ImportRequest.document` returned."""
    return parse_import_request(document, enabled=tuple(ImportMethod), header_store=None)


def _remote(given: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("glance_region", "glance_image_id"):
        if name not in given:
            raise problems.BodyInvalid(f"'{name}' needs to be set for glance-download import method")
    image_id = _text(given, "glance_image_id")
    try:
        UUID(image_id)
    except ValueError as error:
        raise problems.BodyInvalid(f"Remote image id does not look like a UUID: {image_id[:100]}") from error
    # The task checks region and interface in the catalog. Source: Glance, and its Tempest tests.
    interface = _text(given, "glance_service_interface") if "glance_service_interface" in given else "public"
    return {"region": _text(given, "glance_region"), "remote_image_id": ImageID(image_id), "interface": interface}


def _uri(given: Mapping[str, Any]) -> str:
    """Return the URI; empty if it is not a string: it is refused with other invalid URIs, after the check of the image's status."""
    value = given.get("uri")
    return value if isinstance(value, str) else ""


def _stores(document: Mapping[str, Any], header_store: StoreID | None) -> tuple[StoreID, ...] | None:
    if document.get("all_stores"):
        if "stores" in document or header_store is not None:
            raise problems.BodyInvalid("All_stores parameter can't be used with x-image-meta-store header or stores parameter")
        return None
    if "stores" not in document:
        return None if header_store is None else (header_store,)
    if header_store is not None:
        raise problems.BodyInvalid("Stores parameter and x-image-meta-store header can't be both specified")
    found = document["stores"]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise problems.BodyInvalid("'stores' must be a list of store names")
    return tuple(StoreID(each) for each in dict.fromkeys(found)) or None  # an empty list: the default store, as in Glance


def _flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        raise problems.BodyInvalid(f"'{name}' must be boolean value only")
    return value


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise problems.BodyInvalid(f"The import method needs '{name}', a text")
    return value
