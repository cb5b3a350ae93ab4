"""Handlers of transfers: the manifest of an image, and some of its bytes, for a service that copies it."""

from collections.abc import Iterator
from functools import partial

from partage import problems
from partage.content import manifest
from partage.http.json_documents import etag_of
from partage.http.messages import Reply, Request, Stream, json_reply
from partage.http.partage import paths, query
from partage.http.partage.share_json import Document
from partage.http.query_strings import Parameters, parse_integer, parse_limit
from partage.model.ids import ImageID
from partage.operations import downloads, manifests
from partage.operations.manifests import ManifestPage

SEGMENTS = "application/vnd.partage.manifest"
"""Segments back to back, as docs/format.md has them: a third of the JSON."""

FRAME = "application/zstd"
MANIFEST_NAMES = ("limit", "marker")
PARTS_NAMES = ("ranges",)
CHUNKS_DEFAULT, MOST_CHUNKS = 1000, 8192
_SLICE_BYTES = 256 << 10


async def show_manifest(request: Request) -> Reply:
    """List the chunks of an image that the caller can download."""
    given, pairs = query.read_parameters(request.query, MANIFEST_NAMES, "a manifest")
    limit = parse_limit(given.get("limit"), CHUNKS_DEFAULT, MOST_CHUNKS)
    start = parse_integer(given.get("marker", "0"), "marker must be the one of the link next")
    if start < 0:
        raise problems.QueryInvalid("marker must be the one of the link next")
    # In the threads of lists: a page of a manifest is about as long.
    page = await request.run_listing(manifests.page_manifest, request.image_id, start=start, limit=limit)
    if _wants_segments(request):
        encoded = b"".join(segment.encoded for segment in manifest.encode_all(page.start, page.entries))
        return Reply(body=encoded, content_type=SEGMENTS.encode(), etag=etag_of(encoded))
    return json_reply(_page_to_json(page, pairs))


async def send_chunks(request: Request) -> Reply:
    """Send ranges of an image's data that the caller can download, as one zstd frame."""
    given, _pairs = query.read_parameters(request.query, PARTS_NAMES, "chunks")
    if "ranges" not in given:
        raise problems.QueryInvalid("ranges is required: the first and the last byte of each range, FIRST-LAST,FIRST-LAST…")
    data, ranges = await request.run(manifests.open_parts, request.image_id, given["ranges"])
    frame = await request.edge.threads.call_download(manifests.compress_parts, data, ranges)
    length_bytes, etag = len(frame), etag_of(frame)
    pieces = _slice(frame, 0)
    del frame  # only the iterator holds it, and releases it when the client stops to read
    return Reply(
        body=Stream(
            pieces=pieces,
            reopen=lambda at: _slice(manifests.compress_parts(data, ranges), at),
            length_bytes=length_bytes,
            ended=partial(downloads.announce_sent, data, request.caller, expected_bytes=length_bytes, destination_ip=request.peer),
        ),
        content_type=FRAME.encode(),
        etag=etag,
    )


def _slice(frame: bytes, at: int) -> Iterator[bytes]:
    for start in range(at, len(frame), _SLICE_BYTES):
        yield frame[start : start + _SLICE_BYTES]


def _wants_segments(request: Request) -> bool:
    return any(each.partition(";")[0].strip() == SEGMENTS for each in (request.header(b"accept") or "").split(","))


def _page_to_json(page: ManifestPage, pairs: Parameters) -> Document:
    chunks, offset = [], page.start
    for entry in page.entries:
        digest = None if entry.digest is None else entry.digest.hex()
        chunks.append({"offset": offset, "length": entry.length, "digest": digest})
        offset += entry.length
    found: Document = {"image_id": page.image_id, "size": page.size_bytes, "chunks": chunks}
    if chunks and not page.is_last:
        found["next"] = query.link(_path_of(page.image_id), pairs, str(page.stop))
    return found


def _path_of(image_id: ImageID) -> str:
    return paths.MANIFEST.format(image_id=image_id)
