"""Check with Keystone whether a project exists. Nothing else of the project is read.

The service's own account uses a system-scoped token, for which the role reader is enough: a project-scoped token may read only its
own project. When Keystone does not respond, the request is refused.

Source: Identity API v3, "Show project details".
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from keystoneauth1 import adapter, exceptions

from partage import problems
from partage.model.ids import ProjectID

_MAX_ENTRIES = 10_000
_MAX_CONCURRENT = 4
"""Maximum concurrent requests: a Keystone that hangs blocks no more threads than this."""
_PAUSE_SECONDS = 1.0
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Valid ids. Other text could change the path of the URL. Source: Keystone's schema of ids."""
_NO_RESPONSE = "The identity service does not respond to the check of the project; try again in a few seconds"
_REFUSED = (
    "The identity service does not permit this service to read projects; an operator must give its user the system role reader, "
    "or set identity.check_members to false"
)


class Projects:
    """Existence of projects, cached for seconds.

    Thread-safe: one lock guards the cache and is not held during requests; two threads may request the same project.
    """

    def __init__(self, connection: adapter.Adapter, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Send requests over `connection`, whose account may read every project; cache for `seconds`, 0: not at all."""
        self._connection = connection
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[ProjectID, tuple[bool, float]] = OrderedDict()
        self._slots = threading.BoundedSemaphore(_MAX_CONCURRENT)
        self._paused_until = 0.0

    def has(self, project_id: ProjectID) -> bool:
        """Return whether a project of that id exists, disabled or not.

        Raises:
            IdentityUnavailable: Keystone does not respond, refuses the account, or too many requests are running.
        """
        if not _PROJECT_ID.fullmatch(project_id):
            return False
        with self._lock:
            found, fresh_until = self._entries.get(project_id, (False, 0.0))
        asked_at = self._monotonic()
        if asked_at < fresh_until:
            return found
        found = self._request_in_slot(project_id)
        with self._lock:
            self._entries[project_id] = (found, asked_at + self._seconds)
            self._entries.move_to_end(project_id)
            while len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
        return found

    def _request_in_slot(self, project_id: ProjectID) -> bool:
        if self._monotonic() < self._paused_until or not self._slots.acquire(blocking=False):
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            return self._request(project_id)
        finally:
            self._slots.release()

    def _request(self, project_id: ProjectID) -> bool:
        try:
            answer = self._connection.get(f"/projects/{project_id}", raise_exc=False, log=False, connect_retries=0)
        except exceptions.Unauthorized as error:
            raise problems.IdentityUnavailable(_REFUSED) from error
        except exceptions.ClientException as error:
            self._paused_until = self._monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise problems.IdentityUnavailable(_REFUSED)
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            return bool(answer.json()["project"]["id"] == project_id)
        except (ValueError, KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
