"""Handlers of imports: stage image data, ask for an import, say which methods there are."""

from functools import partial

from partage import problems
from partage.http import intake, json_documents
from partage.http.messages import Reply, Request
from partage.http.v2 import image_data
from partage.model.ids import ImageID, StoreID
from partage.model.import_request import ImportMethod, parse_import_request
from partage.operations import image_data as operations
from partage.operations.imports import request as import_requests


async def stage(request: Request) -> Reply:
    """Keep the body until an import makes it the image's data."""
    edge = request.edge
    if ImportMethod.GLANCE_DIRECT not in edge.options.import_methods:
        raise problems.FeatureOff("'glance-direct' method is not available at this site.")
    image_data.require_octets(request)
    begin = partial(
        operations.begin_staging,
        edge.service,
        request.caller,
        ImageID(request.path["image_id"]),
        announced_bytes=image_data.announced_bytes(request),
    )
    await intake.store(request.body, edge, begin)
    return Reply()


async def begin(request: Request) -> Reply:
    """Let a worker import image data."""
    edge = request.edge
    header = request.header(b"x-image-meta-store")
    asked = parse_import_request(
        json_documents.parse(await request.body.read(edge.options.document_bytes)),
        enabled=edge.options.import_methods,
        header_store=None if header is None else StoreID(header),
    )
    image_id = ImageID(request.path["image_id"])
    await edge.threads.call(
        import_requests.request_import,
        edge.service,
        request.caller,
        image_id,
        asked,
        request_id=request.request_id,
        token=request.header(b"x-auth-token") or "",
    )
    return Reply()


async def methods(request: Request) -> Reply:
    """List the import methods that are switched on."""
    value = list(request.edge.options.import_methods)
    return json_documents.reply({"import-methods": {"description": "Import methods available.", "type": "array", "value": value}})
