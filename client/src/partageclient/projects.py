"""Which project a person means: by its id, by its name where Keystone lets the user look, or by a profile of clouds.yaml."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from partageclient import connections, errors
from partageclient.connections import Cloud

_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_FORBIDDEN, _ABSENT = 403, 404
_HELP = (
    "Give the id of the project (32 hexadecimal digits; `openstack token issue` shows it to its users), or a profile of clouds.yaml"
)


@dataclass(frozen=True)
class Project:
    """A project. `given` is what the person wrote; `name` is empty where it is not known.

    `id` is empty where the image service itself finds the project by its name, which only the sharing API does.
    """

    given: str
    id: str
    name: str = ""


def is_id(text: str) -> bool:
    """Return whether a text has the form of Keystone's project ids."""
    return _ID.fullmatch(text) is not None


def resolve(cloud: Cloud, text: str, *, force: bool = False, profiles: Collection[str] | None = None) -> Project:
    """Find the project that a person means.

    An id is asked for at Keystone where the user may ask; `force` takes any text as an id, and asks nobody.
    `profiles` are the names of profiles to look into, all of clouds.yaml unless given.

    Raises:
        NotFound: there is no such project or profile.
        Ambiguous: the name stands for several projects, or for a profile of another project.
        Invalid: the text is no id, and the user may not look for names.
    """
    asked = f"Find the project {text}"
    lowered = text.strip().lower()
    if _UUID.fullmatch(lowered):
        lowered = lowered.replace("-", "")
    if force:
        return Project(text, lowered if is_id(lowered) else text)
    if is_id(lowered):
        return _check_id(cloud, text, lowered, asked)
    if text in (connections.list_profiles() if profiles is None else profiles):
        return Project(text, connections.connect(text).project_id, text)
    found = _find_by_name(cloud, text, asked)
    if found is not None:
        return found
    if cloud.features.has_sharing_api and not _looks_damaged(text):
        return Project(text, "", text)
    raise errors.Invalid(asked, "it is no project id, and this cloud does not let you look projects up by name", _HELP)


def _looks_damaged(text: str) -> bool:
    """Return whether a text is almost an id: digits were lost or added when it was copied."""
    return re.fullmatch(r"[0-9a-f-]{24,}", text.lower()) is not None


def _check_id(cloud: Cloud, text: str, project_id: str, asked: str) -> Project:
    """Ask Keystone for an id, where the user may. A user without the right gets 403, also for ids that do not exist."""
    response = cloud.request("GET", f"/projects/{project_id}", asked=asked, also=(403, 404), service="identity")
    if response.status == _FORBIDDEN:
        return Project(text, project_id)
    if response.status == _ABSENT:
        raise errors.NotFound(asked, "the identity service has no such project", _HELP)
    return Project(text, project_id, str(response.document["project"].get("name") or ""))


def _find_by_name(cloud: Cloud, text: str, asked: str) -> Project | None:
    """Look for a name in Keystone; None where the user may not look."""
    response = cloud.request("GET", "/projects", asked=asked, query={"name": text}, also=(403,), service="identity")
    if response.status == _FORBIDDEN:
        return None
    found = [str(each["id"]) for each in response.document["projects"]]
    if len(found) > 1:
        raise errors.Ambiguous(asked, f"{len(found)} projects have this name: {', '.join(found)}", _HELP)
    if not found:
        raise errors.NotFound(asked, "the identity service has no project of this name", _HELP)
    return Project(text, found[0], text)
