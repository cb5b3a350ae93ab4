"""Copy the data of one image into a new image of another project or cloud, through this machine, without a temporary file.

The new image has the property MARKER until it is whole and compared. When the copy fails, also by Ctrl-C, the new image is removed;
on Partage it stays if a later run can go on with it, see `resumable_uploads.py`. What is left is found by the property, see
`find_earlier`.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import requests

from partageclient import connections, errors, images, resumable_uploads
from partageclient.connections import Cloud
from partageclient.copied_metadata import MARKER, Metadata
from partageclient.image_data import INTERRUPTIONS, PASSING, TIMEOUT_SECONDS, ImageData, Patience, find_digest
from partageclient.images import Image
from partageclient.resumable_uploads import Unfinished, Upload

_UPLOADS = 3
"""How often the data is sent to one new image. Glance cannot go on with an upload, only begin it again."""

_IMPORTING = ("os_glance_import_task", "os_glance_importing_to_stores")
"""Properties of an image whose import has been requested, also before it begins. Source: Glance locks the image with the first."""

_SETTLE_ATTEMPTS = 60
_REMOVAL_DELAYS_SECONDS = (0.2, 1.0, 3.0)
_TO_ANSWER_SECONDS = (TIMEOUT_SECONDS[0], 1800)
"""The service responds to an upload only when it has written everything."""


@dataclass(frozen=True)
class Observer:
    """Who wants to know how a copy goes on: `progress` gets bytes that are copied and bytes in all, `say` gets sentences."""

    progress: Callable[[int, int], None] = lambda _done, _total: None
    say: Callable[[str], None] = lambda _text: None


SILENT = Observer()


@dataclass(frozen=True)
class Copied:
    """An image that was made of another one.

    `image` is its document, `method` how it was made (adopt, import, stream, or present: it was there before). `verified` is what
    was compared: the name of a digest, `size` where the services have no digest in common, or `same data` after adopt. `left_out`
    properties that the copy does not have, with the reason. `resumed_from` are the positions from which download or upload went on.
    """

    image: Image
    method: str
    verified: str
    left_out: dict[str, str] = field(default_factory=dict)
    resumed_from: tuple[int, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """What former runs have made of an image: a whole copy, images that are half made, and one that is still imported."""

    whole: Image | None = None
    half_made: tuple[Image, ...] = ()
    importing: Image | None = None


def stream(
    source: Cloud,
    image: Image,
    destination: Cloud,
    metadata: Metadata,
    *,
    begun: Unfinished | None = None,
    observer: Observer = SILENT,
    patience: Patience | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Copied:
    """Create an image in the destination, and stream the data of an image of the source into it.

    `begun` is what a former run has left: a Partage goes on with it.

    Raises:
        Damaged: the data that arrived differs from the source's.
        ClientError: source or destination refuse, or do not respond. The new image was removed, or `observer` got its id.
    """
    patience = patience or Patience()
    if begun is None:
        made, refused = create(destination, metadata)
    else:
        made, refused = begun.image, _set_each(destination, begun.image["id"], metadata.find_missing(begun.image))
    image_id, size = str(made["id"]), int(image["size"])
    data = ImageData(source, image, patience=patience, report=lambda done: observer.progress(done, size), sleep=sleep)
    upload = Upload(data, destination, image_id, say=observer.say, patience=patience, sleep=sleep)
    is_resumable = False
    try:
        is_resumable = size > 0 and resumable_uploads.FEATURE in destination.features.names and upload.begin()
        if is_resumable:
            upload.send()
        else:
            _send(data, destination, image_id, patience, sleep, say=observer.say)
        verified = verify(image, _show(destination, image_id), data.digest, is_digest_needed=begun is not None)
        finish(destination, image_id, metadata, observer)
    except BaseException as error:
        data.close()
        if not (is_resumable and upload.keep_after(error)):
            remove(destination, image_id, observer)
        raise
    whole = _show(destination, image_id)
    return Copied(whole, "stream", verified, {**metadata.left_out, **refused}, tuple(data.resumed_from))


def create(destination: Cloud, metadata: Metadata) -> tuple[Image, dict[str, str]]:
    """Create an image without data; return it, and the properties that the service does not let the project set, with its reason.

    Raises:
        ClientError: the service refuses the image itself.
    """
    asked = f"Create the image {metadata.document['name']}{_locate(destination)}"
    try:
        return destination.request("POST", "/v2/images", body=metadata.document, asked=asked).document, {}
    except errors.Forbidden:
        if not metadata.properties:
            raise
    # The operator protects properties. Which ones, the response does not say for sure, so each is asked for alone.
    plain = {name: value for name, value in metadata.document.items() if name not in metadata.properties}
    made: Image = destination.request("POST", "/v2/images", body=plain, asked=asked).document
    try:
        return made, _set_each(destination, made["id"], metadata.properties)
    except BaseException:
        remove(destination, made["id"], SILENT)
        raise


def _set_each(destination: Cloud, image_id: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Set properties one by one; return those that the project may not set, with the service's reason."""
    refused = {}
    for name, value in properties.items():
        change: dict[str, object] = {"op": "add", "path": f"/{_escape(name)}", "value": value}
        try:
            _patch(destination, image_id, [change], f"Set the property {name}")
        except errors.Forbidden as error:
            refused[name] = error.obstacle
    return refused


