"""Quotas: the limits of a project, and reservations for image data in progress, so that usage never exceeds a limit.

An operation that adds to the usage of a project takes the project's lock, compares usage and reservations with the limit, and adds
or is refused. Data of known size is reserved before the first byte. Data of unknown size reserves more as it arrives (`Meter`), and
releases its whole reservation in the transaction that refuses more: so of several uploads that do not fit together, the last one
refused would not have fitted beside those that were accepted. One transaction turns the reservation of complete data into its size.

Limits are read before a transaction begins, because Keystone may have to be asked. After a refusal by cached limits, an operation
tries once more with fresh ones (`try_within`). Data in progress keeps the limits with which it began.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.quota import RESOURCES, Allowance, Place, Usage, parse_keystone_limits
from partage.operations.service import Service
from partage.records import projects, reservations, uploads
from partage.records.database import Transaction

_UNDER_WAY = (ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING)


class Sized(Protocol):
    """A piece of image data."""

    def __len__(self) -> int:
        """Return its number of bytes."""


_Block = TypeVar("_Block", bound=Sized)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation of quota for an image's data: `granted_bytes` for each of `copies` stores.

    `exact`: the size was known, and no more will be reserved.
    """

    image_id: ImageID
    token: str
    place: Place
    allowance: Allowance
    granted_bytes: int
    copies: int = 1
    exact: bool = False

    @property
    def counted(self) -> bool:
        """Return whether anything limits the bytes."""
        return self.allowance.limit_bytes(self.place) is not None


def allowance_of(service: Service, owner: ProjectID | None, *, fresh: bool = False) -> Allowance:
    """Return the limits of a project. Images without an owner have no limits.

    Raises:
        IdentityUnavailable: the limits are kept in Keystone, which does not answer.
    """
    if owner is None:
        return Allowance()
    if service.integrations.unified_limits is not None:
        limits = service.integrations.unified_limits.find_limits(owner, fresh=fresh)
        return parse_keystone_limits(limits, one_over=service.limits.one_upload_may_exceed)
    static = service.limits
    return Allowance(images=static.images_per_project or None, stored_bytes=static.storage_per_project_bytes or None)


def try_within(service: Service, owner: ProjectID | None, attempt: Callable[[Allowance], _Result]) -> _Result:
    """Return what `attempt` makes of a project's limits. Once more, if cached ones refuse it and those read anew are others.

    What else it raises passes through.

    Raises:
        QuotaExceeded: the limits refuse it.
        IdentityUnavailable: as `allowance_of`.
    """
    allowance = allowance_of(service, owner)
    try:
        return attempt(allowance)
    except problems.QuotaExceeded:
        fresh = allowance_of(service, owner, fresh=True)
        if fresh == allowance:
            raise
    return attempt(fresh)


def check_new_image(tx: Transaction, owner: ProjectID | None, allowance: Allowance, *, now: datetime) -> None:
    """Refuse a new image above the project's limit. Takes the project's lock.

    Raises:
        QuotaExceeded: it has as many as it may.
    """
    if owner is not None and allowance.images is not None:
        allowance.check_images(_lock_usage(tx, owner, now))


def check_moved_image(tx: Transaction, moved: Image, allowance: Allowance, *, now: datetime) -> None:
    """Refuse to give an image with its stored data to a project in which it does not fit.

    Raises:
        QuotaExceeded: the project has as many images as it may, or no room for its bytes.
    """
    if moved.owner is None:
        return
    usage = _lock_usage(tx, moved.owner, now)
    allowance.check_images(usage)
    copies = 1 if allowance.together and _is_staged(moved) else len(moved.stores)
    charge = (moved.size or 0) * copies
    if charge:
        allowance.check_bytes(Place.STORED, allowance.sum_used_bytes(Place.STORED, usage), charge)


def reserve(
    tx: Transaction,
    image: Image,
    allowance: Allowance,
    *,
    token: str,
    place: Place,
    size_bytes: int | None,
    now: datetime,
    copies: int = 1,
) -> Reservation:
    """Reserve quota for an image's data in `copies` stores; `size_bytes` None: unknown.

    Call it in the transaction that locked the image. The caller ends the reservation together with `token`.

    Raises:
        QuotaExceeded: it does not fit, or too many images have data under way.
    """
    granted = Reservation(image.id, token, place, allowance, size_bytes or 0, copies, exact=size_bytes is not None)
    if image.owner is None or not (granted.counted or allowance.uploading is not None):
        return granted
    usage = _lock_usage(tx, image.owner, now)
    if image.status not in _UNDER_WAY:
        allowance.check_uploading(usage)
    used = allowance.sum_used_bytes(place, usage)
    if allowance.together and _is_staged(image):
        used -= image.size or 0
    wanted = granted.granted_bytes * copies
    if wanted or not allowance.together:
        allowance.check_bytes(place, used, wanted)
    reservations.put(tx, image.id, token, place=place, size_bytes=wanted)
    return granted


def check_uploads(service: Service, tx: Transaction, owner: ProjectID | None) -> None:
    """Refuse one more upload above the limit of running uploads of a project, over all processes.

    All images without an owner count as those of one project.

    Raises:
        UploadsFull: it has as many as it may.
    """
    most = service.limits.uploads_per_project
    if not most:
        return
    if owner is not None:
        projects.lock(tx, owner)
    if uploads.count_of_project(tx, owner) >= most:
        raise problems.UploadsFull(
            f"{most} uploads to images of this project are under way, which is as many as are taken at a time; "
            "try again when one of them has ended"
        )


