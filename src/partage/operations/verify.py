"""Read every stored byte again and compare: each chunk with its BLAKE3, each whole content with the digests the API shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from partage import problems
from partage.content import digest
from partage.content.manifest import Content
from partage.model.ids import ContentID, ImageID
from partage.model.image import Image
from partage.operations import store_identities
from partage.operations.downloads import read_content
from partage.operations.service import NamedStore, Service
from partage.records import contents, images, pending_deletes, schema
from partage.records.contents import ContentPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one content, in every store that has it. `fault` is None if every byte is as stored."""

    position: ContentPosition
    images: tuple[ImageID, ...]
    size_bytes: int
    fault: str | None

    @property
    def content_id(self) -> ContentID:
        """The content."""
        return self.position.id


def verify_database(service: Service) -> list[str]:
    """Run the integrity check of the database; list its faults. Servers have tools of their own: nothing is listed for them.

    Raises:
        DatabaseUnavailable: it does not answer, or is too damaged for the check.
    """
    with service.database.read() as tx:
        return schema.find_faults(tx)


def _at_once(_size_bytes: int) -> None:
    """Do not wait."""


def verify(service: Service, *, after: ContentPosition | None = None, pace: Callable[[int], None] = _at_once) -> Iterator[Verdict]:
    """Re-read every content of an image, or of a deleted image that can be restored; yield a verdict on each, oldest first.

    `pace` is called with the size of each block that was read. It may wait, and may raise to interrupt the verification.

    Raises:
        StoreUnavailable: a store does not respond at all.
        DatabaseUnavailable: the database does not answer.
    """
    while True:
        with service.database.read() as tx:
            found = contents.page_contents(tx, after)
        if not found:
            return
        for position in found:
            yield from _verify_content(service, position, pace)
        after = found[-1]


def _verify_content(service: Service, position: ContentPosition, pace: Callable[[int], None]) -> Iterator[Verdict]:
    with service.database.read() as tx:
        content = contents.find(tx, position.id)
    named_by = _list_images(service, position.id)
    if content is None or not named_by:
        return
    faults = [
        f"{named.id}: {fault}" if len(service.stores.by_id) > 1 else fault
        for named in _list_stores(service, named_by)
        if (fault := _find_fault(service, named, position.id, content, pace)) is not None
    ]
    if not any(each in service.stores.by_id for image in named_by for each in image.stores):
        faults.append("no store that has it is configured")
    if faults and not _list_images(service, position.id):
        return  # it was deleted meanwhile
    ids = tuple(image.id for image in named_by)
    yield Verdict(position=position, images=ids, size_bytes=content.size_bytes, fault="; ".join(faults) or None)


def _list_images(service: Service, content_id: ContentID) -> list[Image]:
    with service.database.read() as tx:
        return [*images.list_by_content(tx, content_id), *pending_deletes.list_by_content(tx, content_id)]


def _list_stores(service: Service, named_by: list[Image]) -> list[NamedStore]:
    having = {each for image in named_by for each in image.stores}
    return [named for named in service.stores.by_id.values() if named.id in having]


def _find_fault(
    service: Service, named: NamedStore, content_id: ContentID, content: Content, pace: Callable[[int], None]
) -> str | None:
    size, hashers = 0, digest.Hashers(content.digests.by_algorithm)
    try:
        for block in read_content(service, named, content_id, 0, content.size_bytes) if content.size_bytes else ():
            pace(len(block))
            size += len(block)
            hashers.update(block)
    except problems.StoreUnavailable as problem:
        store_identities.require_answer(named)
        return problem.sentence()
    except problems.ContentCorrupt as problem:
        return problem.sentence()
    if size != content.size_bytes:
        return f"{size} bytes were stored of {content.size_bytes}"
    if hashers.finish() != content.digests:
        return "the bytes do not have the digests that were recorded"
    return None
