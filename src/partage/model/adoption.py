"""Adoption: an own image made from another one, with the same content. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from partage.model.document import RESERVED_PREFIX
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionRequest:
    """What the adopter sets. Without a name the image gets the source's. `tags` are as given, with duplicates."""

    name: str | None = None
    visibility: Visibility = Visibility.SHARED
    tags: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def build_image(self, source: Image, *, id: ImageID, owner: ProjectID | None, now: datetime) -> Image:  # noqa: A002 - the API's word
        """Return the new image: the source's data, formats, minimums and properties, and nothing of its state or its sharing.

        The properties are those of the source without the service's own; `with_properties` adds the adopter's.
        """
        return Image(
            id=id,
            owner=owner,
            created_at=now,
            updated_at=now,
            name=source.name if self.name is None else self.name,
            status=ImageStatus.ACTIVE,
            visibility=self.visibility,
            min_disk=source.min_disk,
            min_ram=source.min_ram,
            disk_format=source.disk_format,
            container_format=source.container_format,
            size=source.size,
            virtual_size=source.virtual_size,
            checksum=source.checksum,
            os_hash_algo=source.os_hash_algo,
            os_hash_value=source.os_hash_value,
            content_id=source.content_id,
            stores=source.stores,
            references=source.references,
            tags=tuple(sorted(set(self.tags))),
            properties={name: value for name, value in source.properties.items() if not name.startswith(RESERVED_PREFIX)},
        )

    def with_properties(self, image: Image) -> Image:
        """Return an image with the adopter's properties, which replace those of the same name."""
        return replace(image, properties={**image.properties, **self.properties})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """From which image an image was adopted, and when; both None for an image that was not adopted."""

    image_id: ImageID
    adopted_from: ImageID | None = None
    adopted_at: datetime | None = None
