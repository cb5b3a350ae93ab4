"""Ask Keystone whether there is a project of some id. Nothing else of it is read.

The question is asked with the service's own account under the scope of the system, where the role reader is enough: a token of a
project may only read about that project. When Keystone does not answer, nobody is told anything on a guess.

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

_MOST_PROJECTS = 10_000
_AT_ONCE = 4
"""Questions under way at a time: a Keystone that hangs holds no more threads than these."""
_PAUSE_SECONDS = 1.0
_AN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What an id may be made of. Anything else would lead to another place in a URL. Source: Keystone's schema of ids."""
_SILENT = "The identity service does not say at the moment whether there is such a project; try again in a few seconds"
_REFUSED = (
    "The identity service does not let this service read projects; an operator must give its user the role reader on the system, "
    "or switch identity.check_members off"
)


class Projects:
    """Which projects there are, remembered for seconds.

    Thread-safe: one lock guards the table and is not held while Keystone is asked; two threads may ask about the same project.
    """

    def __init__(self, connection: adapter.Adapter, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask over `connection`, whose account may read every project; remember answers for `seconds`, 0: not at all."""
        self._connection = connection
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._remembered: OrderedDict[ProjectID, tuple[bool, float]] = OrderedDict()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._away_until = 0.0

    def has(self, project_id: ProjectID) -> bool:
        """Say whether there is a project of that id, disabled or not.

        Raises:
            IdentityUnavailable: Keystone does not answer, does not let this service ask, or has enough questions already.
        """
        if not _AN_ID.fullmatch(project_id):
            return False
        with self._lock:
            found, fresh_until = self._remembered.get(project_id, (False, 0.0))
        asked_at = self._monotonic()
        if asked_at < fresh_until:
            return found
        found = self._ask_in_turn(project_id)
        with self._lock:
            self._remembered[project_id] = (found, asked_at + self._seconds)
            self._remembered.move_to_end(project_id)
            while len(self._remembered) > _MOST_PROJECTS:
                self._remembered.popitem(last=False)
        return found

    def _ask_in_turn(self, project_id: ProjectID) -> bool:
        if self._monotonic() < self._away_until or not self._places.acquire(blocking=False):
            raise problems.IdentityUnavailable(_SILENT)
        try:
            return self._ask(project_id)
        finally:
            self._places.release()

    def _ask(self, project_id: ProjectID) -> bool:
        try:
            answer = self._connection.get(f"/projects/{project_id}", raise_exc=False, log=False, connect_retries=0)
        except exceptions.Unauthorized as error:
            raise problems.IdentityUnavailable(_REFUSED) from error
        except exceptions.ClientException as error:
            self._away_until = self._monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_SILENT) from error
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise problems.IdentityUnavailable(_REFUSED)
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_SILENT)
        try:
            return bool(answer.json()["project"]["id"] == project_id)
        except (ValueError, KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_SILENT) from error
