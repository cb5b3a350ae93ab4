"""Handlers of stores: what they are, and the removal of an image's data from one of them."""

from partage.http.messages import Reply, Request, json_reply
from partage.http.v2 import wire
from partage.model.ids import StoreID
from partage.operations import stores


async def list_stores(request: Request) -> Reply:
    """List the stores as users see them."""
    found = await request.run(stores.list_stores)
    default = request.edge.service.default_store
    return json_reply({"stores": [wire.store_to_wire(store, is_default=store.id == default) for store in found]})


async def detail_stores(request: Request) -> Reply:
    """List the stores as administrators see them."""
    found = await request.run(stores.detail_stores)
    default = request.edge.service.default_store
    return json_reply({"stores": [wire.store_detail_to_wire(store, is_default=store.id == default) for store in found]})


async def delete_from_store(request: Request) -> Reply:
    """Remove an image's data from one of its stores."""
    store_id, image_id = StoreID(request.path["store_id"]), request.image_id
    await request.run(stores.delete_from_store, store_id, image_id)
    return Reply()
