"""Process a location that is kept by reference: read its data once, for the size, the digests and the format.

Nothing is stored. The image becomes active only when its digest is known, and equals the promised one; every download is
compared with it. Differs from Glance, where an image without a promised digest is active before its digest is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from partage import problems
from partage.content import digest
from partage.content.inspection import Inspector
from partage.model.image import Image
from partage.model.location import Reference
from partage.operations import ingest, signing
from partage.operations.imports import steps as import_steps
from partage.operations.imports.steps import Run
from partage.operations.service import Service
from partage.outbound import fetch
from partage.records import images


def begin_location(service: Service, work: Run, image: Image) -> Image:
    """Record the location, so that everybody who can see the image sees what is being read."""
    if service.stores.http is None:
        raise problems.StatusConflict("No store of type http is configured any more; give the location again")
    return replace(image, references=(Reference(url=work.request.uri, store=service.stores.http.id),))


def read_location(service: Service, work: Run, image: Image) -> None:
    """Read the data at the location, and set the image's size and digests.

    Raises:
        UriRefused, FetchFailed, ImageTooLarge: as the fetcher; FetchFailed too when there is not a single byte.
        FormatRefused: the bytes are not of the image's disk format, or are unsafe.
        DigestMismatch, SignatureRefused: they do not have the digest that was promised, or are not those that were signed.
        TaskLost, ImageGone: as `import_steps.step`.
    """
    watched = _Watched(ingest.build_inspector(service, image))
    cap, cancellation = service.limits.image_size_cap_bytes, work.cancellation
    with fetch.open_url(work.request.uri, service.integrations.fetch, limit_bytes=cap, cancellation=cancellation) as fetched:
        arriving = watched.check_each(import_steps.report_progress(service, work, fetched.blocks))
        signed = signing.verify_blocks(service.integrations.signatures, image.properties, work.certificate, arriving)
        algorithm = work.promised[0] or service.features.hash_algorithm
        found = digest.compute(signed, (digest.CHECKSUM, algorithm))
    if not watched.size_bytes:
        raise problems.FetchFailed("nothing is there")
    virtual_size = watched.inspector.finish(watched.size_bytes)
    value = found.find(algorithm)
    if work.promised[0]:
        work.require_promised(value)
    with import_steps.step(service, work) as (tx, _task, present):
        known = replace(
            present,
            size=watched.size_bytes,
            virtual_size=virtual_size,
            checksum=found.md5,
            os_hash_algo=algorithm,
            os_hash_value=value,
            updated_at=service.clock(),
        )
        images.save(tx, known, was=present)


@dataclass(slots=True)
class _Watched:
    """Counts and inspects the data that passes."""

    inspector: Inspector
    size_bytes: int = 0

    def check_each(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.size_bytes += len(block)
            self.inspector.feed(block)
            yield block
