"""Let the destination read an image from another region of the same cloud by itself: the import method glance-download.

Source: "Interoperable image import" of the Image API reference.
"""

import time
from collections.abc import Callable

from partageclient import copying, endpoint, errors
from partageclient.connections import Cloud
from partageclient.copied_metadata import Metadata
from partageclient.copying import Copied, Observer
from partageclient.images import Image

METHOD = "glance-download"
_FAILURES = 24
"""How often in a row the destination may not answer while it imports: two minutes."""

_POLLS_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


def is_possible(source: Cloud, image: Image, destination: Cloud) -> bool:
    """Return whether the destination offers the method, and its user may read the image in the source region.

    Raises:
        ClientError: the destination does not answer.
    """
    region = _find_region(source)
    if not region or source.image_url == destination.image_url:
        return False
    asked = f"Ask {destination.name or 'the destination'} for its import methods"
    offered = destination.request("GET", "/v2/info/import", asked=asked, also=(300, 403, 404)).document
    methods = offered.get("import-methods", {}).get("value", []) if isinstance(offered, dict) else []
    return METHOD in methods and _can_read(destination, region, source, image)


def run(
    source: Cloud,
    image: Image,
    destination: Cloud,
    metadata: Metadata,
    *,
    begun: Image | None,
    observer: Observer,
    sleep: Callable[[float], None] = time.sleep,
) -> Copied:
    """Import the image, wait for it, and compare it. `begun` is the new image if a former run began the import.

    Ctrl-C does not stop the destination: the new image stays, and a later run goes on to wait for it.

    Raises:
        Damaged: the data that arrived differs; the new image was removed.
        ClientError: the destination refuses or fails; the new image was removed.
    """
    made, refused = (begun, {}) if begun is not None else copying.create(destination, metadata)
    image_id = made["id"]
    try:
        if begun is None:
            _request(source, image, destination, image_id)
        whole = _wait(destination, image_id, sleep)
        verified = copying.verify(image, whole, None)
        copying.finish(destination, image_id, metadata, observer)
    except KeyboardInterrupt:
        observer.say(
            f"{destination.name or 'The destination'} goes on to import image {image_id}. Run the same command again to wait."
        )
        raise
    except BaseException:
        copying.remove(destination, image_id, observer)
        raise
    shown = destination.request("GET", f"/v2/images/{image_id}", asked=f"Show image {image_id}").document
    return Copied(shown, "import", verified, {**metadata.left_out, **refused})


def _request(source: Cloud, image: Image, destination: Cloud, image_id: str) -> None:
    method = {"name": METHOD, "glance_image_id": image["id"], "glance_region": _find_region(source)}
    interface = getattr(source.connection.config, "get_interface", lambda _type: None)("image")
    method["glance_service_interface"] = str(interface or "public")
    asked = f"Import image {image['id']} from region {method['glance_region']}"
    destination.request("POST", f"/v2/images/{image_id}/import", body={"method": method}, asked=asked)


def _wait(destination: Cloud, image_id: str, sleep: Callable[[float], None]) -> Image:
    """Wait until the import has ended; return the image.

    Raises:
        Unexpected: it has failed, with the words of its task.
    """
    asked = f"Import image {image_id}"
    polls = failures = 0
    while True:
        try:
            shown: Image = destination.request("GET", f"/v2/images/{image_id}", asked=asked).document
            if shown["status"] == "active":
                return shown
            failed = _find_failure(destination, image_id)
        except (errors.Unreachable, errors.Overloaded):
            failures += 1
            if failures >= _FAILURES:
                raise
            failed = None
        else:
            failures = 0
        if failed is not None:
            raise errors.Unexpected(asked, f"the destination could not import it: {failed}")
        sleep(_POLLS_SECONDS[min(polls, len(_POLLS_SECONDS) - 1)])
        polls += 1


def _find_failure(destination: Cloud, image_id: str) -> str | None:
    """Return why the import has failed; None while it goes on."""
    asked = f"Show the tasks of image {image_id}"
    found = destination.request("GET", f"/v2/images/{image_id}/tasks", asked=asked, also=(300, 403, 404)).document
    tasks = found.get("tasks", []) if isinstance(found, dict) else []
    failed = [each for each in tasks if each.get("status") == "failure"]
    return str(failed[-1].get("message") or "it does not say why") if failed and len(failed) == len(tasks) else None


def _find_region(cloud: Cloud) -> str:
    return str(getattr(cloud.connection.config, "region_name", None) or "")


def _can_read(destination: Cloud, region: str, source: Cloud, image: Image) -> bool:
    """Return whether the destination's catalog has the source's endpoint, and its token reads the image there."""
    session = destination.connection.session
    try:
        found = session.get_endpoint(service_type="image", region_name=region, interface="public")
        if not found or endpoint.strip_version(str(found)) != source.image_url:
            return False
        answer = session.get(f"{source.image_url}/v2/images/{image['id']}", raise_exc=False)
    except Exception:  # noqa: BLE001 - another method serves as well
        return False
    return bool(answer.status_code == 200)  # noqa: PLR2004
