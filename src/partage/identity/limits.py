"""Ask Keystone how much a project may have: unified limits, as its administrators register and set them.

A project's own limit wins over the registered one, and what is registered nowhere is not in the answer: nothing of it is allowed.
That is Keystone's flat enforcement model; others are refused, because they need the limits of a project's relatives. When Keystone
does not answer, nobody gets anything on a guess.

Source: Identity API v3, "Unified Limits"; oslo.limit for which endpoint's limits count. Why not oslo.limit itself:
docs/decisions/0035-unified-limits-without-oslo-limit.md.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from keystoneauth1 import adapter, exceptions
from keystoneauth1.identity.base import BaseIdentityPlugin

from partage import problems
from partage.model.ids import ProjectID

_MOST_PROJECTS = 10_000
_PAUSE_SECONDS = 1.0
_SILENT = "The identity service does not say how much the project may have at the moment; try again in a few seconds"
_SET_UP = "The limits of this service cannot be found in the identity service; an operator must correct the settings of limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitScope:
    """Which endpoint's limits count: the one with this id, or else that of this service type and region; None is any region."""

    endpoint_id: str | None = None
    service_type: str = "image"
    region: str | None = None


@dataclass(frozen=True, slots=True)
class _Remembered:
    limits: Mapping[str, int]
    fresh_until: float


class UnifiedLimits:
    """Limits of projects, remembered for seconds.

    Thread-safe: one lock guards the table and is not held while Keystone is asked; two threads may ask for the same project.
    """

    def __init__(
        self,
        connection: adapter.Adapter,
        whose: LimitScope,
        *,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask over `connection`, whose account needs the role service or admin; remember answers for `seconds`, 0: not at all."""
        self._connection = connection
        self._whose = whose
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._remembered: OrderedDict[ProjectID, _Remembered] = OrderedDict()
        self._place: Mapping[str, str] | None = None
        self._timeout_seconds = connection.session.timeout or _PAUSE_SECONDS
        self._signing_in = threading.Lock()
        self._away_until = 0.0

    def find_limits(self, project_id: ProjectID, *, fresh: bool = False) -> Mapping[str, int]:
        """Return a project's limits by name; -1 is none. `fresh` asks Keystone whatever is remembered.

        Raises:
            IdentityUnavailable: Keystone does not answer, or not with limits of this service.
        """
        with self._lock:
            known = self._remembered.get(project_id)
        if known is not None and not fresh and self._monotonic() < known.fresh_until:
            return known.limits
        asked_at = self._monotonic()
        found = self._ask(project_id)
        with self._lock:
            self._remembered[project_id] = _Remembered(found, asked_at + self._seconds)
            self._remembered.move_to_end(project_id)
            while len(self._remembered) > _MOST_PROJECTS:
                self._remembered.popitem(last=False)
        return found

    def _ask(self, project_id: ProjectID) -> Mapping[str, int]:
        self._sign_in()
        place = self._place or self._find_place()
        try:
            registered = self._get("/registered_limits", place)["registered_limits"]
            own = self._get("/limits", {**place, "project_id": project_id})["limits"]
            found = {each["resource_name"]: int(each["default_limit"]) for each in registered}
            # A Keystone that does not know a filter leaves it out: what is somebody else's must not count.
            mine = [each for each in own if each.get("project_id") == project_id]
            found |= {each["resource_name"]: int(each["resource_limit"]) for each in mine}
        except (KeyError, TypeError, ValueError) as error:
            raise problems.IdentityUnavailable(_SILENT) from error
        self._place = place
        return found

    def _sign_in(self) -> None:
        # As in identity/keystone.py: keystoneauth would let threads wait one after the other, each for the whole timeout.
        if not self._signing_in.acquire(timeout=self._timeout_seconds):
            raise problems.IdentityUnavailable(_SILENT)
        try:
            if self._monotonic() < self._away_until:
                raise problems.IdentityUnavailable(_SILENT)
            self._connection.get_token()
        except exceptions.ClientException as error:
            raise self._away() from error
        finally:
            self._signing_in.release()

    def _away(self) -> problems.IdentityUnavailable:
        self._away_until = self._monotonic() + _PAUSE_SECONDS
        return problems.IdentityUnavailable(_SILENT)

    def _find_place(self) -> Mapping[str, str]:
        """Find the service and region that limits are registered for, in the catalog of this service's own token."""
        try:
            model = self._get("/limits/model", {})["model"]["name"]
        except (KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_SILENT) from error
        if model != "flat":
            raise problems.IdentityUnavailable(f"{_SET_UP}: the enforcement model there is {model}, and flat is needed")
        places = {
            (service["id"], endpoint.get("region_id")) for service in self._catalog() for endpoint in self._endpoints(service)
        }
        if len(places) != 1:
            raise problems.IdentityUnavailable(f"{_SET_UP}: {len(places)} endpoints fit them, in different services or regions")
        service_id, region = places.pop()
        return {"service_id": service_id} if region is None else {"service_id": service_id, "region_id": region}

    def _catalog(self) -> list[Mapping[str, Any]]:
        account = self._connection.session.auth
        if not isinstance(account, BaseIdentityPlugin):
            raise problems.IdentityUnavailable(_SET_UP)
        try:
            found = account.get_access(self._connection.session).service_catalog.catalog
        except exceptions.ClientException as error:
            raise self._away() from error
        return list(found)

    def _endpoints(self, service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        whose = self._whose
        if whose.endpoint_id is not None:
            return [each for each in service["endpoints"] if each["id"] == whose.endpoint_id]
        if service["type"] != whose.service_type:
            return []
        return [each for each in service["endpoints"] if whose.region in (None, each.get("region_id"))]

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        try:
            answer = self._connection.get(path, params=dict(query), raise_exc=False, log=False, connect_retries=0)
        except exceptions.ClientException as error:
            raise self._away() from error
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_SILENT)
        try:
            return answer.json()
        except ValueError as error:
            raise problems.IdentityUnavailable(_SILENT) from error
