"""Handlers of resumable uploads. Source: draft-ietf-httpbis-resumable-upload-12, "Resumable Uploads for HTTP"."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from partage import problems
from partage.http import intake
from partage.http.errors import FailedRequest
from partage.http.messages import Header, Reply, Request
from partage.http.partage import errors, paths, upload_headers
from partage.model.ids import StoreID
from partage.model.partial_upload import Addition, PartialUpload
from partage.operations import completions, ingest, partial_uploads
from partage.operations.partial_uploads import Progress
from partage.operations.upload_parts import PartArrival

MEDIA_TYPE = "application/partial-upload"

_OCTETS = "application/octet-stream"
_RESUMPTION_SUPPORTED = b"104 Upload Resumption Supported"


async def show_upload(request: Request) -> Reply:
    """Show how much of the image data is stored. A request that writes to the upload ends."""
    upload = await request.run(partial_uploads.show_upload, request.image_id)
    return Reply(headers=_describe_state(request, upload))


async def begin_upload(request: Request) -> Reply:
    """Begin a resumable upload of an image's data, with its first bytes or none."""
    addition = upload_headers.parse_beginning(request)
    if request.body.is_expected:
        _require_media_type(request, _OCTETS)
    store = request.header(b"x-image-meta-store")
    begin = partial(
        partial_uploads.begin_upload,
        request.edge.service,
        request.caller,
        request.image_id,
        addition,
        store_id=None if store is None else StoreID(store),
        progress=_tell_progress(request, is_new=True),
    )
    reply = await _store(request, addition, begin)
    is_unfinished = reply.status is None
    return replace(reply, headers=(*reply.headers, _locate(request))) if is_unfinished else reply


async def continue_upload(request: Request) -> Reply:
    """Add bytes to a resumable upload. After the last ones the image becomes active."""
    _require_media_type(request, MEDIA_TYPE)
    addition = upload_headers.parse_continuation(request)
    if addition.is_last and addition.content_bytes == 0:
        return await _complete(request, addition)
    begin = partial(
        partial_uploads.continue_upload,
        request.edge.service,
        request.caller,
        request.image_id,
        addition,
        progress=_tell_progress(request, is_new=False),
    )
    return await _store(request, addition, begin)


async def cancel_upload(request: Request) -> Reply:
    """Cancel a resumable upload: what is stored of it is removed."""
    await request.run(partial_uploads.cancel_upload, request.image_id)
    return Reply()


def list_options(service_limit_bytes: int) -> tuple[Header, ...]:
    """Write what OPTIONS of the path tells before an upload begins. Source: "Limits"."""
    return (upload_headers.describe_limits(service_limit_bytes),)


async def _store(request: Request, addition: Addition, begin: Callable[[], PartArrival]) -> Reply:
    arrivals: list[PartArrival] = []

    def begin_and_keep() -> ingest.Receiver:
        arrivals.append(begin())
        return arrivals[0]

    try:
        await intake.store(request.body, request.edge, begin_and_keep)
    except problems.Problem as problem:
        if not any(each.has_removed_upload for each in arrivals):
            raise  # nothing has begun, or it can go on
        return _refuse(request, problem)
    offset_bytes = arrivals[0].offset_bytes
    if not addition.is_last:
        state = (upload_headers.describe_offset(offset_bytes), upload_headers.describe_completeness(is_complete=False))
        return Reply(headers=(*state, upload_headers.describe_limits(_most_bytes(request))))
    return await _complete(request, Addition(offset_bytes=offset_bytes, is_last=True, content_bytes=0))


async def _complete(request: Request, addition: Addition) -> Reply:
    begin = partial(
        completions.begin_completion, request.edge.service, request.caller, request.image_id, addition, token=request.token
    )
    try:
        await intake.run(request.edge, begin)
    except completions.REFUSALS as problem:
        return _refuse(request, problem)
    state = (upload_headers.describe_offset(addition.offset_bytes), upload_headers.describe_completeness(is_complete=True))
    return Reply(status=HTTPStatus.NO_CONTENT, headers=state)


def _refuse(request: Request, problem: problems.Problem) -> Reply:
    """Answer that the image data is refused: to send it again would not help, and the upload is gone."""
    failed = FailedRequest(
        method=request.method,
        accept=request.header(b"accept"),
        content_type=request.header(b"content-type"),
        www_authenticate_uri=request.edge.options.www_authenticate_uri,
    )
    reply = errors.reply_to(problem, failed)
    ended = upload_headers.describe_completeness(is_complete=True)
    # A problem with lengths says by itself that the upload can go on.
    return replace(reply, headers=(*(each for each in reply.headers if each[0] != ended[0]), ended))


def _tell_progress(request: Request, *, is_new: bool) -> Progress:
    """Return what sends interim responses from any thread, to a client that understands them."""
    if not upload_headers.supports_interim(request):
        return Progress(began=lambda _upload: None, stored=lambda _offset: None)
    loop = asyncio.get_running_loop()
    version = (b"upload-draft-interop-version", upload_headers.INTEROP_VERSION)

    def send(headers: Sequence[Header]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped
            loop.call_soon_threadsafe(request.body.send_interim, _RESUMPTION_SUPPORTED, (version, *headers))

    def announce(upload: PartialUpload) -> None:
        if is_new:
            send((_locate(request), upload_headers.describe_limits(_most_bytes(request))))
        else:
            send((upload_headers.describe_offset(upload.offset_bytes),))

    return Progress(began=announce, stored=lambda offset: send((upload_headers.describe_offset(offset),)))


def _describe_state(request: Request, upload: PartialUpload) -> tuple[Header, ...]:
    service = request.edge.service
    return upload_headers.describe_state(upload, service.features.partial_uploads, _most_bytes(request), service.clock())


def _most_bytes(request: Request) -> int:
    return request.edge.service.limits.image_size_cap_bytes


def _locate(request: Request) -> Header:
    return (b"location", f"{request.origin}{paths.UPLOAD.format(image_id=request.image_id)}".encode())


def _require_media_type(request: Request, wanted: str) -> None:
    found = request.media_type
    if found != wanted:
        raise problems.MediaTypeUnsupported(f"Invalid content type {found[:100] or None}; this request takes {wanted}")
