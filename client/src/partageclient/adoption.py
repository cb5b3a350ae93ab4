"""Adopt an image: make an own image of one that is shared with the project, so that nothing its owner does can end access to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient import copied_metadata, copying, errors, images, resumable_uploads
from partageclient.connections import Cloud, as_cloud
from partageclient.copied_metadata import Metadata
from partageclient.copying import SILENT, Copied, Observer
from partageclient.image_data import Patience
from partageclient.images import Image
from partageclient.resumable_uploads import Unfinished


@dataclass(frozen=True)
class AdoptionPlan:
    """What `adopt` would do: the source, how (adopt or stream), and the bytes that go through this machine.

    `half_made` are images that former runs have left, `begun` the one of them that a stream goes on with.
    """

    image: Image
    method: str
    bytes: int
    metadata: Metadata
    half_made: tuple[Image, ...]
    source: Cloud
    destination: Cloud
    begun: Unfinished | None = None


def plan_adoption(
    conn: Connection | Cloud, image: str, *, name: str | None = None, reader: Connection | Cloud | None = None
) -> AdoptionPlan:
    """Find an image, and decide how the project of `conn` can adopt it. Changes nothing.

    Args:
        conn: the connection of the project that gets the new image.
        image: the id or name of the source.
        name: the name of the new image; that of the source unless given.
        reader: a connection that can read the source if `conn` cannot.

    Raises:
        NotFound, Ambiguous: neither connection finds the image.
        Conflict: it cannot be copied, or another run is copying it.
        ClientError: the cloud does not answer.
    """
    destination = as_cloud(conn)
    source, found = _find_source(destination, as_cloud(reader) if reader is not None else None, image)
    copied_metadata.check_copyable(found, f"Adopt image {found['id']}")
    metadata = copied_metadata.select(found, name=name, to_other_cloud=source.image_url != destination.image_url)
    if source is destination and "adopt" in destination.features.names:
        return AdoptionPlan(found, "adopt", 0, metadata, (), source, destination)
    earlier = copying.find_earlier(destination, found, name)
    begun = resumable_uploads.find_unfinished(destination, found, metadata, earlier.half_made)
    left = int(found["size"]) - (0 if begun is None else begun.offset)
    return AdoptionPlan(found, "stream", left, metadata, earlier.half_made, source, destination, begun)


def adopt(
    conn: Connection | Cloud,
    image: str,
    *,
    name: str | None = None,
    reader: Connection | Cloud | None = None,
    observer: Observer = SILENT,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Copied:
    """Make a private image of the project of `conn` from one that it can download.

    Where the image service has the sharing API it does so at once, without copying bytes. On plain Glance the data is downloaded
    and uploaded at the same time, in flat memory, and compared. A half-made image of a former run is removed first, or gone on with
    where the image service can do so.

    Raises:
        Damaged: what arrived differs from the source; the new image was removed.
        ClientError: see `plan_adoption`; or the quota has no room, or the cloud does not answer.
    """
    return carry_out(plan_adoption(conn, image, name=name, reader=reader), observer=observer, patience=patience, sleep=sleep)


def carry_out(
    plan: AdoptionPlan,
    *,
    observer: Observer = SILENT,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Copied:
    """Do what was planned; see `adopt`."""
    if plan.method == "adopt":
        return adopt_at_once(plan.destination, plan.image, plan.metadata)
    copying.remove_others(plan.destination, plan.half_made, plan.begun, observer)
    new = [plan.image] if plan.begun is None else []  # the quota counts that one already
    copying.check_room(plan.destination, new, f"Adopt image {plan.image['id']}")
    return copying.stream(
        plan.source,
        plan.image,
        plan.destination,
        plan.metadata,
        begun=plan.begun,
        observer=observer,
        patience=patience,
        sleep=sleep,
    )


def adopt_at_once(cloud: Cloud, image: Image, metadata: Metadata) -> Copied:
    """Let the image service make the new image; no bytes are copied.

    Raises:
        ClientError: the service refuses.
    """
    document: dict[str, Any] = {each: metadata.document[each] for each in ("name", "visibility", "tags")}
    asked = f"Adopt image {image['id']}"
    answer = cloud.request("POST", f"/partage/v1/images/{image['id']}/adopt", body=document, asked=asked).document
    made = cloud.request("GET", f"/v2/images/{answer['image_id']}", asked=f"Show image {answer['image_id']}").document
    return Copied(made, "adopt", "same data", {})


def _find_source(destination: Cloud, reader: Cloud | None, image: str) -> tuple[Cloud, Image]:
    try:
        return destination, images.find_image(destination, image)
    except errors.NotFound:
        if reader is None:
            raise
    return reader, images.find_image(reader, image)
