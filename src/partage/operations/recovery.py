"""What a crash leaves behind: images in `saving` that nobody saves any more go back to `queued`.

A worker of this machine is asked whether it lives; one elsewhere must have said so within `SILENCE`. This one knows which uploads
it is at: others of its own are those that it could not put back, because the database was away when they failed.
"""

from datetime import timedelta

from partage import problems
from partage.model.announcement import Event
from partage.model.ids import ImageID
from partage.model.image import Image
from partage.operations.service import Service
from partage.records import images, uploads
from partage.records.uploads import UploadRow

SILENCE = timedelta(seconds=60)
"""After this long without a word, a worker on another machine counts as dead."""


def recover(service: Service, image_id: ImageID | None = None) -> int:
    """Put images back to `queued` whose upload died with its worker; of one image, or of all. Return how many."""
    with service.database.read() as tx:
        found = uploads.list_uploads(tx, image_id)
    dead = [upload for upload in found if not _lives(service, upload)]
    return sum(_give_up(service, upload.image_id, upload.token) for upload in dead)


def restore(service: Service, saving: Image, token: str) -> None:
    """Put one image back to `queued` after its upload failed. A database that is away is left to `recover`."""
    try:
        _give_up(service, saving.id, token)
    except problems.DatabaseUnavailable:
        return


def renew(service: Service) -> None:
    """Say that this worker still runs its uploads; nothing is written when there are none."""
    with service.database.read() as tx:
        if not any(upload.worker == service.worker for upload in uploads.list_uploads(tx)):
            return
    with service.database.write() as tx:
        uploads.renew(tx, service.worker, now=service.clock())


def _lives(service: Service, upload: UploadRow) -> bool:
    if upload.worker == service.worker:
        return upload.token in service.running_uploads
    lives = service.worker_lives(upload.worker)
    if lives is None:
        return service.clock() - upload.renewed_at < SILENCE
    return lives


def _give_up(service: Service, image_id: ImageID, token: str) -> bool:
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
