"""Transfer images between regions, clouds and accounts: choose a method for each, skip what is there, go on after interruptions."""

import fnmatch
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from openstack.connection import Connection

from partageclient import adoption, copied_metadata, copying, errors, images, missing_chunks, region_imports, resumable_uploads
from partageclient.connections import Cloud, as_cloud
from partageclient.copied_metadata import Metadata
from partageclient.copying import SILENT, Copied, Observer
from partageclient.image_data import Patience
from partageclient.images import Image
from partageclient.resumable_uploads import Unfinished

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Planned:
    """What `transfer` would do with one image.

    `method` is adopt (the same image service makes a copy), import (the destination reads from the source region by itself), stream
    (through this machine), present (a whole copy is there) or refused (see `problem`). `begun` is the upload of a former run that a
    stream goes on with.
    """

    image: Image
    source: Cloud
    method: str
    metadata: Metadata
    earlier: copying.Earlier = field(default_factory=copying.Earlier)
    problem: errors.ClientError | None = None
    begun: Unfinished | None = None

    @property
    def bytes(self) -> int:
        """The number of bytes that go through this machine."""
        sent = 0 if self.begun is None else self.begun.offset
        return int(self.image["size"]) - sent if self.method == "stream" else 0


@dataclass(frozen=True)
class Transferred:
    """What became of one image: `copied` is the new image, or the one that was there; it is None if `problem` is set."""

    planned: Planned
    copied: Copied | None = None
    problem: errors.ClientError | None = None


def choose_images(conn: Connection | Cloud, text: str, properties: Mapping[str, str] | None = None) -> list[Image]:
    """Choose images of a cloud: one by its id or name, or with wildcards (`backup-*`) all of the project's own that match.

    `properties` are compared as well. Without a text, all own images that have them.

    Raises:
        NotFound: there is none.
        Ambiguous: a name without wildcards stands for several.
        Invalid: neither a text nor a property was given.
    """
    cloud, wanted = as_cloud(conn), dict(properties or {})
    if text and not _WILDCARDS & set(text):
        found = [images.find_image(cloud, text)]
    elif text or wanted:
        query: dict[str, str | int] = {"owner": cloud.project_id, "status": "active", **wanted}
        asked = f"Choose images of {cloud.name or 'the source'}"
        listed = [
            each for hidden in ("false", "true") for each in images.list_images(cloud, {**query, "os_hidden": hidden}, asked=asked)
        ]
        found = [each for each in listed if fnmatch.fnmatchcase(each.get("name") or "", text or "*")]
        found = [each for each in found if each.get("owner") == cloud.project_id]
    else:
        raise errors.Invalid(
            "Transfer images", "no image was named", "Write CLOUD:IMAGE, or CLOUD:'*' for all of the project's own"
        )
    chosen = [each for each in found if all(str(each.get(key)) == value for key, value in wanted.items())]
    if not chosen:
        what = f"{text or '*'} with {wanted}" if wanted else text
        remedy = "Patterns and properties select active images that the project owns; name others by their id"
        raise errors.NotFound(f"Choose the images {what} of {cloud.name or 'the source'}", "there are none", remedy)
    return chosen


def plan_transfer(source: Connection | Cloud, chosen: Iterable[Image], destination: Connection | Cloud) -> list[Planned]:
    """Decide for each image how it gets to the destination. Changes nothing.

    Raises:
        ClientError: one of the clouds does not answer.
    """
    here, there = as_cloud(source), as_cloud(destination)
    return [_plan(here, each, there) for each in chosen]


def transfer(
    source: Connection | Cloud,
    chosen: Iterable[Image],
    destination: Connection | Cloud,
    *,
    observe: Callable[[Planned], Observer] = lambda _planned: SILENT,
    patience: Patience | None = None,
) -> list[Transferred]:
    """Copy images to another region, cloud or account, and return what became of each. `chosen`: see `choose_images`.

    Raises:
        ClientError: one of the clouds does not answer, or the quota of the destination has no room; nothing was copied.
        Interrupted: see `carry_out`.
    """
    plans = plan_transfer(source, chosen, destination)
    return carry_out(plans, destination, observe=observe, patience=patience)


