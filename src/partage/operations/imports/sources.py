"""The source of an import's data: staged data, the web, or another region.

An image of another region brings part of its description, which is validated like a change by its new owner.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from partage import problems
from partage.model.caller import Caller
from partage.model.document import RESERVED_PREFIX
from partage.model.ids import StoreID, TaskID
from partage.model.image import Image
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.remote_image import RemoteImage
from partage.operations import downloads, other_regions
from partage.operations.chunks_here import ChunksHere
from partage.operations.remote_chunks import Received
from partage.operations.service import NamedStore, Service
from partage.outbound import fetch
from partage.outbound.cancelling import Cancellation
from partage.records import stagings


def _as_it_is(image: Image) -> Image:
    return image


@dataclass(frozen=True, slots=True)
class Source:
    """Data to import; `size_bytes` None: unknown. `over` applies a new description to the image.

    `staged_in` is the store that has the data already, because it was staged there.
    """

    blocks: Iterable[bytes]
    size_bytes: int | None
    over: Callable[[Image], Image] = _as_it_is
    staged_in: StoreID | None = None


@dataclass(frozen=True, slots=True)
class ImportContext:
    """The user for whom data is fetched, the task, and the store that gets the data.

    The user's token is encrypted, and present only if the import needs it. `cancellation` ends the fetch from another thread.
    `find_received` and `note_received` read and write what runs of the task have received from another region.
    """

    task_id: TaskID
    caller: Caller
    named: NamedStore
    sealed_token: str | None = field(default=None, repr=False)
    cancellation: Cancellation | None = None
    find_received: Callable[[], Received | None] = lambda: None
    note_received: Callable[[Received], None] = lambda _received: None


@contextmanager
def open_source(
    service: Service, image: Image, request: ImportRequest, *, context: ImportContext, limit_bytes: int
) -> Iterator[Source]:
    """Open the data of an import for reading.

    Raises:
        StatusConflict: nothing is staged.
        UriRefused, FetchFailed, ImageTooLarge: as the fetcher, now or while the blocks are read.
        FeatureOff, AttributeReadOnly, TooMany, Problem: for an image of another region, as `other_regions.open_remote` says.
    """
    if request.method is ImportMethod.GLANCE_DIRECT:
        yield _open_staged(service, image)
    elif request.method is ImportMethod.WEB_DOWNLOAD:
        cancellation = context.cancellation
        with fetch.open_url(request.uri, service.integrations.fetch, limit_bytes=limit_bytes, cancellation=cancellation) as fetched:
            yield Source(fetched.blocks, fetched.size_bytes)
    elif request.method is ImportMethod.GLANCE_DOWNLOAD:
        regions = service.integrations.require_regions()
        token = regions.seal.unseal(context.sealed_token or "", task_id=context.task_id)
        here = ChunksHere(
            service,
            context.named,
            context.caller,
            image,
            progress=context.find_received(),
            save=context.note_received,
        )
        asked = other_regions.Asked(request, token, context.cancellation, here)
        with other_regions.open_remote(regions, asked, known=service.formats.known, limit_bytes=limit_bytes) as opened:
            yield Source(opened.blocks, opened.image.size_bytes, partial(_take_description, service, context.caller, opened.image))
    else:
        raise problems.FeatureOff(f"The import method '{request.method}' is not available here")


def _take_description(service: Service, caller: Caller, remote: RemoteImage, image: Image) -> Image:
    """Copy the description of another region's image, as far as the caller may set it directly.

    Raises:
        AttributeReadOnly: a property is protected.
        TooMany: there would be too many properties.
    """
    described = remote.apply_to(image)
    if service.protections is not None:
        described = service.protections.apply_changes(caller, image, image, described, frozenset(remote.properties))
    if len(described.properties) > len(image.properties):
        own = {name: value for name, value in described.properties.items() if not name.startswith(RESERVED_PREFIX)}
        service.limits.check_properties(own)
    return described


def _open_staged(service: Service, image: Image) -> Source:
    with service.database.read() as tx:
        staged = stagings.find(tx, image.id)
    if staged is None:
        raise problems.StatusConflict("The staged image data is not there any more; stage it again")
    named = service.stores.find(staged.store_id)
    blocks = downloads.read_content(service, named, staged.content_id, 0, staged.size_bytes)
    return Source(blocks, staged.size_bytes, staged_in=staged.store_id)