def verify(source: Image, made: Image, digest: str | None, *, is_digest_needed: bool = False) -> str:
    """Compare a new image with its source; return what was compared. `digest` is that of the bytes that passed through, if any.

    Raises:
        Damaged: they differ; or `is_digest_needed`, and there is none to compare.
        Unexpected: the new image has no data.
    """
    asked = f"Compare image {made['id']} with its source {source['id']}"
    if made.get("status") != "active":
        raise errors.Unexpected(asked, f"after the upload the new image is {made.get('status')}", "Run it again")
    expected = find_digest(source)
    if expected and digest and digest != expected[1]:
        raise _make_damaged(asked, f"{expected[0]} of what was downloaded", expected[1], digest)
    if made.get("size") != source.get("size"):
        raise _make_damaged(asked, "size", source.get("size"), made.get("size"))
    algorithm = source.get("os_hash_algo")
    if algorithm and algorithm == made.get("os_hash_algo") and source.get("os_hash_value"):
        if made.get("os_hash_value") != source["os_hash_value"]:
            raise _make_damaged(asked, str(algorithm), source["os_hash_value"], made.get("os_hash_value"))
        return str(algorithm)
    if source.get("checksum") and made.get("checksum"):
        if made["checksum"] != source["checksum"]:
            raise _make_damaged(asked, "MD5", source["checksum"], made["checksum"])
        return "md5"
    if is_digest_needed and not digest:
        obstacle = "the image services have no digest in common, and a former run has sent a part of the data"
        raise errors.Damaged(asked, obstacle, "The copy is not used. Run it again: it begins anew")
    return "size"


def finish(destination: Cloud, image_id: str, metadata: Metadata, observer: Observer) -> None:
    """Remove the marker of a whole image, and set what only a whole image gets."""
    asked = f"Finish image {image_id}"
    with contextlib.suppress(errors.NotFound, errors.Conflict):  # the marker is gone: this is repeated
        _patch(destination, image_id, [{"op": "remove", "path": f"/{MARKER}"}], asked)
    for name, value in metadata.afterwards.items():
        try:
            _patch(destination, image_id, [{"op": "replace", "path": f"/{name}", "value": value}], f"Set {name} of {image_id}")
        except errors.Forbidden as error:
            observer.say(f"{error} The image is whole, only this is missing.")


def remove(destination: Cloud, image_id: str, observer: Observer) -> None:
    """Remove a half-made image; say so, or say where it is.

    It is tried again for some seconds: while Glance notices that an upload has broken off, it changes the image itself, and a
    deletion at that moment can fail.
    """
    try:
        for delay in (*_REMOVAL_DELAYS_SECONDS, None):
            try:
                asked = f"Remove the half-made image {image_id}"
                destination.request("DELETE", f"/v2/images/{image_id}", asked=asked, also=(404,))
                break
            except errors.ClientError:
                if delay is None:
                    raise
                time.sleep(delay)
    except (errors.ClientError, KeyboardInterrupt) as error:
        observer.say(
            f"The half-made image {image_id}{_locate(destination)} is still there ({str(error) or 'interrupted'})."
            f" Run the same command again, or delete it: {destination.write_command(f'image delete {image_id}')}"
        )
    else:
        observer.say(f"The half-made image {image_id}{_locate(destination)} was removed.")


def remove_others(destination: Cloud, half_made: Iterable[Image], begun: Unfinished | None, observer: Observer) -> None:
    """Remove the half-made images of former runs, except the one that this run goes on with."""
    for each in half_made:
        if begun is None or each["id"] != begun.image["id"]:
            remove(destination, each["id"], observer)


def find_earlier(destination: Cloud, image: Image, name: str | None = None) -> Earlier:
    """Find what former runs have made of an image in the destination.

    A whole copy is an active image of the project with the same name, size and digest.

    Raises:
        Conflict: another run is writing it at this moment.
        ClientError: the service does not answer.
    """
    asked = f"Look for earlier copies of image {image['id']}{_locate(destination)}"
    queries = ({MARKER: str(image["id"])}, {"name": images.write_filter(name or image.get("name") or str(image["id"]))})
    found: dict[str, Image] = {}
    for query in queries:
        for hidden in ("false", "true"):
            listed = images.list_images(destination, {**query, "owner": destination.project_id, "os_hidden": hidden}, asked=asked)
            found |= {each["id"]: each for each in listed if each.get("owner") == destination.project_id}
    half_made, whole, importing = [], None, None
    for each in found.values():
        is_ours = each.get(MARKER) == image["id"]
        if is_ours and (each["status"] == "importing" or any(each.get(name) for name in _IMPORTING)):
            importing = each
        elif is_ours and each["status"] in ("saving", "uploading"):
            remedy = f"Wait for it. If it was killed, wait until the image is no longer {each['status']}, and run it again"
            raise errors.Conflict(asked, f"another run is writing image {each['id']} ({each['status']})", remedy)
        elif _is_same(image, each):
            whole = each
        elif is_ours:
            half_made.append(each)
    return Earlier(whole, tuple(half_made), importing)


