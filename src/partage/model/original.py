"""An original: bytes of a content that are still where a Glance stored them, in the place of one of this service's stores."""

from dataclasses import dataclass
from datetime import datetime

from partage.model.ids import ContentID, StoreID


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """Where the bytes of a content are, outside of this service's stores.

    `store_id` is the store of this service that has the content for clients, and gets its chunks later. `place` is Glance's store.
    `algorithm` and `digest` are what Glance recorded of the bytes; empty if it recorded nothing. `cut_at` is when the content was
    cut into chunks: the original is not read any more. `fault` says why the last attempt failed.
    """

    content_id: ContentID
    store_id: StoreID
    place: str
    url: str
    size_bytes: int
    algorithm: str = ""
    digest: str = ""
    cut_at: datetime | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CuttingProgress:
    """How many contents were taken over in place, and how many of them are in chunks by now; sizes in bytes."""

    contents: int
    cut_contents: int
    size_bytes: int
    cut_bytes: int
    faults: int
