"""An image as a value, its visibilities, and the table of legal status changes.

A change returns a new value. Pure: times and ids are parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import orjson

from partage import problems
from partage.model.ids import ContentID, ImageID, ProjectID, StoreID
from partage.model.location import Reference


class Visibility(StrEnum):
    """Who may see an image besides its owner."""

    PUBLIC = "public"
    COMMUNITY = "community"
    SHARED = "shared"
    PRIVATE = "private"


class ImageStatus(StrEnum):
    """An image's status."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    KILLED = "killed"
    PENDING_DELETE = "pending_delete"
    DELETED = "deleted"


RETAINED = ProjectID("-retained-")
"""The owner of a retained image. No project has this id: no query of a project's own images finds the image, and no policy rule
considers a caller its owner."""

_S = ImageStatus

STATUS_CHANGES: Mapping[ImageStatus, frozenset[ImageStatus]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.SAVING, _S.UPLOADING, _S.IMPORTING, _S.ACTIVE, _S.DELETED}),
        _S.SAVING: frozenset({_S.ACTIVE, _S.QUEUED, _S.KILLED, _S.DELETED}),
        _S.UPLOADING: frozenset({_S.IMPORTING, _S.QUEUED, _S.DELETED}),
        _S.IMPORTING: frozenset({_S.ACTIVE, _S.QUEUED, _S.DELETED}),
        _S.ACTIVE: frozenset({_S.DEACTIVATED, _S.PENDING_DELETE, _S.DELETED}),
        _S.DEACTIVATED: frozenset({_S.ACTIVE, _S.DELETED}),
        _S.PENDING_DELETE: frozenset({_S.DELETED, _S.ACTIVE}),
        _S.KILLED: frozenset({_S.DELETED}),
        _S.DELETED: frozenset(),
    },
)
"""From each status to those that may follow it. Source: the Image API's status machine, `glance.domain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image: the Image API's document plus the name of its content.

    `size` and `virtual_size` are bytes; `min_disk` is GiB and `min_ram` MiB, as in the API. Times are UTC, aware.
    `stores` are the stores that have the bytes, under `content_id`. `references` are locations on the web that have the bytes, too
    or instead, in the order in which they are tried. `external_url` is where the stored bytes were copied from, if a service of the
    cloud named it. `former_owner`, `former_visibility` and `former_status` are set on a retained image; its `owner` is `RETAINED`.
    `tags` are unique and unordered; `properties` are the custom ones, text to text.
    """

    id: ImageID
    owner: ProjectID | None
    created_at: datetime
    updated_at: datetime
    name: str | None = None
    status: ImageStatus = ImageStatus.QUEUED
    visibility: Visibility = Visibility.SHARED
    protected: bool = False
    os_hidden: bool = False
    min_disk: int = 0
    min_ram: int = 0
    disk_format: str | None = None
    container_format: str | None = None
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    content_id: ContentID | None = None
    stores: tuple[StoreID, ...] = ()
    references: tuple[Reference, ...] = ()
    external_url: str | None = None
    former_owner: ProjectID | None = None
    former_visibility: Visibility | None = None
    former_status: ImageStatus | None = None
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def become(self, status: ImageStatus, *, now: datetime) -> "Image":
        """Move to `status`.

        Raises:
            StatusConflict: the table does not allow it.
        """
        if status not in STATUS_CHANGES[self.status]:
            raise problems.StatusConflict(f"Image status transition from {self.status} to {status} is not allowed")
        return replace(self, status=status, updated_at=now)

    def retain(self, *, now: datetime) -> "Image":
        """Retain the image for its members: without an owner, unprotected, active, and visible only while a notice runs."""
        status = ImageStatus.ACTIVE if self.status is ImageStatus.DEACTIVATED else self.status
        return replace(
            self,
            owner=RETAINED,
            former_owner=self.owner,
            former_visibility=self.visibility,
            former_status=self.status,
            visibility=Visibility.PRIVATE,
            protected=False,
            status=status,
            updated_at=now,
        )

    def give_back(self, *, now: datetime) -> "Image":
        """Return a retained image to its former owner, with its former visibility and status."""
        return replace(self.as_owned(), updated_at=now)

    def as_owned(self) -> "Image":
        """Return the image as its owner has it, or had it when it deleted a retained image."""
        if not self.is_retained:
            return self
        return replace(
            self,
            owner=self.former_owner,
            former_owner=None,
            visibility=self.former_visibility or Visibility.PRIVATE,
            former_visibility=None,
            status=self.former_status or self.status,
            former_status=None,
        )

    @property
    def is_retained(self) -> bool:
        """Whether the image is retained: its owner has deleted it while notice runs."""
        return self.former_owner is not None

    def as_shared(self) -> "Image":
        """Return the image as a member sees it while a notice runs: as it was shared, whatever its owner changed since."""
        status = ImageStatus.ACTIVE if self.status is ImageStatus.DEACTIVATED else self.status
        visibility = Visibility.SHARED if self.visibility is Visibility.PRIVATE else self.visibility
        return replace(
            self,
            owner=self.former_owner or self.owner,
            former_owner=None,
            visibility=visibility,
            former_visibility=None,
            status=status,
            former_status=None,
        )

    @property
    def details_bytes(self) -> int:
        """The size of tags and properties as JSON."""
        return len(orjson.dumps(self.tags)) + len(orjson.dumps(dict(self.properties)))

    @property
    def document_bytes(self) -> int:
        """The size of the document's parts of variable length as JSON: tags, properties and locations."""
        locations = [[each.url, each.metadata] for each in self.references]
        return self.details_bytes + len(orjson.dumps(locations))

    @property
    def all_stores(self) -> tuple[StoreID, ...]:
        """The stores that have the image: those with its bytes first, then those with its references."""
        if not self.references:
            return self.stores
        return tuple(dict.fromkeys((*self.stores, *(each.store for each in self.references))))

    def without_store(self, store_id: StoreID, *, now: datetime) -> "Image":
        """Remove one of the stores that have the bytes. After the last one, only the references have them."""
        remaining = tuple(each for each in self.stores if each != store_id)
        return replace(self, stores=remaining, content_id=self.content_id if remaining else None, updated_at=now)

    def require_shared(self, action: str) -> None:
        """Check that the image is shared, so that it has members.

        Raises:
            ImageNotShared: it has another visibility.
        """
        if self.visibility is not Visibility.SHARED:
            raise problems.ImageNotShared(action)

    def require_unprotected(self) -> None:
        """Check that the image may be deleted.

        Raises:
            ImageProtected: it is protected.
        """
        if self.protected:
            raise problems.ImageProtected(f"Image {self.id} is protected and cannot be deleted.")

    def require_changeable(self) -> None:
        """Check that the image's attributes may change.

        Raises:
            Forbidden: the image is retained: another visibility or owner would share on what its owner has deleted.
        """
        if self.is_retained:
            raise problems.Forbidden(
                f"Image {self.id} was deleted by its owner and is kept for members whose notice runs; "
                "it can be restored or deleted, not changed"
            )

    def begin_saving(self, *, now: datetime) -> "Image":
        """Start to receive image data.

        Raises:
            StatusConflict: the image is not queued.
            FormatMissing: disk_format or container_format is not set.
        """
        saving = self.become(ImageStatus.SAVING, now=now)
        missing = [name for name in ("disk_format", "container_format") if getattr(self, name) is None]
        if missing:
            raise problems.FormatMissing(f"Properties {', '.join(missing)} must be set prior to saving data.")
        return saving


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """A request to create an image.

    `owner` counts only if `owner_given`: an image without an owner (null) differs from a request without an owner.
    `tags` are as given, with duplicates.
    """

    id: ImageID | None = None
    owner: ProjectID | None = None
    owner_given: bool = False
    name: str | None = None
    visibility: Visibility = Visibility.SHARED
    protected: bool = False
    os_hidden: bool = False
    min_disk: int = 0
    min_ram: int = 0
    disk_format: str | None = None
    container_format: str | None = None
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def image(self, *, id: ImageID, owner: ProjectID | None, now: datetime) -> Image:  # noqa: A002 - the API's word
        """Return the requested image, in the status `queued`."""
        return Image(
            id=id,
            owner=owner,
            created_at=now,
            updated_at=now,
            name=self.name,
            visibility=self.visibility,
            protected=self.protected,
            os_hidden=self.os_hidden,
            min_disk=self.min_disk,
            min_ram=self.min_ram,
            disk_format=self.disk_format,
            container_format=self.container_format,
            tags=tuple(sorted(set(self.tags))),
            properties=self.properties,
        )