def _is_same(source: Image, other: Image) -> bool:
    if other.get("status") != "active" or source["id"] == other["id"]:
        return False
    try:
        return verify(source, other, None) != "size"
    except errors.Damaged:
        return False


def _send(
    data: ImageData,
    destination: Cloud,
    image_id: str,
    patience: Patience,
    sleep: Callable[[float], None],
    *,
    say: Callable[[str], None],
) -> None:
    """Send the data in one request, again from its beginning if the destination was away.

    Raises:
        ClientError: the source or the destination refuses, or does not answer for too long.
    """
    asked = f"Upload the data of image {image_id}{_locate(destination)}"
    url = f"{destination.image_url}/v2/images/{image_id}/file"
    for attempt in range(1, _UPLOADS + 1):
        try:
            failure = _put(data, destination, url, asked)
        except INTERRUPTIONS as error:
            failure = connections.translate(error, asked)
        if failure is None:
            return
        data.close()
        if attempt == _UPLOADS:
            raise failure
        sleep(patience.delay_seconds(attempt))
        if _settle(destination, image_id, patience, sleep) == "active":
            return  # only the response was lost
        where = _locate(destination)
        say(f"The upload{where} broke off. This image service cannot go on with an upload, so it begins anew.")


def _put(data: ImageData, destination: Cloud, url: str, asked: str) -> errors.ClientError | None:
    """Send the data once; return a failure that may not come again."""
    answer: requests.Response = destination.connection.session.request(
        url,
        "PUT",
        data=data,
        headers={"Content-Type": "application/octet-stream"},
        timeout=_TO_ANSWER_SECONDS,
        raise_exc=False,
        connect_retries=0,
    )
    if answer.status_code in range(200, 300):
        return None
    failure = connections.error_of_status(answer.status_code, connections.read_document(answer), asked)
    if answer.status_code not in PASSING:
        raise failure
    return failure


def _settle(destination: Cloud, image_id: str, patience: Patience, sleep: Callable[[float], None]) -> str:
    """Wait until the destination answers and has noticed that the upload ended; return the image's status, queued or active.

    Raises:
        ClientError: it does not answer for too long, or the image is gone.
    """
    failures = 0
    for _ in range(_SETTLE_ATTEMPTS):
        try:
            status = str(_show(destination, image_id)["status"])
        except (errors.Unreachable, errors.Overloaded, errors.Unexpected):
            failures += 1
            if failures >= patience.attempts:
                raise
            sleep(patience.delay_seconds(failures))
            continue
        if status != "saving":
            return status
        sleep(patience.first_delay_seconds)
    obstacle = "the image service still saves what was sent before the connection broke"
    raise errors.Conflict(f"Upload the data of image {image_id} again", obstacle, "Run it again after a while")


def _show(cloud: Cloud, image_id: str) -> Image:
    shown: Image = cloud.request("GET", f"/v2/images/{image_id}", asked=f"Show image {image_id}{_locate(cloud)}").document
    return shown


def _patch(cloud: Cloud, image_id: str, changes: list[dict[str, object]], asked: str) -> None:
    cloud.request("PATCH", f"/v2/images/{image_id}", body=changes, headers=images.JSON_PATCH, asked=asked)


def _make_damaged(asked: str, what: str, expected: object, found: object) -> errors.Damaged:
    return errors.Damaged(asked, f"the {what} differs: {found} instead of {expected}", "The copy is not used. Run it again")


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _locate(cloud: Cloud) -> str:
    return f" in {cloud.name}" if cloud.name else ""


def check_room(destination: Cloud, new: Sequence[Image], asked: str) -> None:
    """Check that the project's quota has room for copies, where the service tells it (Image API 2.15). Nothing was copied before.

    Raises:
        Overloaded: it has not.
    """
    found = destination.request("GET", "/v2/info/usage", asked="Ask for the quota", also=(300, 403, 404)).document
    usage = found.get("usage", {}) if isinstance(found, dict) else {}
    needed = {
        "image_size_total": (sum(int(each["size"]) for each in new) / (1 << 20), "MiB"),
        "image_count_total": (len(new), "images"),
    }
    for name, (amount, unit) in needed.items():
        resource = usage.get(name) or {}
        limit, used = resource.get("limit", -1), resource.get("usage", 0)
        if new and limit >= 0 and used + amount > limit:
            whose = destination.name or "the destination"
            obstacle = f"the quota of {whose} has no room for {amount:.0f} {unit} more: {used} of {limit} are used"
            raise errors.Overloaded(
                asked, obstacle, "Nothing was copied. Delete images there, or ask the operator for a larger quota"
            )
