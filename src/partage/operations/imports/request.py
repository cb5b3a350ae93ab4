"""Request an import: validate it at once, and create the task for a worker. `operations/imports/run.py` does the work."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.quota import Allowance, Place
from partage.model.signature import Certificate, signature_of
from partage.model.task import Task, TaskLane, TaskType
from partage.operations import claims, ingest, quota, signing, visible
from partage.operations.imports import start
from partage.operations.service import Service
from partage.outbound.rules import check_given
from partage.policies import authority
from partage.policies.images import COPY_IMAGE, MODIFY_IMAGE
from partage.records.database import Transaction


def request_import(
    service: Service, caller: Caller, image_id: ImageID, request: ImportRequest, *, request_id: str, token: str = ""
) -> Task | None:
    """Request an import into an image. Returns None if there is nothing to do: every store has the image already.

    The `token` fetches the certificate of a signed image. It is kept, encrypted, only for an import from another region, until
    the task ends.

    Raises:
        ImageNotFound: no such image, or none the caller may know of.
        StatusConflict: the image is in another status than the method needs, another import has it, or a store is not there.
        FormatMissing: disk_format or container_format is not set.
        PolicyForbids, Forbidden: the caller may not, or the image is retained.
        QuotaExceeded: the image's project has no room for the data.
        TooMany: the request is too long to be kept with its task.
        Invalid: the image is in a store already that the request names for a copy.
        UriRefused: the request names a place that cannot be used.
        FeatureOff: images are not imported from other regions here.
        SignatureRefused, KeyManagerUnavailable: the image is signed, and no bytes could be verified.
    """
    with service.database.read() as tx:
        found = visible.find(service, tx, caller, image_id)
    certificate = None
    if signature_of(found.properties) and request.method is not ImportMethod.COPY_IMAGE:
        _require_ready(service, caller, found, request)  # what would be refused anyway makes nobody ask the key manager
        certificate = signing.certificate_for(service.integrations.signatures, caller, found.properties, token)
    asked = _Asked(caller, found, request, request_id, token, certificate)
    return quota.try_within(service, found.owner, lambda allowance: _request(service, asked, allowance))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A requested import: its caller, the request, and the image as first found."""

    caller: Caller
    image: Image
    request: ImportRequest
    request_id: str
    token: str = field(repr=False)
    certificate: Certificate | None


def _request(service: Service, asked: _Asked, allowance: Allowance) -> Task | None:
    caller, request = asked.caller, asked.request
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, asked.image.id)
        _require_ready(service, caller, image, request)
        claims.require_free(tx, image)
        ingest.require_owner(image, asked.image)
        stores = _list_target_stores(service, image, request)
        if not stores:
            return None
        if request.method is ImportMethod.WEB_DOWNLOAD:
            check_given(request.uri, service.integrations.fetch, purpose="web-download")
        task = start.build_task(
            service,
            caller,
            TaskType.API_IMAGE_IMPORT,
            image.id,
            owner=image.owner,
            request_id=asked.request_id,
            task_input={"image_id": image.id, "import_req": request.document(), "backend": list(stores)},
        )
        service.limits.check_input(len(orjson.dumps(dict(task.input))))
        _reserve_quota(tx, image, allowance, task, copies=len(stores))
        sealed = _seal_token(service, asked, task)
        start.add_task(
            service, tx, caller, task, image, certificate=asked.certificate, lane=_lane(image, request), sealed_token=sealed
        )
    start.announce_task(service, task)
    return task


def _require_ready(service: Service, caller: Caller, image: Image, request: ImportRequest) -> None:
    request.require_status(image.status)
    require_formats(image)
    copying = request.method is ImportMethod.COPY_IMAGE
    service.authority.require(caller, COPY_IMAGE if copying else MODIFY_IMAGE, authority.image_target(caller, image))
    image.require_changeable()


def _lane(image: Image, request: ImportRequest) -> TaskLane:
    """Return the lane of a task. A copy of data that is on the web by reference is a download."""
    is_here = request.method is ImportMethod.GLANCE_DIRECT or (
        request.method is ImportMethod.COPY_IMAGE and image.content_id is not None
    )
    return TaskLane.HERE if is_here else TaskLane.WEB


def _seal_token(service: Service, asked: _Asked, task: Task) -> str | None:
    if asked.request.method is not ImportMethod.GLANCE_DOWNLOAD:
        return None
    return service.integrations.require_regions().seal.seal(asked.token, task_id=task.id)


def _reserve_quota(tx: Transaction, image: Image, allowance: Allowance, task: Task, *, copies: int) -> None:
    """Refuse an import that does not fit into the quota, and reserve its size until the task has ended."""
    # Data in a store or in staging has its size already; data from elsewhere has none before it has come.
    known = None if image.status is ImageStatus.QUEUED else image.size
    if image.status is not ImageStatus.UPLOADING:
        quota.check_staging(tx, image, allowance, now=task.created_at)
    quota.reserve(tx, image, allowance, token=task.id, place=Place.STORED, size_bytes=known, copies=copies, now=task.created_at)


def require_formats(image: Image) -> None:
    """Refuse data for an image whose formats are not set.

    Raises:
        StatusConflict: one is not set.
    """
    for name, value in (("container_format", image.container_format), ("disk_format", image.disk_format)):
        if value is None:
            raise problems.StatusConflict(f"'{name}' needs to be set before import")


def _list_target_stores(service: Service, image: Image, request: ImportRequest) -> Sequence[StoreID]:
    """List the stores to which the data is copied, without those that have the image.

    A copy to all stores skips a store that has the image already; a copy to named stores is refused then.
    """
    if request.all_stores:
        writable = [each for each in service.stores.by_id if not service.stores.by_id[each].read_only]
        return [each for each in writable if each not in image.stores]
    stores = request.stores or (service.stores.default,)
    for store_id in stores:
        if not service.stores.has(store_id):
            raise problems.StatusConflict(f"Store for identifier {store_id} not found; see the list of stores for those there are")
        service.stores.find_writable(store_id)
        if request.method is ImportMethod.COPY_IMAGE and store_id in image.stores:
            raise problems.Invalid(f"Image is already present at store '{store_id}'")
    return stores
