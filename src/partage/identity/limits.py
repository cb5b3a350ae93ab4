"""Read unified limits of projects from Keystone.

A project's own limit takes precedence over the registered limit. An unregistered limit is absent from the result: nothing of it is
allowed. This is Keystone's flat enforcement model. Other models are refused, because they need the limits of other projects. When
Keystone does not respond, the request is refused.

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

_MAX_ENTRIES = 10_000
_PAUSE_SECONDS = 1.0
_NO_RESPONSE = "The identity service does not return the limits of the project; try again in a few seconds"
_MISCONFIGURED = "The identity service has no limits for this service; an operator must correct the settings of limits"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitScope:
    """The endpoint whose limits apply: by id, or by service type and region; None is any region."""

    endpoint_id: str | None = None
    service_type: str = "image"
    region: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    limits: Mapping[str, int]
    fresh_until: float


class UnifiedLimits:
    """Limits of projects, cached for seconds.

    Thread-safe: one lock guards the cache and is not held during requests; two threads may request the same project.
    """

    def __init__(
        self,
        connection: adapter.Adapter,
        scope: LimitScope,
        *,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send requests over `connection`, whose account needs the role service or admin; cache for `seconds`, 0: not at all."""
        self._connection = connection
        self._scope = scope
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[ProjectID, _Entry] = OrderedDict()
        self._place: Mapping[str, str] | None = None
        self._timeout_seconds = connection.session.timeout or _PAUSE_SECONDS
        self._authenticating = threading.Lock()
        self._paused_until = 0.0

    def find_limits(self, project_id: ProjectID, *, fresh: bool = False) -> Mapping[str, int]:
        """Return a project's limits by name; -1 is no limit. `fresh` ignores the cache.

        Raises:
            IdentityUnavailable: Keystone does not respond, or has no limits for this service.
        """
        with self._lock:
            known = self._entries.get(project_id)
        if known is not None and not fresh and self._monotonic() < known.fresh_until:
            return known.limits
        asked_at = self._monotonic()
        found = self._request(project_id)
        with self._lock:
            self._entries[project_id] = _Entry(found, asked_at + self._seconds)
            self._entries.move_to_end(project_id)
            while len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
        return found

    def _request(self, project_id: ProjectID) -> Mapping[str, int]:
        self._authenticate()
        place = self._place or self._find_place()
        try:
            registered = self._get("/registered_limits", place)["registered_limits"]
            own = self._get("/limits", {**place, "project_id": project_id})["limits"]
            found = {each["resource_name"]: int(each["default_limit"]) for each in registered}
            # A Keystone that does not know a filter ignores it: limits of other projects must not count.
            mine = [each for each in own if each.get("project_id") == project_id]
            found |= {each["resource_name"]: int(each["resource_limit"]) for each in mine}
        except (KeyError, TypeError, ValueError) as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        self._place = place
        return found

    def _authenticate(self) -> None:
        # As in identity/keystone.py: with keystoneauth's lock, threads would wait one after the other, each for the whole timeout.
        if not self._authenticating.acquire(timeout=self._timeout_seconds):
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            if self._monotonic() < self._paused_until:
                raise problems.IdentityUnavailable(_NO_RESPONSE)
            self._connection.get_token()
        except exceptions.ClientException as error:
            raise self._pause() from error
        finally:
            self._authenticating.release()

    def _pause(self) -> problems.IdentityUnavailable:
        self._paused_until = self._monotonic() + _PAUSE_SECONDS
        return problems.IdentityUnavailable(_NO_RESPONSE)

    def _find_place(self) -> Mapping[str, str]:
        """Find the service and region of the limits, in the catalog of this service's own token."""
        try:
            model = self._get("/limits/model", {})["model"]["name"]
        except (KeyError, TypeError) as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        if model != "flat":
            raise problems.IdentityUnavailable(f"{_MISCONFIGURED}: its enforcement model is {model}, and only flat is supported")
        places = {
            (service["id"], endpoint.get("region_id"))
            for service in self._find_catalog()
            for endpoint in self._list_endpoints(service)
        }
        if len(places) != 1:
            raise problems.IdentityUnavailable(
                f"{_MISCONFIGURED}: {len(places)} endpoints match them, in different services or regions"
            )
        service_id, region = places.pop()
        return {"service_id": service_id} if region is None else {"service_id": service_id, "region_id": region}

    def _find_catalog(self) -> list[Mapping[str, Any]]:
        account = self._connection.session.auth
        if not isinstance(account, BaseIdentityPlugin):
            raise problems.IdentityUnavailable(_MISCONFIGURED)
        try:
            found = account.get_access(self._connection.session).service_catalog.catalog
        except exceptions.ClientException as error:
            raise self._pause() from error
        return list(found)

    def _list_endpoints(self, service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        scope = self._scope
        if scope.endpoint_id is not None:
            return [each for each in service["endpoints"] if each["id"] == scope.endpoint_id]
        if service["type"] != scope.service_type:
            return []
        return [each for each in service["endpoints"] if scope.region in (None, each.get("region_id"))]

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        try:
            answer = self._connection.get(path, params=dict(query), raise_exc=False, log=False, connect_retries=0)
        except exceptions.ClientException as error:
            raise self._pause() from error
        if answer.status_code != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            return answer.json()
        except ValueError as error:
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
