"""How much the service takes: caps and counts, and the pure checks of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's limits. Sizes are bytes; 0 for a project's storage or images means no limit.

    Source: Glance's defaults for size cap, tags, properties, members and pages; a cap on image records is ours, because
    records without data could otherwise fill the database (OSSN-0076).
    """

    image_size_cap_bytes: int = 1 << 40
    images_per_project: int = 100_000
    storage_per_project_bytes: int = 0
    tags: int = 128
    properties: int = 128
    members: int = 128
    page_default: int = 25
    page_max: int = 1000

    def check_tags(self, count: int) -> None:
        """Raises: TooMany."""
        _at_most(self.tags, count, "The limit has been exceeded on the number of allowed image tags")

    def check_properties(self, properties: Mapping[str, str]) -> None:
        """Raises: TooMany."""
        _at_most(self.properties, len(properties), "The limit has been exceeded on the number of allowed image properties")

    def check_members(self, count: int) -> None:
        """Raises: TooMany."""
        _at_most(self.members, count, "The limit has been exceeded on the number of allowed image members for this image")

    def check_image(self, image: Image) -> None:
        """Refuse an image with too many tags or properties.

        Raises:
            TooMany: it has.
        """
        self.check_tags(len(image.tags))
        self.check_properties(image.properties)

    def check_image_count(self, count: int) -> None:
        """Refuse one more image than a project may have.

        Raises:
            QuotaExceeded: `count` is above the limit.
        """
        if 0 < self.images_per_project < count:
            raise problems.QuotaExceeded(
                f"The project may have {self.images_per_project} images and has them all; delete one or ask for a higher quota",
            )

    def check_storage(self, used_bytes: int) -> None:
        """Refuse more bytes than a project may store.

        Raises:
            QuotaExceeded: `used_bytes` is above the limit.
        """
        if 0 < self.storage_per_project_bytes < used_bytes:
            raise problems.QuotaExceeded(
                f"The project may store {self.storage_per_project_bytes} bytes of image data and this would make {used_bytes}; "
                "delete images or ask for a higher quota",
            )

    def room_bytes(self, used_bytes: int) -> int:
        """Say how many bytes one more image may have, when `used_bytes` are stored already."""
        if not self.storage_per_project_bytes:
            return self.image_size_cap_bytes
        return max(0, min(self.image_size_cap_bytes, self.storage_per_project_bytes - used_bytes))


def _at_most(maximum: int, attempted: int, words: str) -> None:
    if 0 <= maximum < attempted:
        raise problems.TooMany(f"{words}. Attempted: {attempted}, Maximum: {maximum}")
