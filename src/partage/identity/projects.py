"""Find projects in Keystone, by id or by name in a domain. Only id, name and domain are read.

The service's own account uses a system-scoped token, for which the role reader is enough: a project-scoped token may read only its
own project. When Keystone does not respond, the request is refused.

A request of a client may name a thousand projects, and each look-up takes Keystone a tenth of a second. So a search has a bound of
look-ups and of time, one look-up reads all projects of a domain of normal size, and the projects that ask take fair turns.

Source: Identity API v3, "Show project details", "List projects", "Show domain details", "List domains".
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from keystoneauth1 import adapter, exceptions

from partage import problems
from partage.identity.turns import Turns
from partage.model.closing import ProjectState
from partage.model.ids import ProjectID
from partage.model.offer import Project

_MAX_ENTRIES = 10_000
_PAUSE_SECONDS = 1.0
_SECONDS_OF_MISSES = 10.0
"""A project that does not exist may be created; one that exists rarely changes."""
MOST_LOOKUPS = 50
MOST_SECONDS = 10.0
LISTED_FROM = 4
"""From this number of projects on, a search reads the list of their domain instead."""
LARGEST_DOMAIN = 1000
_MOST_BYTES = 4 << 20
"""Bytes of a document: releases before 2025.1 ignore `limit` and return every project of a domain."""
_LONGEST_NAME = 64
"""Characters of a name. Source: Keystone's schema of projects and domains."""
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Valid ids. Other text could change the path of the URL. Source: Keystone's schema of ids."""
_NO_RESPONSE = "The identity service does not respond to the check of the project; try again in a few seconds"
_REFUSED = (
    "The identity service does not permit this service to read projects; an operator must give its user the system role reader, "
    "or set identity.check_members to false"
)
_TOO_MANY = (
    f"The projects of this request need more than {MOST_LOOKUPS} look-ups in the identity service; name fewer projects in one "
    f"request, and none that do not exist. All projects of a domain with fewer than {LARGEST_DOMAIN} need one look-up together"
)
_TOO_SLOW = (
    f"The identity service took more than {MOST_SECONDS:.0f} seconds for the projects of this request; name fewer of them in a "
    "request, or try again: those that were found are cached"
)


