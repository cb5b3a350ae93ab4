"""The operator's limits and their checks. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's limits. Sizes are bytes; 0 for a project's storage, images or running uploads means no limit.

    `document_bytes` limits one image's tags, properties and locations, and one task's input; `page_bytes` limits a page of a list,
    and the definitions of a namespace.
    `uses` limits the recorded uses of an image by one project.
    `one_upload_may_exceed` applies to limits in Keystone: see `one_over` in `model/quota.py`.

    Source: Glance's defaults for size cap, tags, properties, members, locations and pages. The limit of images per project is ours,
    because images without data could fill the database (OSSN-0076).
    """

    image_size_cap_bytes: int = 1 << 40
    images_per_project: int = 100_000
    storage_per_project_bytes: int = 0
    uploads_per_project: int = 64
    tags: int = 128
    properties: int = 128
    members: int = 128
    locations: int = 10
    uses: int = 1000
    page_default: int = 25
    page_max: int = 1000
    page_bytes: int = 1 << 22
    document_bytes: int = 1 << 18
    patch_operations: int = 1000
    one_upload_may_exceed: bool = False

    def check_tags(self, count: int) -> None:
        """Raises: TooMany."""
        _check_maximum(self.tags, count, "The limit has been exceeded on the number of allowed image tags")

    def check_properties(self, properties: Mapping[str, str]) -> None:
        """Raises: TooMany."""
        _check_maximum(self.properties, len(properties), "The limit has been exceeded on the number of allowed image properties")

    def check_members(self, count: int) -> None:
        """Raises: TooMany."""
        _check_maximum(self.members, count, "The limit has been exceeded on the number of allowed image members for this image")

    def check_locations(self, count: int) -> None:
        """Raises: TooMany."""
        _check_maximum(self.locations, count, "The limit has been exceeded on the number of allowed image locations")

    def check_uses(self, count: int) -> None:
        """Raises: TooMany."""
        _check_maximum(self.uses, count, "The limit has been exceeded on the number of recorded uses of an image by one project")

    def check_image(self, image: Image) -> None:
        """Check the number and the size of an image's tags and properties.

        Raises:
            TooMany: a limit is exceeded.
        """
        self.check_tags(len(image.tags))
        self.check_properties(image.properties)
        self.check_document(image.document_bytes)

    def check_growth(self, image: Image, was: Image) -> None:
        """Check the size of tags, properties and locations after a change. An image that was above the limit may shrink.

        Raises:
            TooMany: they take more bytes than permitted, and more than before.
        """
        size_bytes = image.document_bytes
        if size_bytes > was.document_bytes:
            self.check_document(size_bytes)

    def check_document(self, size_bytes: int) -> None:
        """Raises: TooMany."""
        if size_bytes > self.document_bytes:
            raise problems.TooMany(
                "The limit has been exceeded on the size of the tags, properties and locations of an image together. "
                f"Attempted: {size_bytes} bytes, Maximum: {self.document_bytes}"
            )

    def check_namespace(self, size_bytes: int) -> None:
        """Raises: TooMany."""
        if size_bytes > self.page_bytes:
            raise problems.TooMany(
                "The limit has been exceeded on the size of all that a namespace of metadata definitions defines. "
                f"Attempted: {size_bytes} bytes, Maximum: {self.page_bytes}"
            )

    def check_input(self, size_bytes: int) -> None:
        """Check the size of a task's input.

        Raises:
            TooMany: it takes too many bytes.
        """
        if size_bytes > self.document_bytes:
            raise problems.TooMany(
                f"The limit has been exceeded on the size of the input of a task. Attempted: {size_bytes} bytes, "
                f"Maximum: {self.document_bytes}"
            )


def _check_maximum(maximum: int, attempted: int, words: str) -> None:
    if 0 <= maximum < attempted:
        raise problems.TooMany(f"{words}. Attempted: {attempted}, Maximum: {maximum}")
