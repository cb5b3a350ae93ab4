"""Where the bytes of an import come from: what was staged, or another place that the fetcher may ask."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from partage import problems
from partage.model.image import Image
from partage.model.import_request import ImportMethod, ImportRequest
from partage.operations import image_data
from partage.operations.service import Service
from partage.outbound import fetch
from partage.records import stagings


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes on their way in; `size_bytes` is None where nobody said how many."""

    blocks: Iterable[bytes]
    size_bytes: int | None


@contextmanager
def open_source(service: Service, image: Image, request: ImportRequest, *, limit_bytes: int) -> Iterator[Source]:
    """Open what the data of an import is read from.

    Raises:
        StatusConflict: nothing is staged.
        UriRefused, FetchFailed, ImageTooLarge: as the fetcher, now or while the blocks are read.
    """
    if request.method is ImportMethod.GLANCE_DIRECT:
        yield _staged(service, image)
    elif request.method is ImportMethod.WEB_DOWNLOAD:
        with fetch.open_url(request.uri, service.fetch, limit_bytes=limit_bytes) as fetched:
            yield Source(fetched.blocks, fetched.size_bytes)
    else:
        raise problems.FeatureOff(f"The import method '{request.method}' is not available here")


def _staged(service: Service, image: Image) -> Source:
    with service.database.read() as tx:
        staged = stagings.find(tx, image.id)
    if staged is None:
        raise problems.StatusConflict("The staged image data is not there any more; stage it again")
    named = service.store_named(staged.store_id)
    return Source(image_data.read_content(service, named, staged.content_id, 0, staged.size_bytes), staged.size_bytes)
