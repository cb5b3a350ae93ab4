"""A service without an edge: operations called as functions, on SQLite and a POSIX store in a temporary folder."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image
from partage.operations import downloads, images
from partage.operations.service import Service
from partage.records import images as image_rows
from partage.records import schema
from partage.stores.store import Store
from tests import invariants, uploading
from tests import services as builder

LOCAL = builder.LOCAL


@dataclass
class Clock:
    """Time that a test moves."""

    now: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Say what time it is."""
        return self.now

    def passes(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


OWNER = Caller(user_id=UserID("u"), project_id=ProjectID("A"), roles=frozenset({"member", "reader"}))


def make(folder: Path, store: Store | None = None, **changed: Any) -> Service:
    """Compose a service whose clock a test can move."""
    (folder / "store").mkdir(parents=True, exist_ok=True)
    service = builder.build(folder, store=store, **changed)
    schema.upgrade(service.database)
    invariants.watch(service.database)
    return service


def queued_image(service: Service, caller: Caller = OWNER) -> Image:
    """Make a raw image without data."""
    now = service.clock()
    image = Image(
        id=ImageID(service.new_id()),
        owner=caller.project_id,
        created_at=now,
        updated_at=now,
        disk_format="raw",
        container_format="bare",
    )
    with service.database.write() as tx:
        image_rows.add(tx, image)
    return image


def image_with(service: Service, data: bytes, caller: Caller = OWNER) -> Image:
    """Make a raw image with data."""
    image = queued_image(service, caller)
    upload(service, image.id, data, caller=caller)
    return images.show_image(service, caller, image.id)


def upload(service: Service, image_id: ImageID, data: bytes, *, announced_bytes: int | None = None, caller: Caller = OWNER) -> None:
    """Send data in uneven blocks."""
    blocks = (data[start : start + 70_001] for start in range(0, len(data), 70_001))
    uploading.upload(service, caller, image_id, blocks, announced_bytes=announced_bytes, store_id=None)


def download(service: Service, image_id: ImageID, caller: Caller = OWNER) -> bytes:
    """Fetch all data."""
    opened = downloads.open_image_data(service, caller, image_id)
    return b"".join(opened.read(0, opened.size_bytes))
