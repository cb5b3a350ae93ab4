"""The versions of the Image API."""

from http import HTTPStatus

from partage.http.messages import Reply, json_reply
from partage.http.v2.paths import PREFIX

FEATURES = {
    "2.18": "cleaning and pruning a node's cache, the nodes that have cached an image",
    "2.17": "locations for services of the cloud",
    "2.16": "the right status of queueing an image for a node's cache",
    "2.15": "store details",
    "2.14": "a node's cache",
    "2.13": "usage against quotas",
    "2.12": "the tasks of an image",
    "2.11": "imports to several stores, copies between stores",
    "2.10": "removal from one store",
    "2.9": "validation data beside locations, settled",
    "2.8": "several stores",
    "2.7": "os_hash_algo, os_hash_value, os_hidden",
    "2.6": "import",
    "2.5": "the visibilities shared and community",
    "2.4": "lists of values in filters",
    "2.3": "deactivate and reactivate, several sort keys",
    "2.2": "property protections",
    "2.1": "members, the JSON patch of version 2.1",
    "2.0": "images, image data, tags, schemas",
}
"""Each minor version and what it added, the newest first. A version is listed only if the service has these features."""

_OF_THE_CACHE = frozenset({"2.14", "2.16", "2.18"})


def list_minors(*, with_cache: bool) -> list[str]:
    """List the served minor versions, the newest first."""
    return [minor for minor in FEATURES if with_cache or minor not in _OF_THE_CACHE]


def versions(origin: str, status: HTTPStatus, *, with_cache: bool) -> Reply:
    """List the versions of the API; all have the same path."""
    served = list_minors(with_cache=with_cache)
    listed = [
        {
            "id": f"v{minor}",
            "status": "CURRENT" if minor == served[0] else "SUPPORTED",
            "links": [{"rel": "self", "href": f"{origin}{PREFIX}/"}],
        }
        for minor in served
    ]
    written = json_reply({"versions": listed})
    return Reply(status=status, body=written.body, content_type=written.content_type)


def is_version(name: str, *, with_cache: bool) -> bool:
    """Return whether the first part of a path is a version of the API."""
    return name == PREFIX.strip("/") or (name.startswith("v") and name[1:] in list_minors(with_cache=with_cache))
