"""Handlers of image data: upload and download."""

from functools import partial
from http import HTTPStatus

from partage import problems
from partage.http import intake, query_strings
from partage.http.messages import Header, Reply, Request, Stream
from partage.http.server import conditions
from partage.model.ids import StoreID
from partage.model.image import Image
from partage.operations import downloads, uploads

_OCTETS = "application/octet-stream"
_MOST_DIGITS = len(str(2**63))
_NO_SIZE = "Invalid or missing image size in request headers."


async def upload_image_data(request: Request) -> Reply:
    """Store the body as an image's data. The caller's permission is checked before any of the body is received."""
    require_octet_stream(request)
    store = request.header(b"x-image-meta-store")
    begin = partial(
        uploads.begin_upload,
        request.edge.service,
        request.caller,
        request.image_id,
        announced_bytes=read_announced_size(request),
        store_id=None if store is None else StoreID(store),
        token=request.token,
    )
    await intake.store(request.body, request.edge, begin)
    return Reply()


async def download_image_data(request: Request) -> Reply:
    """Send an image's data, or the requested range of it."""
    image_id = request.image_id
    preferred = _parse_preferred_stores(request)
    data = await request.run(downloads.open_image_data, image_id, preferred=preferred)
    if not data.has_data:
        return Reply(status=HTTPStatus.NO_CONTENT)
    etag = etag_of(data.image)
    if etag is not None and conditions.matches_etag(request.header(b"if-none-match"), etag):
        return Reply(status=HTTPStatus.NOT_MODIFIED, etag=etag)
    asked = request.header(b"range") if conditions.range_applies(request.header(b"if-range"), etag) else None
    part = conditions.parse_range(asked, data.size_bytes)
    start, stop = part or (0, data.size_bytes)
    open_reading, read_ahead = data.open_reading(start, stop), request.edge.service.stores.read_ahead
    return Reply(
        status=HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT,
        body=Stream(
            pieces=open_reading.pieces_from(start),
            reopen=None if data.is_remote else lambda at: open_reading.pieces_from(start + at),
            is_short=lambda: read_ahead.is_short,
            length_bytes=stop - start,
            is_remote=data.is_remote,
            ended=partial(downloads.announce_sent, data, request.caller, expected_bytes=stop - start, destination_ip=request.peer),
        ),
        content_type=_OCTETS.encode(),
        headers=_build_headers(data.image, part, data.size_bytes),
        etag=etag,
    )


def etag_of(image: Image) -> bytes | None:
    """Return the ETag of an image's data: its strongest digest. None for data at an external location without a known digest."""
    digest = image.os_hash_value or image.checksum
    return None if digest is None else f'"{digest}"'.encode()


def _parse_preferred_stores(request: Request) -> tuple[StoreID, ...]:
    """Parse the stores from which the client prefers to download. Source: Image API, `?prefer=` on downloads."""
    given = dict(query_strings.decode(request.query)).get("prefer", "")
    return tuple(StoreID(each.strip()) for each in given.split(",") if each.strip())


def _build_headers(image: Image, part: tuple[int, int] | None, size_bytes: int) -> tuple[Header, ...]:
    if part is not None:
        # Differs from Glance: no Content-MD5, because that of the whole image does not match these bytes.
        return ((b"accept-ranges", b"bytes"), (b"content-range", b"bytes %d-%d/%d" % (part[0], part[1] - 1, size_bytes)))
    # Source: Glance. Hexadecimal, while RFC 1864 has base64: clients compare the text.
    md5: tuple[Header, ...] = () if image.checksum is None else ((b"content-md5", image.checksum.encode()),)
    return ((b"accept-ranges", b"bytes"), *md5)


def require_octet_stream(request: Request) -> None:
    """Require the media type of image data.

    Raises:
        MediaTypeUnsupported: the body has another media type.
    """
    found = request.media_type
    if found != _OCTETS:
        raise problems.MediaTypeUnsupported(f"Invalid content type {found[:100] or None}; image data is sent as {_OCTETS}")


def read_announced_size(request: Request) -> int | None:
    """Read the announced size of the image data: the header's, or else the length of the body. None if unknown.

    Raises:
        Invalid: the header is not a size.
    """
    said = request.header(b"x-openstack-image-size")
    if said is None:
        return request.body.length_bytes or None
    try:
        size_bytes = int(said[:_MOST_DIGITS])
    except ValueError as error:
        raise problems.Invalid(_NO_SIZE) from error
    if len(said) > _MOST_DIGITS or size_bytes < 0:
        raise problems.Invalid(_NO_SIZE)
    return size_bytes or None  # Source: Glance reads 0 as "unknown"
