"""Stores as users and administrators see them, and the removal of an image from one of its stores."""

from dataclasses import replace
from datetime import datetime

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ids import ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.operations import events, promises, visible
from partage.operations.service import HTTPStore, NamedStore, Service
from partage.policies import authority
from partage.policies.locations import DELETE_IMAGE_LOCATION, GET_IMAGE_LOCATION
from partage.policies.stores import STORES_INFO_DETAIL
from partage.records import images


def list_stores(service: Service, caller: Caller) -> list[NamedStore | HTTPStore]:
    """List the configured stores by name. Any valid token may; the HTTP layer chooses what it shows of each."""
    del caller  # the API lets every caller with a token ask
    return service.stores.all


def detail_stores(service: Service, caller: Caller) -> list[NamedStore | HTTPStore]:
    """List the configured stores with their properties.

    Raises:
        PolicyForbids: the caller is neither an administrator nor a service.
    """
    service.authority.require(caller, STORES_INFO_DETAIL, authority.project_target(caller.project_id))
    return list_stores(service, caller)


def delete_from_store(service: Service, caller: Caller, store_id: StoreID, image_id: ImageID) -> None:
    """Remove an image from one of its stores; the next sweep removes the data. Of several web locations, the first is removed.

    Raises:
        StatusConflict: no such store, or the image is not active.
        ImageNotFound: no such image, none the caller may know of, or none in that store.
        PolicyForbids: the caller may not.
        StatusForbids: it is the only place that has the image.
        ImageFrozen: a notice runs, and its member reads the data from where they were.
    """
    if not service.stores.has(store_id):
        raise problems.StatusConflict(f"The selected store {store_id} is not available on this node.")
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.NO_IMAGE_THERE)
        service.authority.require(caller, GET_IMAGE_LOCATION, authority.image_target(caller, image))
        service.authority.require(caller, DELETE_IMAGE_LOCATION, authority.image_target(caller, image))
        if image.status is not ImageStatus.ACTIVE:
            raise problems.StatusConflict("It's not allowed to remove image data from store if image status is not 'active'")
        if len(image.stores) + len(image.references) == 1:
            raise problems.StatusForbids(
                "Cannot delete image data from the only store containing it. Consider deleting the image instead.",
            )
        if store_id not in image.all_stores:
            raise problems.ImageNotFound(f"Image {image_id} is not stored in store {store_id}.")
        changed = _remove_location(image, store_id, service.clock())
        promises.require_unfrozen(service, tx, caller, changed, was=image)
        images.save(tx, changed, was=image)
        events.record(tx, *events.describe_change(service, caller, changed, was=image))
    service.announce(Event.IMAGE_UPDATE, changed)


def _remove_location(image: Image, store_id: StoreID, now: datetime) -> Image:
    """Source: Glance removes the first location that a store has, and no other."""
    if store_id in image.stores:
        return image.without_store(store_id, now=now)
    first = next(each for each in image.references if each.store == store_id)
    return replace(image, references=tuple(each for each in image.references if each is not first), updated_at=now)
