"""Read every stored byte again and compare: each chunk with its BLAKE3, each whole content with the digests the API shows."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from partage import problems
from partage.model.ids import ContentID, ImageID
from partage.model.image import Image
from partage.operations.downloads import ImageData
from partage.operations.service import Service
from partage.records import contents, images, pending_deletes, schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one content. `fault` is None if every byte is as stored."""

    content_id: ContentID
    images: tuple[ImageID, ...]
    size_bytes: int
    fault: str | None


def verify_database(service: Service) -> list[str]:
    """Run the integrity check of the database; list its faults. PostgreSQL has its own tools: nothing is listed for it.

    Raises:
        DatabaseUnavailable: it does not answer, or is too damaged for the check.
    """
    with service.database.read() as tx:
        return schema.find_faults(tx)


def verify(service: Service) -> Iterator[Verdict]:
    """Re-read every content of an image, or of a deleted image that can be restored; yield a verdict on each, oldest first."""
    with service.database.read() as tx:
        found = contents.list_contents(tx)
    for content_id in found:
        with service.database.read() as tx:
            content = contents.find(tx, content_id)
            named_by = [*images.list_by_content(tx, content_id), *pending_deletes.list_by_content(tx, content_id)]
        if content is not None and named_by:
            fault = _find_fault(service, named_by[0], content.md5, content.sha512)
            ids = tuple(image.id for image in named_by)
            yield Verdict(content_id=content_id, images=ids, size_bytes=content.size_bytes, fault=fault)


def _find_fault(service: Service, image: Image, md5: str, sha512: str) -> str | None:
    size, first, second = 0, hashlib.md5(usedforsecurity=False), hashlib.sha512()
    try:
        for block in ImageData(service, image).read(0, image.size or 0):
            size += len(block)
            first.update(block)
            second.update(block)
    except problems.Unavailable as problem:
        return problem.sentence()
    if size != image.size:
        return f"{size} bytes were stored of {image.size}"
    if (first.hexdigest(), second.hexdigest()) != (md5, sha512):
        return "the bytes do not have the digests that were recorded"
    return None
