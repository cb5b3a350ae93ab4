"""Locations: where a service of the cloud says that an image's bytes are, and where they rest here.

A location is fetched by a worker like an import from the web, and its bytes are kept: the image stays whole when they vanish from
where they were. Glance keeps the URL alone, and reads from there for every download.
"""

from collections.abc import Mapping

from partage import problems
from partage.model import importing
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, TaskID
from partage.model.image import Image, ImageStatus
from partage.model.location import NewLocation
from partage.model.signature import signature_of
from partage.model.task import Task, TaskType
from partage.operations import imports, signing, visible
from partage.operations.service import Service
from partage.outbound.rules import check_given
from partage.policies import authority
from partage.policies.images import ADD_IMAGE_LOCATION, FETCH_IMAGE_LOCATION
from partage.records import images, tasks

_SERVICE = "service"


def add_location(
    service: Service, caller: Caller, image_id: ImageID, location: NewLocation, *, request_id: str, token: str = ""
) -> Task:
    """Let a worker fetch an image's bytes from a location. With the caller's `token` the certificate of a signed image is fetched.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        StatusConflict: the image is not queued, has no formats, or another task has it.
        PolicyForbids, Forbidden: the caller may not.
        UriRefused: the URL may not be asked.
        SignatureRefused, KeyManagerUnavailable: the image is signed, and no bytes could be verified.
    """
    now = service.clock()
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    certificate = None
    if signature_of(found.properties):
        _require_ready(service, caller, found, location)  # what would be refused anyway makes nobody ask the key manager
        certificate = signing.certificate_for(service.signatures, caller, found.properties, token)
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id)
        _require_ready(service, caller, image, location)
        imports.require_free(tx, image)
        task = Task(
            id=TaskID(service.new_id()),
            type=TaskType.LOCATION_IMPORT,
            owner=caller.project_id or image.owner or ProjectID(""),
            created_at=now,
            updated_at=now,
            user_id=caller.user_id,
            request_id=request_id,
            image_id=image.id,
            input={
                "image_id": image.id,
                "loc_url": location.url,
                "validation_data": location.validation_data(),
            },
        )
        tasks.add(tx, task, roles=sorted(caller.roles), certificate=certificate)
        images.save(tx, importing.locked(image, task.id), was=image)
    service.announce(Event.TASK_CREATE, task)
    service.announce(Event.TASK_RUN, task)
    return task


def _require_ready(service: Service, caller: Caller, image: Image, location: NewLocation) -> None:
    if image.status is not ImageStatus.QUEUED:
        raise problems.StatusConflict(f"It's not allowed to add locations if image status is {image.status}.")
    service.authority.require(caller, ADD_IMAGE_LOCATION, authority.of_image(caller, image))
    if _SERVICE not in caller.roles | caller.service_roles and not service.http_locations:
        raise problems.Forbidden("http store must be enabled to use location API by normal user.")
    check_given(location.url, service.fetch, purpose="add location")
    imports.require_formats(image)


def list_locations(service: Service, caller: Caller, image_id: ImageID) -> list[Mapping[str, object]]:
    """Say where an image's bytes are: the URL they came from, if a service gave one, and the stores that have them.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        PolicyForbids: the caller is no service.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id)
    service.authority.require(caller, FETCH_IMAGE_LOCATION, authority.of_image(caller, image))
    return locations_of(image)


def locations_of(image: Image) -> list[Mapping[str, object]]:
    """Write where an image's bytes are, as the API has it. A store's URL is a name: only this service can open it."""
    elsewhere: list[Mapping[str, object]] = [{"url": image.external_url, "metadata": {}}] if image.external_url else []
    return elsewhere + [{"url": f"partage://{store}/{image.id}", "metadata": {"store": store}} for store in image.stores]
