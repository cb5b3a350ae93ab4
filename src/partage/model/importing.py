"""The state of an import in its image's properties: the task with the lock, the remaining stores, the failed stores.

Everybody who may see the image can read these properties, and only the service sets them. Source: the Image API's interoperable
import; `os_glance_import_task` is the lock that prevents a second import.
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
    """Lock the image for one task."""
    return replace(image, properties={**image.properties, LOCK: task_id})


def find_holder(image: Image) -> TaskID | None:
    """Return the task that has the lock."""
    found = image.properties.get(LOCK)
    return None if found is None else TaskID(found)


def begin(image: Image, stores: Iterable[StoreID]) -> Image:
    """Record the stores to which the data will be written, and clear earlier failures."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) | set(stores), failed=())


def note_stored(image: Image, store_id: StoreID) -> Image:
    """Record that a store has the data."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) - {store_id}, failed=_read_list(image, FAILED))


def note_failed(image: Image, store_id: StoreID) -> Image:
    """Record that writing to a store failed."""
    return _write_lists(image, to_stores=_read_list(image, TO_STORES) - {store_id}, failed=_read_list(image, FAILED) | {store_id})


def has_failures(image: Image) -> bool:
    """Whether the image records failed stores."""
    return bool(_read_list(image, FAILED))


def clear_failures(image: Image) -> Image:
    """Clear the failed stores of an earlier attempt, if there are any."""
    return replace(image, properties={**image.properties, FAILED: ""}) if has_failures(image) else image


def unlock(image: Image) -> Image:
    """Release the lock."""
    return replace(image, properties={name: value for name, value in image.properties.items() if name != LOCK})


def abandon(image: Image) -> Image:
    """Release the lock of a task that has ended early, and clear the stores to which its data would still have been written."""
    unlocked = unlock(image)
    return _write_lists(unlocked, to_stores=(), failed=_read_list(image, FAILED)) if TO_STORES in image.properties else unlocked


def remove_data(image: Image, *, now: datetime) -> Image:
    """Set an image back to `queued`, without data."""
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
    lists = {TO_STORES: ",".join(sorted(to_stores)), FAILED: ",".join(sorted(failed))}
    return replace(image, properties={**image.properties, **lists})
