"""Estimate how many bytes a destination will fetch when it imports an image from another region: those of chunks that it lacks.

Reads manifests on both sides, each with the rights of its own user, and compares them here. Neither service is asked what it has.
"""

from collections.abc import Iterator

from partageclient import errors
from partageclient.connections import Cloud
from partageclient.images import Image

FEATURE = "transfer"
MOST_IMAGES = 16
"""So many of the newest images of the destination's project are compared, as the destination does.

The destination leaves out those that are not in the store of the import. Here they count, so that the estimate can be too low.
"""

MOST_PAGES = 256
"""So many pages are read of the manifest at the source, and of all those at the destination together."""

_PAGE_CHUNKS = 8192
_MOST_WANTED = 1 << 20


def estimate(source: Cloud, image: Image, destination: Cloud) -> int:
    """Return about how many bytes of the image the destination will fetch, before compression.

    Where one of them is no Partage, and for images of more than a hundred GiB, that is the size of the image.

    Raises:
        Unexpected: one of the clouds repeats the same page of a manifest.
        ClientError: one of the clouds does not answer.
    """
    size = int(image["size"])
    if FEATURE not in source.features.names or FEATURE not in destination.features.names:
        return size
    wanted: dict[str, int] = {}
    for number, page in enumerate(_read_manifest(source, str(image["id"])), start=1):
        wanted |= page
        if len(wanted) > _MOST_WANTED or number == MOST_PAGES:
            return size
    if not wanted and size:
        return size
    pages = (page for own in _list_own(destination) for page in _read_manifest(destination, str(own["id"])))
    for _, page in zip(range(MOST_PAGES), pages, strict=False):
        for digest in page:
            wanted.pop(digest, None)
        if not wanted:
            break
    return sum(wanted.values())


def _list_own(destination: Cloud) -> list[Image]:
    query: dict[str, str | int] = {"owner": destination.project_id, "status": "active", "limit": MOST_IMAGES}
    asked = f"List the images of {destination.name or 'the destination'}"
    listed: list[Image] = destination.request("GET", "/v2/images", asked=asked, query=query).document["images"]
    return listed


def _read_manifest(cloud: Cloud, image_id: str) -> Iterator[dict[str, int]]:
    """Yield the lengths of the chunks of each page by their digest; nothing where the image has no manifest for this user.

    Raises:
        Unexpected: the service repeats the same page.
    """
    asked, path = f"Read the manifest of image {image_id}", f"/partage/v1/images/{image_id}/manifest?limit={_PAGE_CHUNKS}"
    seen = {path}
    while path:
        try:
            document = cloud.request("GET", path, asked=asked).document
        except (errors.Conflict, errors.Forbidden, errors.NotFound):
            return
        yield {each["digest"]: int(each["length"]) for each in document["chunks"] if each["digest"]}
        path = str(document.get("next") or "")
        if path in seen:
            raise errors.Unexpected(asked, "the image service repeats the same page of the manifest", "Ask its operator")
        seen.add(path)