def check_staging(tx: Transaction, image: Image, allowance: Allowance, *, now: datetime) -> None:
    """Refuse an import whose data Glance would stage, if the staging quota has no room for it.

    Raises:
        QuotaExceeded: there is none.
    """
    if image.owner is not None and not allowance.together and allowance.staged_bytes is not None:
        used = allowance.sum_used_bytes(Place.STAGED, _lock_usage(tx, image.owner, now))
        allowance.check_bytes(Place.STAGED, used, image.size or 0)


def adopt(
    tx: Transaction,
    image: Image,
    allowance: Allowance,
    *,
    token: str,
    size_bytes: int | None,
    received_bytes: int,
    now: datetime,
) -> Reservation:
    """Go on with the reservation of a resumable upload, of which `received_bytes` are stored; `size_bytes` None: still unknown.

    Raises:
        QuotaExceeded: the size, which is known by now, does not fit.
    """
    adopted = Reservation(image.id, token, Place.STORED, allowance, size_bytes or received_bytes, exact=size_bytes is not None)
    if image.owner is None or not adopted.counted:
        return adopted
    found = reservations.find(tx, image.id, token)
    granted = 0 if found is None else found[1]
    if adopted.granted_bytes > granted:
        used = allowance.sum_used_bytes(Place.STORED, _lock_usage(tx, image.owner, now)) - granted
        allowance.check_bytes(Place.STORED, used, adopted.granted_bytes)
    if found is None:  # nothing was limited when the upload began
        granted = adopted.granted_bytes
        reservations.put(tx, image.id, token, place=Place.STORED, size_bytes=granted)
    else:
        granted = adopted.granted_bytes if adopted.exact else max(granted, adopted.granted_bytes)
        reservations.resize(tx, image.id, token, size_bytes=granted)
    return replace(adopted, granted_bytes=granted)


def resume(service: Service, image: Image, *, token: str, copies: int) -> Reservation:
    """Resume the reservation that was made when an import was requested. Decompressed or converted data may need more.

    Raises:
        IdentityUnavailable: as `allowance_of`.
    """
    allowance = allowance_of(service, image.owner)
    resumed = Reservation(image.id, token, Place.STORED, allowance, 0, copies)
    if image.owner is None or not resumed.counted:
        return resumed
    with service.database.write() as tx:
        found = reservations.find(tx, image.id, token)
        if found is None:  # nothing was limited when the import was asked for
            reservations.put(tx, image.id, token, place=Place.STORED, size_bytes=0)
            return resumed
    return replace(resumed, granted_bytes=found[1] // copies)


class Meter:
    """Counts the bytes of one stream of image data as they arrive, and reserves more when needed. One thread at a time."""

    def __init__(self, service: Service, reservation: Reservation) -> None:
        """Start with an existing reservation."""
        self._service = service
        self._reservation = reservation
        self._granted_bytes = reservation.granted_bytes
        self._received_bytes = 0
        self._grows = reservation.counted and not reservation.exact

    def expect(self, size_bytes: int) -> None:
        """Reserve this many bytes at once.

        Raises:
            QuotaExceeded, ImageGone: as `count`.
        """
        if self._grows and size_bytes > self._granted_bytes:
            self._granted_bytes = _grow(self._service, self._reservation, size_bytes)

    def count(self, size_bytes: int) -> None:
        """Ensure that the next bytes are reserved.

        Raises:
            QuotaExceeded: there is none. All that was kept for this data has been given back.
            ImageGone: the image was deleted.
        """
        self._received_bytes += size_bytes
        self.expect(self._received_bytes)


def meter_blocks(
    service: Service,
    reservation: Reservation,
    blocks: Iterable[_Block],
    *,
    expected_bytes: int | None = None,
) -> Iterator[_Block]:
    """Yield image data for which quota is reserved, as `Meter` does; `expected_bytes` are reserved at once.

    Raises:
        QuotaExceeded, ImageGone: as `Meter.count`.
    """
    meter = Meter(service, reservation)
    meter.expect(expected_bytes or 0)
    for block in blocks:
        meter.count(len(block))
        yield block


def usage(service: Service, caller: Caller) -> Mapping[str, tuple[int, int]]:
    """Return usage and limit of the caller's project for each unified limit; nothing if the limits are the operator's own.

    Raises:
        IdentityUnavailable: Keystone does not say.
    """
    if service.integrations.unified_limits is None or caller.project_id is None:
        return {}
    limits = service.integrations.unified_limits.find_limits(caller.project_id, fresh=False)
    with service.database.read() as tx:
        used = reservations.usage(tx, caller.project_id, now=service.clock()).to_report()
    return {name: (used[name], limits.get(name, 0)) for name in RESOURCES}


def _grow(service: Service, reservation: Reservation, received: int) -> int:
    """Reserve `received` bytes and perhaps some ahead; return how many are reserved."""
    refused: problems.QuotaExceeded | None = None
    with service.database.write() as tx:
        found = reservations.find(tx, reservation.image_id, reservation.token)
        if found is None:
            raise problems.ImageGone(f"Image {reservation.image_id} was deleted while its data was being written")
        owner, kept = found
        if owner is None:
            return received
        allowance, place = reservation.allowance, reservation.place
        others = allowance.sum_used_bytes(place, _lock_usage(tx, owner, service.clock())) - kept
        try:
            granted = allowance.grow(place, others, received * reservation.copies)
        except problems.QuotaExceeded as problem:
            granted, refused = 0, problem
        reservations.resize(tx, reservation.image_id, reservation.token, size_bytes=granted)
    if refused is not None:
        raise refused
    return granted // reservation.copies


def _is_staged(image: Image) -> bool:
    """Whether the service holds the image's data outside its stores. Data on the web does not count."""
    return not image.stores and not image.references


def _lock_usage(tx: Transaction, owner: ProjectID, now: datetime) -> Usage:
    projects.lock(tx, owner)
    return reservations.usage(tx, owner, now=now)
