"""How much the service takes: caps and counts, and the pure checks of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's limits. Sizes are bytes; 0 for a project's storage, images or uploads under way means no limit.

    `one_upload_may_exceed` is about limits that are kept in Keystone: see `one_over` in `model/quota.py`.

    Source: Glance's defaults for size cap, tags, properties, members, locations and pages; a cap on image records is ours, because
    records without data could otherwise fill the database (OSSN-0076).
    """

    image_size_cap_bytes: int = 1 << 40
    images_per_project: int = 100_000
    storage_per_project_bytes: int = 0
    uploads_per_project: int = 64
    tags: int = 128
    properties: int = 128
    members: int = 128
    locations: int = 10
    page_default: int = 25
    page_max: int = 1000
    one_upload_may_exceed: bool = False

    def check_tags(self, count: int) -> None:
        """Raises: TooMany."""
        _at_most(self.tags, count, "The limit has been exceeded on the number of allowed image tags")

    def check_properties(self, properties: Mapping[str, str]) -> None:
        """Raises: TooMany."""
        _at_most(self.properties, len(properties), "The limit has been exceeded on the number of allowed image properties")

    def check_members(self, count: int) -> None:
        """Raises: TooMany."""
        _at_most(self.members, count, "The limit has been exceeded on the number of allowed image members for this image")

    def check_locations(self, count: int) -> None:
        """Raises: TooMany."""
        _at_most(self.locations, count, "The limit has been exceeded on the number of allowed image locations")

    def check_image(self, image: Image) -> None:
        """Refuse an image with too many tags or properties.

        Raises:
            TooMany: it has.
        """
        self.check_tags(len(image.tags))
        self.check_properties(image.properties)


def _at_most(maximum: int, attempted: int, words: str) -> None:
    if 0 <= maximum < attempted:
        raise problems.TooMany(f"{words}. Attempted: {attempted}, Maximum: {maximum}")