class Projects:
    """Projects, cached for seconds. Thread-safe; two threads may request the same project."""

    def __init__(self, connection: adapter.Adapter, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Send requests over `connection`, whose account may read every project; cache for `seconds`, 0: not at all."""
        self._connection = connection
        self._turns = Turns()
        self._paused_until = 0.0
        self.monotonic = monotonic
        self.cache = _Cache(seconds, monotonic)

    def has(self, project_id: ProjectID, *, asked_by: ProjectID | None = None) -> bool:
        """Return whether a project of that id exists, disabled or not. `asked_by` is the project of the caller.

        Raises:
            IdentityUnavailable: Keystone does not respond, refuses the account, or too many requests are running.
        """
        return self.search(asked_by).find(project_id) is not None

    def read_state(self, project_id: ProjectID) -> ProjectState:
        """Return what Keystone says of the project at this moment. Never cached.

        Raises:
            IdentityUnavailable: as `has`. Also if a response of 404 is not Keystone's own: a proxy knows no projects.
        """
        if not _PROJECT_ID.fullmatch(project_id):
            return ProjectState.ABSENT
        document = self.request(f"/projects/{project_id}", {}, None, read_absence=_require_own_absence)
        if document is None:
            return ProjectState.ABSENT
        if _project(document.get("project")).id != project_id:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        return ProjectState.ENABLED if document["project"].get("enabled") is not False else ProjectState.DISABLED

    def search(self, asked_by: ProjectID | None) -> "Search":
        """Begin a search for a request of a project, with bounds of its own."""
        return Search(self, asked_by)

    def request(
        self,
        path: str,
        filters: Mapping[str, str],
        asked_by: ProjectID | None,
        *,
        read_absence: Callable[[bytes], None] = lambda _body: None,
    ) -> Mapping[str, Any] | None:
        """Return the document at a path; None when Keystone has none. `read_absence` gets the response that says so.

        Raises:
            IdentityUnavailable: as `has`.
        """
        with self._turns.take(asked_by):
            if self.monotonic() < self._paused_until:
                raise problems.IdentityUnavailable(_NO_RESPONSE)
            status, body = self._request(path, filters)
        if status == HTTPStatus.NOT_FOUND:
            read_absence(body)
            return None
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise problems.IdentityUnavailable(_REFUSED)
        if status != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        return _parse(body)

    def _request(self, path: str, filters: Mapping[str, str]) -> tuple[int, bytes]:
        options = {"raise_exc": False, "log": False, "connect_retries": 0, "stream": True}
        try:
            answer = self._connection.get(path, params=dict(filters), **options)
            with answer:
                return answer.status_code, _read_body(answer.iter_content(1 << 16))
        except exceptions.Unauthorized as error:
            raise problems.IdentityUnavailable(_REFUSED) from error
        except (exceptions.ClientException, OSError) as error:  # requests raises OSErrors while the body is read
            self._paused_until = self.monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error


class Search:
    """The look-ups of one request: at most `MOST_LOOKUPS`, and none after `MOST_SECONDS`. For one thread.

    Every verb raises TooMany after too many look-ups, and IdentityUnavailable when time is over, when Keystone does not respond or
    refuses the account, or when too many requests are running.
    """

    def __init__(self, projects: Projects, asked_by: ProjectID | None) -> None:
        """Begin to search for a request of a project."""
        self._projects = projects
        self._asked_by = asked_by
        self._lookups = 0
        self._ends_at = projects.monotonic() + MOST_SECONDS
        self._found: dict[_Key, _Value] = {}

    def find(self, project_id: ProjectID) -> Project | None:
        """Return the project of that id, disabled or not."""
        if not _PROJECT_ID.fullmatch(project_id):
            return None
        found = self._find(("id", project_id), lambda: self._read_project(project_id))
        return found if isinstance(found, Project) else None

    def find_in_domain(self, project_id: ProjectID, domain_id: str) -> Project | None:
        """Return the project of that id, if it is in the domain."""
        if not self._is_known(("id", project_id)) and self._is_known(("outside", domain_id, project_id)):
            return None
        found = self.find(project_id)
        return found if found is not None and found.domain_id == domain_id else None

    def find_by_name(self, name: str, domain_id: str) -> Project | None:
        """Return the project of that name in a domain."""
        if not _is_name(name):
            return None
        found = self._find(("name", domain_id, name), lambda: self._read_named(name, domain_id))
        return found if isinstance(found, Project) else None

    def find_domain(self, domain: str) -> str | None:
        """Return the id of the domain that has this id or name."""
        if not _is_name(domain):
            return None
        found = self._find(("domain", domain), lambda: self._read_domain(domain))
        return found if isinstance(found, str) else None

    def load(self, domain_id: str, *, ids: Iterable[ProjectID] = (), names: Iterable[str] = ()) -> None:
        """Look for projects of one domain together, where that saves look-ups: later ones find them without Keystone."""
        large = ("large", domain_id)
        unknown = {each for each in ids if not self._is_known(("id", each)) and not self._is_known(("outside", domain_id, each))}
        unnamed = {each for each in names if not self._is_known(("name", domain_id, each))}
        if len(unknown | unnamed) < LISTED_FROM or self._is_known(large):
            return
        asked_at = self._projects.monotonic()
        listed = self._list_domain(domain_id)
        if listed is None:
            self._keep(large, domain_id, asked_at)
            return
        by_id, by_name = {each.id: each for each in listed}, {each.name: each for each in listed}
        for project_id in unknown:
            key = ("id", project_id) if project_id in by_id else ("outside", domain_id, project_id)
            self._keep(key, by_id.get(project_id), asked_at)
        for name in unnamed:
            self._keep(("name", domain_id, name), by_name.get(name), asked_at)

    def _find(self, key: "_Key", read: Callable[[], "_Value"]) -> "_Value":
        if not self._is_known(key):
            asked_at = self._projects.monotonic()
            self._keep(key, read(), asked_at)
        return self._found[key]

    def _is_known(self, key: "_Key") -> bool:
        """Whether the key was looked up, in this search or in one whose results are cached."""
        if key not in self._found:
            self._found.update(self._projects.cache.find(key))
        return key in self._found

    def _keep(self, key: "_Key", value: "_Value", asked_at: float) -> None:
        self._found[key] = value
        self._projects.cache.put(key, value, asked_at)

    def _read_project(self, project_id: ProjectID) -> Project | None:
        document = self._request(f"/projects/{project_id}", {})
        found = None if document is None else _project(document.get("project"))
        return found if found is not None and found.id == project_id else None

    def _read_named(self, name: str, domain_id: str) -> Project | None:
        document = self._request("/projects", {"name": name, "domain_id": domain_id})
        listed = [_project(each) for each in _rows(document, "projects")]
        return next((each for each in listed if (each.name, each.domain_id) == (name, domain_id)), None)

    def _read_domain(self, domain: str) -> str | None:
        if _PROJECT_ID.fullmatch(domain) and self._request(f"/domains/{domain}", {}) is not None:
            return domain
        listed = _rows(self._request("/domains", {"name": domain}), "domains")
        return next((str(each.get("id")) for each in listed if each.get("name") == domain), None)

    def _list_domain(self, domain_id: str) -> list[Project] | None:
        """Return every project of a domain, or None if it has too many."""
        try:
            document = self._request("/projects", {"domain_id": domain_id, "limit": str(LARGEST_DOMAIN)})
        except _TooLong:
            return None
        listed = [_project(each) for each in _rows(document, "projects")]
        is_cut = document is None or document.get("truncated") or (document.get("links") or {}).get("next")
        return None if is_cut or len(listed) >= LARGEST_DOMAIN else [each for each in listed if each.domain_id == domain_id]

    def _request(self, path: str, filters: Mapping[str, str]) -> Mapping[str, Any] | None:
        if self._lookups >= MOST_LOOKUPS:
            raise problems.TooMany(_TOO_MANY)
        if self._projects.monotonic() >= self._ends_at:
            raise problems.IdentityUnavailable(_TOO_SLOW)
        self._lookups += 1
        return self._projects.request(path, filters, self._asked_by)


_Key = tuple[str, ...]
_Value = Project | str | None


class _Cache:
    """What was found, and what was not, each with a bound: unknown names do not evict known projects. Thread-safe."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """Keep what was found for `seconds`, and what was not found for ten at most."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._parts = {True: (_Entries(), seconds), False: (_Entries(), min(seconds, _SECONDS_OF_MISSES))}

    def find(self, key: _Key) -> Mapping[_Key, _Value]:
        """Return the value under its key, or nothing if it is not known."""
        now = self._monotonic()
        with self._lock:
            for entries, _ in self._parts.values():
                value, fresh_until = entries.get(key, (None, 0.0))
                if now < fresh_until:
                    return {key: value}
        return {}

    def put(self, key: _Key, value: _Value, asked_at: float) -> None:
        """Keep a value that was asked for at that time."""
        entries, seconds = self._parts[value is not None]
        with self._lock:
            for each, _ in self._parts.values():
                each.pop(key, None)
            entries[key] = (value, asked_at + seconds)
            while len(entries) > _MAX_ENTRIES:
                entries.popitem(last=False)


_Entries = OrderedDict[_Key, tuple[_Value, float]]


class _TooLong(problems.IdentityUnavailable):
    """A document is longer than this service reads."""


def _is_name(text: str) -> bool:
    """Whether Keystone can have the name: it refuses a search for blanks."""
    return len(text) <= _LONGEST_NAME and bool(text.strip())


def _read_body(pieces: Iterator[bytes]) -> bytes:
    body = bytearray()
    for each in pieces:
        body += each
        if len(body) > _MOST_BYTES:
            raise _TooLong(_NO_RESPONSE)
    return bytes(body)


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except ValueError as error:
        raise problems.IdentityUnavailable(_NO_RESPONSE) from error
    if not isinstance(document, dict):
        raise problems.IdentityUnavailable(_NO_RESPONSE)
    return document


def _require_own_absence(body: bytes) -> None:
    """Require a response of 404 to be an error document of Keystone. Source: Identity API v3, "Errors"."""
    error = _parse(body).get("error")
    if not isinstance(error, dict) or error.get("code") != HTTPStatus.NOT_FOUND:
        raise problems.IdentityUnavailable(_NO_RESPONSE)


def _rows(document: Mapping[str, Any] | None, noun: str) -> list[Mapping[str, Any]]:
    try:
        return list((document or {})[noun])
    except (KeyError, TypeError) as error:
        raise problems.IdentityUnavailable(_NO_RESPONSE) from error


def _project(document: Any) -> Project:
    try:
        return Project(ProjectID(document["id"]), str(document["name"]), str(document["domain_id"]))
    except (KeyError, TypeError) as error:
        raise problems.IdentityUnavailable(_NO_RESPONSE) from error
