"""The cache of a node: images whose data it has on its own disk, and images that are queued for caching."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partage import problems
from partage.model.ids import ImageID


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image that a node has cached. `hits` counts complete downloads since then, `last_modified` is when it was cached."""

    image_id: ImageID
    hits: int
    last_accessed: datetime
    last_modified: datetime
    size: int
    checksum: str | None


@dataclass(frozen=True, slots=True)
class CacheState:
    """A node's cached images, oldest first, and its queued images in order."""

    cached: tuple[CachedImage, ...]
    queued: tuple[ImageID, ...]


class ClearTarget(StrEnum):
    """The part of a node's cache to clear."""

    ALL = ""
    CACHE = "cache"
    QUEUE = "queue"


def parse_clear_target(text: str) -> ClearTarget:
    """Parse the header `x-image-cache-clear-target`. Source: Glance.

    Raises:
        Invalid: the value is none of the three.
    """
    try:
        return ClearTarget(text.lower())
    except ValueError as error:
        raise problems.Invalid("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.") from error
