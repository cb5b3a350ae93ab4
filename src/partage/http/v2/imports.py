"""Handlers of imports: stage image data, request an import, list the methods."""

from functools import partial

from partage import problems
from partage.http import intake
from partage.http.messages import Reply, Request, json_reply
from partage.http.v2 import image_data
from partage.model.ids import StoreID
from partage.model.import_request import ImportMethod, parse_import_request
from partage.operations import uploads
from partage.operations.imports import request as import_requests


async def stage_image_data(request: Request) -> Reply:
    """Store the body in the staging area, from where an import takes it."""
    if ImportMethod.GLANCE_DIRECT not in request.edge.options.import_methods:
        raise problems.FeatureOff("'glance-direct' method is not available at this site.")
    image_data.require_octet_stream(request)
    begin = partial(
        uploads.begin_staging,
        request.edge.service,
        request.caller,
        request.image_id,
        announced_bytes=image_data.read_announced_size(request),
    )
    await intake.store(request.body, request.edge, begin)
    return Reply()


async def request_import(request: Request) -> Reply:
    """Request an import, which a worker runs."""
    header = request.header(b"x-image-meta-store")
    asked = parse_import_request(
        await request.document(),
        enabled=request.edge.options.import_methods,
        header_store=None if header is None else StoreID(header),
    )
    await request.run(import_requests.request_import, request.image_id, asked, request_id=request.request_id, token=request.token)
    return Reply()


async def list_import_methods(request: Request) -> Reply:
    """List the enabled import methods."""
    value = list(request.edge.options.import_methods)
    return json_reply({"import-methods": {"description": "Import methods available.", "type": "array", "value": value}})
