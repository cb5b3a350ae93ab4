"""What an import does to its image: who holds it, which stores it still goes to, which ones failed.

These are properties of the image that everybody who may see it can read, and that only the service sets. Source: the Image API's
interoperable import; `os_glance_import_task` is the lock that keeps a second import away.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from partage.model.ids import ContentID, StoreID, TaskID
from partage.model.image import Image, ImageStatus

LOCK = "os_glance_import_task"
TO_STORES = "os_glance_importing_to_stores"
FAILED = "os_glance_failed_import"


def lock(image: Image, task_id: TaskID) -> Image:
    """Let one task have the image to itself."""
    return replace(image, properties={**image.properties, LOCK: task_id})


def find_holder(image: Image) -> TaskID | None:
    """Name the task that has the image to itself."""
    found = image.properties.get(LOCK)
    return None if found is None else TaskID(found)


def begin(image: Image, stores: Iterable[StoreID]) -> Image:
    """Note the stores that the data goes to, and forget what failed in an earlier try."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) | set(stores), failed=())


def note_stored(image: Image, store_id: StoreID) -> Image:
    """Note that the data has reached a store."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) - {store_id}, failed=_read_list(image, FAILED))


def note_failed(image: Image, store_id: StoreID) -> Image:
    """Note that the data did not reach a store."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) - {store_id}, failed=_read_list(image, FAILED) | {store_id})


def has_failures(image: Image) -> bool:
    """Say whether the image tells of stores that its data did not reach."""
    return bool(_read_list(image, FAILED))


def clear_failures(image: Image) -> Image:
    """Forget the stores that the data did not reach in an earlier try, where there are any."""
    return replace(image, properties={**image.properties, FAILED: ""}) if has_failures(image) else image


def unlock(image: Image) -> Image:
    """Let other tasks have the image."""
    return replace(image, properties={name: value for name, value in image.properties.items() if name != LOCK})


def remove_data(image: Image, *, now: datetime) -> Image:
    """Put an image back to `queued`, without any data."""
    queued = image if image.status is ImageStatus.QUEUED else image.become(ImageStatus.QUEUED, now=now)
    nothing: ContentID | None = None
    return replace(
        queued,
        size=None,
        virtual_size=None,
        checksum=None,
        os_hash_algo=None,
        os_hash_value=None,
        content_id=nothing,
        stores=(),
        references=(),
        external_url=None,
    )


def _read_list(image: Image, name: str) -> set[str]:
    return {each for each in image.properties.get(name, "").split(",") if each}


def _write_lists(image: Image, *, to_stores: Iterable[str], failed: Iterable[str]) -> Image:
    noted = {TO_STORES: ",".join(sorted(to_stores)), FAILED: ",".join(sorted(failed))}
    return replace(image, properties={**image.properties, **noted})
