"""Locations: the URLs of an image's data, and the stores that have it.

With a store of type http, a location is kept by reference there, as in Glance: a worker reads it once for its digest
(`imports/locations.py`), and downloads read it again each time (`references.py`). Otherwise a worker downloads and stores the
data, as for an import from the web: the image stays complete when the data is removed from the URL.

A patch changes locations at once, if the operator shows them to users. `model/location_changes.py` defines which changes are
valid; this module requests the size of the data at a new location, while no transaction is open.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from partage import problems
from partage.model import location_changes, patch
from partage.model.caller import Caller
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus
from partage.model.location import NewLocation
from partage.model.location_changes import LocationTerms
from partage.model.signature import signature_of
from partage.model.task import Task, TaskType
from partage.operations import claims, ingest, signing, visible
from partage.operations.imports import request as import_requests
from partage.operations.imports import start
from partage.operations.service import Service
from partage.outbound import fetch
from partage.outbound.rules import check_given
from partage.policies import authority
from partage.policies import locations as rules
from partage.policies.images import MODIFY_IMAGE
from partage.records.database import Transaction

_SERVICE = "service"


def add_location(
    service: Service, caller: Caller, image_id: ImageID, location: NewLocation, *, request_id: str, token: str = ""
) -> Task:
    """Request that a worker reads an image's data from a location, and keeps the location or the data.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        StatusConflict: the image is not queued, has no formats, or another task has it.
        PolicyForbids, Forbidden: the caller may not.
        UriRefused: the URL may not be asked.
        SignatureRefused, KeyManagerUnavailable: the image is signed, and no bytes could be verified.
    """
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    certificate = None
    if signature_of(found.properties):
        _require_ready(service, caller, found, location)  # what would be refused anyway makes nobody ask the key manager
        certificate = signing.certificate_for(service.integrations.signatures, caller, found.properties, token)
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        _require_ready(service, caller, image, location)
        claims.require_free(tx, image)
        task = start.build_task(
            service,
            caller,
            TaskType.LOCATION_IMPORT,
            image.id,
            owner=image.owner,
            request_id=request_id,
            task_input={"image_id": image.id, "loc_url": location.url, "validation_data": location.validation_data()},
        )
        start.add_task(service, tx, caller, task, image, certificate=certificate)
    start.announce_task(service, task)
    return task


def _require_ready(service: Service, caller: Caller, image: Image, location: NewLocation) -> None:
    if image.status is not ImageStatus.QUEUED:
        raise problems.StatusConflict(f"It's not allowed to add locations if image status is {image.status}.")
    service.authority.require(caller, rules.ADD_IMAGE_LOCATION, authority.image_target(caller, image))
    if _SERVICE not in caller.roles | caller.service_roles and not (service.features.http_locations or service.stores.http):
        raise problems.Forbidden("http store must be enabled to use location API by normal user.")
    check_given(location.url, service.integrations.fetch, purpose="add location")
    import_requests.require_formats(image)


def list_locations(service: Service, caller: Caller, image_id: ImageID) -> list[Mapping[str, object]]:
    """List where an image's data is, preceded by its source URL, if a service gave one and the data is stored here.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids: the caller is no service.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, rules.FETCH_IMAGE_LOCATION, authority.image_target(caller, image))
    origin: list[Mapping[str, object]] = [{"url": image.external_url, "metadata": {}}] if image.external_url else []
    return origin + locations_of(image)


def terms_of(service: Service) -> LocationTerms:
    """Return the conditions under which a patch may change locations."""
    return LocationTerms(
        visible=service.features.locations_shown,
        store=None if service.stores.http is None else service.stores.http.id,
        hash_algorithm=service.features.hash_algorithm,
        limits=service.limits,
    )


def sizes_of_new(service: Service, caller: Caller, image_id: ImageID, changes: tuple[patch.Change, ...]) -> Mapping[str, int]:
    """Ask how many bytes are at each location that a patch would add. Nothing is asked for a patch that would be refused anyway.

    Raises:
        ImageNotFound, PolicyForbids, Problem: the patch is refused, for the latter as `patch.apply` says.
        UriRefused, FetchFailed: a location may not be opened, or does not say that there are any bytes.
        ImageTooLarge: there are more than an image may have.
        SignatureRefused: a signed image would become active by bytes that nobody verified.
    """
    if "locations" not in patch.list_changed_names(changes):
        return {}
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
        service.authority.require(caller, MODIFY_IMAGE, authority.image_target(caller, image))
        authorise_changes(service, tx, caller, image, changes)
    changed = patch.apply(image, changes, now=service.clock(), locations=terms_of(service))
    if changed.status is not image.status and signature_of(changed.properties) is not None:
        raise problems.SignatureRefused(
            "The image is signed, and a patch cannot verify what is at a location; give it by POST .../locations, or upload"
        )
    return {url: _size_at(service, url) for url in location_changes.list_added_urls(image, changed)}


def authorise_changes(service: Service, tx: Transaction, caller: Caller, image: Image, changes: Iterable[patch.Change]) -> None:
    """Check that the rules permit a caller to change locations, and that no task works on the image.

    Raises:
        PolicyForbids: a rule says no.
        StatusConflict: a task is at the image.
    """
    operations = {change.op for change in changes if change.name == "locations"}
    if not operations:
        return
    if operations - {patch.Operation.REMOVE}:
        service.authority.require(caller, rules.SET_IMAGE_LOCATION, authority.image_target(caller, image))
    if patch.Operation.REMOVE in operations:
        service.authority.require(caller, rules.DELETE_IMAGE_LOCATION, authority.image_target(caller, image))
    if service.features.locations_shown:
        claims.require_free(tx, image)


def set_sizes(image: Image, changed: Image, sizes: Mapping[str, int]) -> Image:
    """Set the size that an image's new locations announce. All must announce the same size, which must equal a known one.

    Raises:
        StatusConflict: a location appeared that was not asked for its size: somebody else changed the image at the same moment.
        BodyInvalid: the locations do not all have as many bytes.
    """
    found = set()
    for url in location_changes.list_added_urls(image, changed):
        if url not in sizes:
            raise problems.StatusConflict("The image's locations were changed by somebody else at this moment; try again")
        found.add(sizes[url])
    if not found:
        return changed
    if image.status is ImageStatus.ACTIVE and image.size is not None:
        found.add(image.size)
    if len(found) > 1:
        raise problems.BodyInvalid(
            "Invalid location: there are not as many bytes as the image has, or as at the other locations; all must have the same"
        )
    return replace(changed, size=found.pop())


def _size_at(service: Service, url: str) -> int:
    check_given(url, service.integrations.fetch, purpose="add location")
    size = fetch.size_of(url, service.integrations.fetch)
    if not size:
        raise problems.FetchFailed("no size, or none above 0")
    ingest.require_size(service, size)
    return size


def locations_of(image: Image) -> list[Mapping[str, object]]:
    """Write where an image's bytes are, as the API has it, in the order in which a patch counts.

    A store's URL is a name: only this service can open it.
    """
    own = [{"url": location_changes.own_url(image, store), "metadata": {"store": store}} for store in image.stores]
    return [*own, *(each.document() for each in image.references)]