def carry_out(
    plans: Sequence[Planned],
    destination: Connection | Cloud,
    *,
    observe: Callable[[Planned], Observer] = lambda _planned: SILENT,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Transferred]:
    """Carry out plans, one image after the other, and return what became of each.

    A failure does not stop the others. What is already there is not copied again, so that a transfer that was interrupted is
    repeated with the same arguments. The data of each image is compared.

    Raises:
        Overloaded: the quota of the destination has no room for all of it. Nothing was copied.
        Interrupted: Ctrl-C was pressed; has what was done before. The half-made image was removed, or can be gone on with.
    """
    there = as_cloud(destination)
    begun = [
        each for each in plans if each.begun is not None or each.earlier.importing is not None
    ]  # the quota counts them already
    new = [each.image for each in plans if each.method in ("adopt", "import", "stream") and each not in begun]
    copying.check_room(there, new, "Transfer the images")
    done: list[object] = []
    results = []
    for each in plans:
        try:
            results.append(_carry_out_one(each, there, observe(each), patience, sleep))
        except errors.ClientError as problem:
            results.append(Transferred(each, problem=problem))
        except KeyboardInterrupt as interrupt:
            raise errors.Interrupted(done, len(plans) - len(results)) from interrupt
        done.append(results[-1])
    return results


def estimate_bytes(planned: Planned, destination: Connection | Cloud) -> int:
    """Return about how many bytes of an image will move, through this machine or to the destination directly, uncompressed.

    Two Partages exchange only the chunks that the destination's project does not have, see `missing_chunks`.

    Raises:
        ClientError: one of the clouds does not answer.
    """
    if planned.method == "import" and planned.earlier.importing is None:
        return missing_chunks.estimate(planned.source, planned.image, as_cloud(destination))
    return planned.bytes


def _plan(source: Cloud, image: Image, destination: Cloud) -> Planned:
    metadata = copied_metadata.select(image, to_other_cloud=source.image_url != destination.image_url)
    asked = f"Transfer image {image['id']}"
    try:
        if source.image_url == destination.image_url and image.get("owner") == destination.project_id:
            remedy = "Name a destination of another region, cloud or project"
            raise errors.Invalid(asked, "source and destination are the same project of the same image service", remedy)
        copied_metadata.check_copyable(image, asked)
        earlier = copying.find_earlier(destination, image)
    except errors.ClientError as problem:
        return Planned(image, source, "refused", metadata, problem=problem)
    if earlier.whole is not None:
        return Planned(image, source, "present", metadata, earlier)
    if earlier.importing is not None or region_imports.is_possible(source, image, destination):
        return Planned(image, source, "import", metadata, earlier)
    if _can_be_adopted(source, image, destination):
        return Planned(image, source, "adopt", metadata, earlier)
    begun = resumable_uploads.find_unfinished(destination, image, metadata, earlier.half_made)
    return Planned(image, source, "stream", metadata, earlier, begun=begun)


def _can_be_adopted(source: Cloud, image: Image, destination: Cloud) -> bool:
    """Return whether source and destination are projects of the same Partage, and the destination can see the image."""
    if source.image_url != destination.image_url or "adopt" not in destination.features.names:
        return False
    return destination.request("GET", f"/v2/images/{image['id']}", asked=f"Show image {image['id']}", also=(404,)).status != 404  # noqa: PLR2004


def _carry_out_one(
    planned: Planned, destination: Cloud, observer: Observer, patience: Patience | None, sleep: Callable[[float], None]
) -> Transferred:
    if planned.problem is not None:
        return Transferred(planned, problem=planned.problem)
    copying.remove_others(destination, planned.earlier.half_made, planned.begun, observer)
    whole = planned.earlier.whole
    if whole is not None:
        if copied_metadata.MARKER in whole:
            copying.finish(destination, whole["id"], planned.metadata, observer)
        return Transferred(planned, Copied(whole, "present", copying.verify(planned.image, whole, None), planned.metadata.left_out))
    return Transferred(planned, _copy(planned, destination, observer, patience, sleep))


def _copy(
    planned: Planned, destination: Cloud, observer: Observer, patience: Patience | None, sleep: Callable[[float], None]
) -> Copied:
    image, metadata = planned.image, planned.metadata
    if planned.method == "adopt":
        return adoption.adopt_at_once(destination, image, metadata)
    if planned.method == "import":
        try:
            begun = planned.earlier.importing
            return region_imports.run(planned.source, image, destination, metadata, begun=begun, observer=observer, sleep=sleep)
        except (errors.Forbidden, errors.Conflict, errors.Invalid, errors.Unexpected) as problem:
            observer.say(f"{problem} So the data goes through this machine.")
    return copying.stream(
        planned.source, image, destination, metadata, begun=planned.begun, observer=observer, patience=patience, sleep=sleep
    )
