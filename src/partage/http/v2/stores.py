"""Handlers of stores, and the JSON of a store."""

from typing import Any

from partage.http.messages import Reply, Request, json_reply
from partage.model.ids import StoreID
from partage.operations import stores
from partage.operations.service import HTTPStore, NamedStore


async def list_stores(request: Request) -> Reply:
    """List the stores as users see them."""
    found = await request.run(stores.list_stores)
    default = request.edge.service.stores.default
    return json_reply({"stores": [store_to_json(store, is_default=store.id == default) for store in found]})


async def detail_stores(request: Request) -> Reply:
    """List the stores as administrators see them."""
    found = await request.run(stores.detail_stores)
    default = request.edge.service.stores.default
    return json_reply({"stores": [store_detail_to_json(store, is_default=store.id == default) for store in found]})


async def delete_from_store(request: Request) -> Reply:
    """Remove an image's data from one of its stores."""
    store_id, image_id = StoreID(request.path["store_id"]), request.image_id
    await request.run(stores.delete_from_store, store_id, image_id)
    return Reply()


def store_to_json(store: NamedStore | HTTPStore, *, is_default: bool) -> dict[str, Any]:
    """Render what every user can see of a store. Flags are the text "true" or absent. Source: Glance."""
    written: dict[str, Any] = {"id": store.id}
    if store.description:
        written["description"] = store.description
    if is_default:
        written["default"] = "true"
    if store.read_only:
        written["read-only"] = "true"
    return written


def store_detail_to_json(store: NamedStore | HTTPStore, *, is_default: bool) -> dict[str, Any]:
    """Render what administrators may see of a store."""
    return {
        **store_to_json(store, is_default=is_default),
        "type": store.type,
        "weight": store.weight,
        "properties": dict(store.properties),
    }
