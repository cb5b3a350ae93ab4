"""What another Partage reads to copy an image: pages of the manifest, and some of the image's bytes, compressed.

Both are for those who may download the image. Bytes are asked for by their place in the image, never by a digest, so that a
digest gives access to nothing (docs/decisions/0075).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from partage import problems
from partage.content import manifest, parts
from partage.content.manifest import ManifestEntry
from partage.content.parts import Range
from partage.model.caller import Caller
from partage.model.ids import ContentID, ImageID
from partage.operations import downloads
from partage.operations.downloads import ImageData
from partage.operations.service import Service


@dataclass(frozen=True, slots=True)
class ManifestPage:
    """Some chunks of an image of `size_bytes`, in order; the first one begins at byte `start`, `stop` is the end of the last."""

    image_id: ImageID
    size_bytes: int
    start: int
    entries: tuple[ManifestEntry, ...]

    @property
    def stop(self) -> int:
        """The first byte after the page."""
        return self.start + sum(entry.length for entry in self.entries)

    @property
    def is_last(self) -> bool:
        """Whether no chunk follows."""
        return self.stop >= self.size_bytes


def page_manifest(service: Service, caller: Caller, image_id: ImageID, *, start: int, limit: int) -> ManifestPage:
    """Return at most `limit` chunks of an image, from the one that begins at byte `start`.

    Raises:
        ImageNotFound, PolicyForbids, ImageDeactivated: the caller may not download the image.
        ManifestAbsent: the image has no data, or none in a store.
        QueryInvalid: no chunk begins at `start`.
        ContentCorrupt: the manifest is damaged.
    """
    image = downloads.find_downloadable(service, caller, image_id)
    data = ImageData(service, image)
    content_id = _require_content(data)
    entries = tuple(islice(_walk(service, content_id, start, data.size_bytes), limit))
    return ManifestPage(image_id, data.size_bytes, start, entries)


def open_parts(service: Service, caller: Caller, image_id: ImageID, text: str) -> tuple[ImageData, tuple[Range, ...]]:
    """Open an image for a download of some ranges of it, which `text` names; see `parts.parse_ranges`.

    Raises:
        ImageNotFound, PolicyForbids, ImageDeactivated: the caller may not download the image.
        ManifestAbsent: the image has no data, or none in a store.
        QueryInvalid, RangeUnsatisfiable: as `parts.parse_ranges`.
    """
    data = downloads.open_image_data(service, caller, image_id)
    _require_content(data)
    return data, parts.parse_ranges(text, data.size_bytes)


def compress_parts(data: ImageData, ranges: Sequence[Range]) -> bytes:
    """Read ranges of an image, verify their chunks, and return them as one zstd frame, which is the same at every time.

    Raises:
        ContentCorrupt, StoreUnavailable: as `ImageData.read`.
    """
    return parts.compress([block for each in ranges for block in data.read(each.start, each.stop)])


def _require_content(data: ImageData) -> ContentID:
    content_id = data.image.content_id
    if content_id is None or not data.has_data or data.is_in_place:
        raise problems.ManifestAbsent(
            f"Image {data.image.id} has no chunks: it has no data yet, or its data is at an external location; download it whole"
        )
    return content_id


def _walk(service: Service, content_id: ContentID, start: int, stop: int) -> Iterator[ManifestEntry]:
    """Yield the chunks from the one that begins at `start` on.

    Raises:
        QueryInvalid: none begins there.
    """
    for segment in downloads.list_segments(service, content_id, start, stop):
        position = segment.start
        for entry in manifest.decode(segment):
            if position >= start:
                if position != start:
                    raise problems.QueryInvalid("marker must be the one of the link next: no chunk begins at this byte")
                yield entry
                start += entry.length
            position += entry.length
