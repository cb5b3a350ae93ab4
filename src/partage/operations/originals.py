"""Reads contents in place: their bytes are still in a store of Glance, which nothing here writes to (docs/decisions/0080).

What is read whole is compared with the digest that Glance recorded: the last block is yielded only if it is equal. A part of a
content cannot be compared, as in Glance.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from partage import problems
from partage.model.ids import ContentID, StoreID
from partage.model.original import Original
from partage.operations.service import Service
from partage.records import originals


@dataclass(slots=True)
class Comparison:
    """The digest of a content as far as it was read in order, in one pass or in several. For one thread."""

    hasher: Any = None
    hashed_bytes: int = 0

    def pass_block(self, original: Original, start: int, block: bytes) -> None:
        """Hash the bytes of a block that were not hashed yet; compare the digest at the end of the content.

        Raises:
            ContentCorrupt: all bytes were read, and do not have the digest.
        """
        if not original.digest or start > self.hashed_bytes:
            return
        if self.hasher is None:
            self.hasher = hashlib.new(original.algorithm, usedforsecurity=False)
        stop = start + len(block)
        if stop > self.hashed_bytes:
            self.hasher.update(memoryview(block)[self.hashed_bytes - start :])
            self.hashed_bytes = stop
        if stop == original.size_bytes and self.hashed_bytes == stop and self.hasher.hexdigest() != original.digest.lower():
            raise problems.ContentCorrupt(
                f"The image's data in Glance's store {original.place} does not have the {original.algorithm} that Glance recorded; "
                "restore it from a backup of Glance's store"
            )


def find_in_place(service: Service, content_id: ContentID, store_id: StoreID) -> Original | None:
    """Return the original from which a content is read in place of a store; None if the store has chunks.

    Asks the database only where the configuration of a Glance is known; without it no content is read in place.
    """
    if not service.stores.originals:
        return None
    with service.database.read() as tx:
        return originals.find_in_place(tx, content_id, store_id)


def read(service: Service, original: Original, start: int, stop: int, comparison: Comparison | None = None) -> Iterator[bytes]:
    """Yield the bytes [start, stop) of a content in place. Close the iterator to stop.

    Raises:
        ContentCorrupt: the file or object is gone or too short, or was read whole and does not have the digest.
        StoreUnavailable: Glance's store does not respond, or its configuration does not have it any more.
    """
    found = service.stores.originals.get(original.place)
    if found is None:
        raise make_place_problem(original)
    comparison = comparison or Comparison()
    for block in found.read(original.url, start, stop):
        comparison.pass_block(original, start, block)
        yield block
        start += len(block)


def make_place_problem(original: Original) -> problems.StoreUnavailable:
    """Return the problem of an original whose place the configuration does not have."""
    return problems.StoreUnavailable(
        f"The image's data is still in Glance's store {original.place}, which taking_over.glance_config does not have; the "
        "operator has to set it to the configuration of that Glance"
    )
