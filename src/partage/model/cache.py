"""What a node of the service has near: images whose bytes it keeps on its own disk, and images that it is to fetch."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from partage import problems
from partage.model.ids import ImageID


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image that one node has near. `hits` are the whole downloads since it came, `last_modified` is when it came."""

    image_id: ImageID
    hits: int
    last_accessed: datetime
    last_modified: datetime
    size: int
    checksum: str | None


@dataclass(frozen=True, slots=True)
class CacheState:
    """What one node has near, oldest first, and what it is to fetch, in that order."""

    cached: tuple[CachedImage, ...]
    queued: tuple[ImageID, ...]


class ClearTarget(StrEnum):
    """What of a node's cache is to be cleared."""

    ALL = ""
    CACHE = "cache"
    QUEUE = "queue"


def parse_clear_target(text: str) -> ClearTarget:
    """Understand the header `x-image-cache-clear-target`; the words are Glance's.

    Raises:
        Invalid: it is none of the three.
    """
    try:
        return ClearTarget(text.lower())
    except ValueError as error:
        raise problems.Invalid("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.") from error
