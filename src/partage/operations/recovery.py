"""Crash recovery: images in `saving` whose worker died are set back to `queued`.

Uploads and imports have the same rule for dead workers. On this machine, the worker's process is checked. A worker elsewhere must
have sent heartbeats, see `operations/silence.py`. This worker knows its running uploads: other rows of its own are uploads that it
could not set back, because the database was unavailable when they failed.
"""

from collections.abc import Callable, Collection, Container, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from partage import problems
from partage.model.announcement import Event
from partage.model.ids import ImageID
from partage.model.image import Image
from partage.operations.service import Service
from partage.records import images, uploads
from partage.records.database import Transaction


class LeasedRow(Protocol):
    """A row with a heartbeat: a worker renews it while it works on the upload or task."""

    @property
    def token(self) -> str:
        """The token of the upload or task."""

    @property
    def worker(self) -> str:
        """The worker that runs it."""

    @property
    def renewed_at(self) -> datetime:
        """The last heartbeat, by the worker's clock."""


_Row = TypeVar("_Row", bound=LeasedRow)


def find_dead(
    service: Service,
    list_rows: Callable[[Transaction], Sequence[_Row]],
    rewrite: Callable[[Transaction, Collection[str]], None],
    *,
    own: Container[str],
) -> list[_Row]:
    """List the rows whose worker has died. `own` are the tokens of this process's running work.

    A row of a worker elsewhere counts as silent only if this process can write it (`rewrite`, unchanged) at the same time:
    a database that is locked, full or read-only can be read, but accepts no heartbeats.
    """
    with service.database.read() as tx:
        rows = list_rows(tx)
    elsewhere = _list_remote(service, rows)
    unchanged = service.process.listener.find_unchanged(elsewhere)
    if unchanged:
        with service.database.write() as tx:
            rewrite(tx, unchanged)
            rows = list_rows(tx)
        elsewhere = _list_remote(service, rows)
    silent = service.process.listener.look(elsewhere)
    return [row for row in rows if (row.token in silent if row.token in elsewhere else not _is_alive(service, row, own))]


def recover(service: Service, image_id: ImageID | None = None) -> int:
    """Set images whose upload died with its worker back to `queued`: one image, or all. Return how many."""
    dead = find_dead(
        service, partial(uploads.list_uploads, image_id=image_id), uploads.rewrite, own=service.process.running_uploads
    )
    return sum(_requeue(service, upload.image_id, upload.token) for upload in dead)


def requeue(service: Service, saving: Image, token: str) -> None:
    """Set one image back to `queued` after its upload failed. If the database is unavailable, `recover` does it later."""
    try:
        _requeue(service, saving.id, token)
    except problems.DatabaseUnavailable as problem:
        service.process.failures.note(problem, f"image {saving.id} is not queued again yet")


def renew(service: Service) -> None:
    """Send the heartbeat of this worker's running uploads, if there are any."""
    if service.process.running_uploads:
        with service.database.write() as tx:
            uploads.renew(tx, service.process.worker, now=service.clock())


def _list_remote(service: Service, rows: Sequence[_Row]) -> dict[str, datetime]:
    return {
        row.token: row.renewed_at
        for row in rows
        if row.worker != service.process.worker and service.process.worker_lives(row.worker) is None
    }


def _is_alive(service: Service, row: LeasedRow, own: Container[str]) -> bool:
    if row.worker == service.process.worker:
        return row.token in own
    # A worker of this machine cannot move to another machine.
    return service.process.worker_lives(row.worker) is not False


def _requeue(service: Service, image_id: ImageID, token: str) -> bool:
    with service.database.write() as tx:
        images.lock(tx, image_id)
        if not uploads.end(tx, image_id, token):
            return False
        if not images.queue_again(tx, image_id, now=service.clock()):
            return False
        queued = images.find_for_work(tx, image_id)
    if queued is not None:
        service.announce(Event.IMAGE_UPDATE, queued)
    return True
