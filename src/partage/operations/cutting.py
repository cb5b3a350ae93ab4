"""Cuts contents that are in place into chunks of this service's stores; the originals stay.

A content is read from Glance's store, compared with the digest that Glance recorded, and written to each store of this service that
has it. One transaction then inserts the manifest: readers change from the original to the chunks between two reads. What a run that
was interrupted has stored is not stored again, because its chunks are known; its image is read again from the start.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from partage import problems
from partage.content.inspection import Unwatched
from partage.content.manifest import Content
from partage.model.ids import ContentID
from partage.model.original import CuttingProgress, Original
from partage.operations import ingest, originals
from partage.operations.service import NamedStore, Service
from partage.records import contents
from partage.records import originals as rows
from partage.stores.engine.writer import WriteOptions, Written

_LOG = logging.getLogger(__name__)
_CONTENTS_AT_ONCE = 100
_FAULT_CHARACTERS = 1000


def list_uncut(service: Service, after: ContentID | None = None) -> Iterator[ContentID]:
    """Yield the contents that are in place, by id, after that one.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    while True:
        with service.database.read() as tx:
            found = rows.list_uncut(tx, after=after, limit_rows=_CONTENTS_AT_ONCE)
        yield from found
        if not found:
            return
        after = found[-1]


def measure_progress(service: Service) -> CuttingProgress:
    """Count what was taken over in place, and what of it is in chunks.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with service.database.read() as tx:
        return rows.measure_progress(tx)


def try_cut(service: Service, content_id: ContentID, pace: Callable[[int], None]) -> str:
    """Cut a content as `cut` does; if that fails, record and return why. Empty: it is in chunks.

    Raises:
        DatabaseUnavailable: the database does not answer.
        StoreFull: a store of this service has no room, so that no other content would have any.
    """
    try:
        cut(service, content_id, pace)
    except (problems.StoreFull, problems.DatabaseUnavailable):
        raise
    except (problems.Unavailable, problems.ContentCorrupt, problems.Invalid, problems.StoreReadOnly) as problem:
        fault = problem.sentence()[:_FAULT_CHARACTERS]
        _LOG.warning("content %s was not cut into chunks: %s", content_id, fault)
        with service.database.write() as tx:
            rows.note_fault(tx, content_id, fault)
        return fault
    return ""


def cut(service: Service, content_id: ContentID, pace: Callable[[int], None]) -> None:
    """Write the chunks of a content in place to each of its stores, and insert its manifest. Does nothing if it has one.

    `pace` is called with the size of each block that was read. It may wait, and may raise to interrupt.

    Raises:
        ContentCorrupt: no original is whole and has its digest.
        StoreUnavailable, StoreFull, StoreReadOnly, StoreUnknown: Glance's store cannot be read, or one of this service not written.
    """
    with service.database.read() as tx:
        found = [each for each in rows.list_of_content(tx, content_id) if each.cut_at is None]
        content = contents.find(tx, content_id)
    if content is None or not found:
        return
    stores = [service.stores.find_writable(each.store_id) for each in found]
    written = [_write(service, named, content, _order(found, named), pace) for named in stores]
    if any(each.segments != written[0].segments for each in written):
        raise problems.ContentCorrupt(
            "Glance's stores have different data of the image, and Glance recorded no digest; compare the files, and remove the "
            "location that is wrong in Glance"
        )
    with service.database.write() as tx:
        if not contents.lock(tx, content_id):
            return  # its image was deleted meanwhile
        present = [each for each in rows.list_of_content(tx, content_id) if each.cut_at is None]
        if not present:
            return  # another process cut it meanwhile
        if [replace(each, fault="") for each in present] != [replace(each, fault="") for each in found]:
            raise problems.StoreUnavailable("The originals changed while they were read; the next run reads them again")
        contents.add_manifest(tx, content_id, written[0].content, written[0].segments)
        for named in stores:
            ingest.require_chunks(tx, named, written[0].segments)
        rows.note_cut(tx, content_id, now=service.clock())


def _order(found: list[Original], named: NamedStore) -> list[Original]:
    """Order the originals of a content for a store: its own first."""
    return sorted(found, key=lambda each: each.store_id != named.id)


def _write(service: Service, named: NamedStore, content: Content, sources: list[Original], pace: Callable[[int], None]) -> Written:
    """Write a content to a store, from the first original that gives it."""
    for source in sources[:-1]:
        with suppress(problems.ContentCorrupt, problems.StoreUnavailable):
            return _write_from(service, named, content, source, pace)
    return _write_from(service, named, content, sources[-1], pace)


def _write_from(service: Service, named: NamedStore, content: Content, source: Original, pace: Callable[[int], None]) -> Written:
    missing = [each for each in ingest.list_algorithms(service) if each not in content.digests.by_algorithm]
    options = WriteOptions(
        limit_bytes=content.size_bytes,
        announced_bytes=content.size_bytes,
        limit_problem=problems.ContentCorrupt("The original has more bytes than Glance recorded; compare it with a backup"),
        algorithms=tuple(missing),
        hide_deduplication_timing=False,  # nobody waits for it, so its time reveals nothing
    )
    written = ingest.store_bytes(service, named, _read(service, source, pace), Unwatched(), options)
    known = replace(written.content, digests=replace(content.digests, **written.content.digests.by_algorithm))
    return replace(written, content=known)


def _read(service: Service, source: Original, pace: Callable[[int], None]) -> Iterator[bytes]:
    for block in originals.read(service, source, 0, source.size_bytes):
        pace(len(block))
        yield block
