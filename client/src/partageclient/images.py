"""Find images by id or name, also those that are only offered; read lists of the Image API page by page."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from partageclient import errors
from partageclient.connections import Cloud

Image = dict[str, Any]
"""An image as the Image API writes it."""

JSON_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
"""The headers of a change of an image."""

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_PAGE = 1000
_MOST_NAMED = 5


def find_image(cloud: Cloud, text: str) -> Image:
    """Find an image by its id, or by its name among those that the project can see, pending offers too.

    Raises:
        NotFound: there is none, or the project cannot see it.
        Ambiguous: several have this name.
    """
    asked = f"Find the image {text}"
    if is_id(text):
        try:
            found: Image = cloud.request("GET", f"/v2/images/{text}", asked=asked).document
        except errors.NotFound as error:
            raise errors.NotFound(
                asked, "there is no such image, or it is not shared with your project", "Compare the id with its owner's"
            ) from error
        return found
    name = write_filter(text)
    queries: tuple[dict[str, str | int], ...] = ({"name": name}, {"name": name, "visibility": "shared", "member_status": "all"})
    named = {str(each["id"]): each for query in queries for each in list_images(cloud, query, asked=asked)}
    if not named:
        raise errors.NotFound(asked, "your project can see no image of this name", "`openstack image list` shows the names")
    if len(named) > 1:
        ids = ", ".join(list(named)[:_MOST_NAMED])
        raise errors.Ambiguous(
            asked, f"{len(named)} images have this name ({ids}{', …' if len(named) > _MOST_NAMED else ''})", "Give the id"
        )
    return next(iter(named.values()))


def write_filter(text: str) -> str:
    """Write a name as a filter of a list. Source: what stands before a colon is an operator to the Image API."""
    return f"eq:{text}" if ":" in text else text


def is_id(text: str) -> bool:
    """Return whether a text has the form of an image's id."""
    return _UUID.fullmatch(text) is not None


def needs_to_be_shared(image: Image, asked: str, *, make_shared: bool) -> bool:
    """Return whether an image has to be made shared before it can have members.

    Raises:
        Conflict: it is private and may not be made shared, or it is public or community.
    """
    visibility = image.get("visibility")
    if visibility == "private" and not make_shared:
        raise errors.Conflict(asked, "the image is private, and you asked not to make it shared", "Leave out --no-make-shared")
    if visibility in ("public", "community"):
        raise errors.Conflict(
            asked,
            f"the image is {visibility}: every project can use it already, and it can have no members",
            f"Give the project its id, {image['id']}; or make the image shared, which closes it for all other projects",
        )
    return visibility == "private"


def list_images(cloud: Cloud, query: Mapping[str, str | int], *, asked: str) -> Iterator[Image]:
    """List images, the newest first, page by page.

    Raises:
        ClientError: the image service does not answer.
    """
    path, sent, seen = "/v2/images", {"limit": _PAGE, **query}, set[str]()
    while path:
        document = cloud.request("GET", path, asked=asked, query=sent).document
        yield from document["images"]
        path, sent = str(document.get("next") or ""), {}
        if path in seen:
            raise errors.Unexpected(asked, "the image service repeats the same page of its list")
        seen.add(path)
