"""Find projects in Keystone, by id or by name in a domain. Only id, name and domain are read.

The service's own account uses a system-scoped token, for which the role reader is enough: a project-scoped token may read only its
own project. When Keystone does not respond, the request is refused.

Source: Identity API v3, "Show project details", "List projects", "Show domain details", "List domains".
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from keystoneauth1 import adapter, exceptions

from partage import problems
from partage.model.closing import ProjectState
from partage.model.ids import ProjectID
from partage.model.offer import Project

_MAX_ENTRIES = 10_000
_MAX_CONCURRENT = 4
"""Maximum concurrent requests: a Keystone that hangs blocks no more threads than this."""
_PAUSE_SECONDS = 1.0
_LONGEST_NAME = 64
"""Characters of a name. Source: Keystone's schema of projects and domains."""
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Valid ids. Other text could change the path of the URL. Source: Keystone's schema of ids."""
_NO_RESPONSE = "The identity service does not respond to the check of the project; try again in a few seconds"
_REFUSED = (
    "The identity service does not permit this service to read projects; an operator must give its user the system role reader, "
    "or set identity.check_members to false"
)


class Projects:
    """Projects, cached by id for seconds.

    Thread-safe: one lock guards the cache and is not held during requests; two threads may request the same project.
    """

    def __init__(self, connection: adapter.Adapter, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Send requests over `connection`, whose account may read every project; cache for `seconds`, 0: not at all."""
        self._connection = connection
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[ProjectID, tuple[Project | None, float]] = OrderedDict()
        self._slots = threading.BoundedSemaphore(_MAX_CONCURRENT)
        self._paused_until = 0.0

    def has(self, project_id: ProjectID) -> bool:
        """Return whether a project of that id exists, disabled or not.

        Raises:
            IdentityUnavailable: Keystone does not respond, refuses the account, or too many requests are running.
        """
        return self.find(project_id) is not None

    def find(self, project_id: ProjectID) -> Project | None:
        """Return the project of that id, disabled or not.

        Raises:
            IdentityUnavailable: as `has`.
        """
        if not _PROJECT_ID.fullmatch(project_id):
            return None
        with self._lock:
            found, fresh_until = self._entries.get(project_id, (None, 0.0))
        asked_at = self._monotonic()
        if asked_at < fresh_until:
            return found
        found = _read_project(self._request_in_slot(f"/projects/{project_id}", {}), project_id)
        with self._lock:
            self._entries[project_id] = (found, asked_at + self._seconds)
            self._entries.move_to_end(project_id)
            while len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
        return found

    def read_state(self, project_id: ProjectID) -> ProjectState:
        """Return what Keystone says of the project at this moment. Never cached.

        Raises:
            IdentityUnavailable: as `has`. Also if a response of 404 is not Keystone's own: a proxy knows no projects.
        """
        if not _PROJECT_ID.fullmatch(project_id):
            return ProjectState.ABSENT
        document = self._request_in_slot(f"/projects/{project_id}", {}, read_absence=_require_own_absence)
        if document is None:
            return ProjectState.ABSENT
        if _read_project(document, project_id) is None:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        return ProjectState.ENABLED if document["project"].get("enabled") is not False else ProjectState.DISABLED

    def find_by_name(self, name: str, domain_id: str) -> Project | None:
        """Return the project of that name in a domain. Not cached.

        Raises:
            IdentityUnavailable: as `has`.
        """
        if len(name) > _LONGEST_NAME:
            return None
        found = self._list("projects", {"name": name, "domain_id": domain_id})
        return next((_project(each) for each in found if each["name"] == name and each["domain_id"] == domain_id), None)

    def find_domain(self, domain: str) -> str | None:
        """Return the id of the domain that has this id or name. Not cached.

        Raises:
            IdentityUnavailable: as `has`.
        """
        if len(domain) > _LONGEST_NAME:
            return None
        if _PROJECT_ID.fullmatch(domain) and self._request_in_slot(f"/domains/{domain}", {}) is not None:
            return domain
        return next((str(each["id"]) for each in self._list("domains", {"name": domain}) if each["name"] == domain), None)

    def _list(self, noun: str, filters: Mapping[str, str]) -> list[Mapping[str, Any]]:
        try:
            return list((self._request_in_slot(f"/{noun}", filters) or {})[noun])
        except (KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error

    def _request_in_slot(
        self, path: str, filters: Mapping[str, str], *, read_absence: Callable[[Any], None] = lambda _answer: None
    ) -> Mapping[str, Any] | None:
        """Return the document at a path; None when Keystone has none. `read_absence` gets the response that says so."""
        if self._monotonic() < self._paused_until or not self._slots.acquire(blocking=False):
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            return self._request(path, filters, read_absence)
        finally:
            self._slots.release()

    def _request(self, path: str, filters: Mapping[str, str], read_absence: Callable[[Any], None]) -> Mapping[str, Any] | None:
        try:
            answer = self._connection.get(path, params=dict(filters), raise_exc=False, log=False, connect_retries=0)
        except exceptions.Unauthorized as error:
            raise problems.IdentityUnavailable(_REFUSED) from error
        except exceptions.ClientException as error:
            self._paused_until = self._monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            read_absence(answer)
            return None
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise problems.IdentityUnavailable(_REFUSED)
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            document = answer.json()
        except ValueError as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        if not isinstance(document, dict):
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        return document


def _require_own_absence(answer: Any) -> None:
    """Require a response of 404 to be an error document of Keystone. Source: Identity API v3, "Errors"."""
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError) as error:
        raise problems.IdentityUnavailable(_NO_RESPONSE) from error
    if code != HTTPStatus.NOT_FOUND:
        raise problems.IdentityUnavailable(_NO_RESPONSE)


def _read_project(document: Mapping[str, Any] | None, project_id: ProjectID) -> Project | None:
    try:
        found = None if document is None else _project(document["project"])
    except (KeyError, TypeError) as error:
        raise problems.IdentityUnavailable(_NO_RESPONSE) from error
    return found if found is not None and found.id == project_id else None


def _project(document: Mapping[str, Any]) -> Project:
    return Project(ProjectID(document["id"]), str(document["name"]), str(document["domain_id"]))
