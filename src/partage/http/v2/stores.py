"""Handlers of stores: what they are, and the removal of an image's data from one of them."""

from partage.http import json_documents
from partage.http.messages import Reply, Request
from partage.http.v2 import wire
from partage.model.ids import ImageID, StoreID
from partage.operations import stores


async def list_stores(request: Request) -> Reply:
    """List the stores as users see them."""
    edge = request.edge
    found = await edge.threads.call(stores.list_stores, edge.service, request.caller)
    default = edge.service.default_store
    return json_documents.reply({"stores": [wire.store_to_wire(store, is_default=store.id == default) for store in found]})


async def detail_stores(request: Request) -> Reply:
    """List the stores as administrators see them."""
    edge = request.edge
    found = await edge.threads.call(stores.detail_stores, edge.service, request.caller)
    default = edge.service.default_store
    return json_documents.reply({"stores": [wire.store_detail_to_wire(store, is_default=store.id == default) for store in found]})


async def delete_from_store(request: Request) -> Reply:
    """Remove an image's data from one of its stores."""
    edge = request.edge
    store_id, image_id = StoreID(request.path["store_id"]), ImageID(request.path["image_id"])
    await edge.threads.call(stores.delete_from_store, edge.service, request.caller, store_id, image_id)
    return Reply()
