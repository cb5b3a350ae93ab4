"""Objects in a container of Swift, by keystoneauth (docs/decisions/0074).

A put is one PUT request, so an object appears whole or not at all, and no draft is left. The server compares each body with its
MD5 (ETag) before it answers. Reads are verified above, by the digests of chunks.
Swift has copies of an object and may look at one that is behind: what seems to be absent is asked for once more with X-Newest.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from keystoneauth1 import adapter, exceptions

from partage import problems
from partage.content.digest import Buffer
from partage.stores import layout, store
from partage.stores.drivers import responses, swift_accounts
from partage.stores.drivers.attempts import Attempts, IdentityCheck, Limits, TemporaryError, parse_retry_after
from partage.stores.drivers.per_process import PerProcess
from partage.stores.drivers.swift_accounts import Account
from partage.stores.identity import LONGEST_BYTES, Identity

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects are. `prefix` empty: the whole container."""

    container: str
    account: Account
    prefix: str = ""


class SwiftStore:
    """Keep objects in a container, which must exist. Threads and forked processes may share it."""

    def __init__(
        self,
        place: Place,
        limits: Limits | None = None,
        *,
        identity: Identity | None = None,
        settle_seconds: float = responses.SETTLE_SECONDS,
    ) -> None:
        limits = limits or Limits()
        self._container = f"/{quote(place.container, safe='')}"
        self._root = f"{place.prefix}/" if place.prefix else ""
        self._adapters = PerProcess(lambda: swift_accounts.connect(place.account, limits))
        self._attempts = Attempts(limits)
        self._timeouts = (limits.connect_seconds, limits.read_seconds)
        self._settle_seconds = settle_seconds
        self._identity = IdentityCheck(identity, self._read_identity)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        path = self._name(key)
        self._identity.require()
        body = b"".join(parts)
        headers = {"ETag": _compute_md5(body)}
        self._request(f"store {key}", lambda client: self._send(client, "PUT", path, headers, body).close())

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`. Takes seconds, and is for an object that is created once."""
        path = self._name(key)
        self._identity.require()
        if self.stat(key) is not None:
            return False
        body, mark = b"".join(parts), secrets.token_hex(16)
        headers = {"ETag": _compute_md5(body), "If-None-Match": "*", _MARK: mark}
        return responses.create_once(
            lambda: self._request(f"store {key}", lambda client: self._create(client, path, headers, body)),
            lambda: (self._head(key) or {}).get(_MARK) == mark,
            self._settle_seconds,
        )

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        self._name(key)
        self._identity.require()
        if not length:
            if self._head(key) is None:
                raise responses.absent(key)
            return b""
        return self._request(f"read {key}", lambda client: self._get(client, key, start, length))

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        found = self._head(key)
        if found is None:
            return None
        return store.Stat(int(found["Content-Length"]), datetime.fromtimestamp(float(found["X-Timestamp"]), UTC))

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        path = self._name(key)
        self._identity.require()
        self._request(f"remove {key}", lambda client: self._remove(client, path))

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`. One page of 1,000 keys is in memory at a time."""
        marker = ""
        while page := self._list(prefix, marker):
            yield from (name.removeprefix(self._root) for name in page)
            marker = page[-1]

    def list_drafts(self) -> Iterator[store.Draft]:
        """See `store.Store.list_drafts`. There are none."""
        return iter(())

    def remove_draft(self, draft: store.Draft) -> None:
        """See `store.Store.remove_draft`. There are none."""

    def _name(self, key: str) -> str:
        return f"{self._container}/{quote(self._root + layout.check_key(key))}"

    def _list(self, prefix: str, marker: str) -> list[str]:
        query = {"format": "json", "limit": _PAGE_KEYS, "prefix": self._root + prefix, "marker": marker}
        return self._request("list the store", lambda client: self._read_page(client, f"{self._container}?{urlencode(query)}"))

    def _read_page(self, client: adapter.Adapter, path: str) -> list[str]:
        with self._send(client, "GET", path) as answered:
            if answered.status_code == _ABSENT:
                raise _no_container()
            try:
                return [each["name"] for each in answered.json() if "name" in each]
            except ValueError as error:
                raise TemporaryError("the server sent no list") from error

    def _head(self, key: str) -> Mapping[str, str] | None:
        path = self._name(key)
        return self._request(f"look at {key}", lambda client: self._find(client, "HEAD", path, {}, _read_headers))

    def _get(self, client: adapter.Adapter, key: str, start: int, length: int) -> bytes:
        def read(answered: Any) -> bytes:
            if answered.status_code == _RANGE_REFUSED:
                raise responses.too_short(key, start + length)
            responses.check_range(answered.headers.get("Content-Range", ""), key, start, start + length)
            return responses.read_body(answered.iter_content(responses.PIECE_BYTES), length, self._timeouts[1])

        found = self._find(client, "GET", self._name(key), {"Range": f"bytes={start}-{start + length - 1}"}, read)
        if found is None:
            raise responses.absent(key)
        return found

    def _find(
        self, client: adapter.Adapter, method: str, path: str, headers: Mapping[str, str], read: Callable[[Any], Result]
    ) -> Result | None:
        """Return what `read` makes of an object's response; None if every copy is absent, in a container that exists."""
        for more in ({}, {"X-Newest": "true"}):
            with self._send(client, method, path, {**headers, **more}) as answered:
                if answered.status_code != _ABSENT:
                    return read(answered)
        with self._send(client, "HEAD", self._container) as answered:
            if answered.status_code == _ABSENT:
                raise _no_container()
        return None

    def _create(self, client: adapter.Adapter, path: str, headers: Mapping[str, str], body: bytes) -> bool:
        with self._send(client, "PUT", path, headers, body) as answered:
            return bool(answered.status_code != _PRECONDITION_FAILED)

    def _remove(self, client: adapter.Adapter, path: str) -> None:
        with self._send(client, "DELETE", path) as answered:
            is_absent = answered.status_code == _ABSENT
        if is_absent:
            with self._send(client, "HEAD", self._container) as answered:
                if answered.status_code == _ABSENT:
                    raise _no_container()

    def _request(self, action: str, act: Callable[[adapter.Adapter], Result]) -> Result:
        return self._attempts.run(action, lambda: self._attempt(action, act))

    def _attempt(self, action: str, act: Callable[[adapter.Adapter], Result]) -> Result:
        client = self._adapters.find()
        try:
            return act(client)
        except (_RefusedError, exceptions.Unauthorized, exceptions.Forbidden) as error:
            if self._adapters.renew(client):
                raise TemporaryError("the credentials were refused", 0) from error
            raise problems.StoreUnavailable(
                f"The store could not {action} (its credentials were refused); the operator has to check the store's credentials "
                "and their permissions"
            ) from error
        except _FullError as error:
            raise problems.StoreFull(f"The store has no room to {action} ({error}); free space or try another store") from error
        except exceptions.SSLError as error:
            raise problems.StoreUnavailable(
                f"The store could not {action}: the server's certificate is not trusted; the operator has to set the store's cafile"
            ) from error
        except (exceptions.CatalogException, exceptions.EndpointNotFound) as error:
            raise problems.StoreUnavailable(
                f"The store could not {action}: the catalog has no object store in this region and interface; the operator has to "
                "check the store's region and interface"
            ) from error
        except (exceptions.ClientException, OSError) as error:  # OSError: those of requests, while a body is read
            raise TemporaryError(_explain(error)) from error

    def _send(
        self, client: adapter.Adapter, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Any:
        """Send a request; return its response, whose body is not read yet, with a status that the caller can understand."""
        answered = client.request(
            path, method, headers=dict(headers or {}), data=body, raise_exc=False, log=False, stream=True, timeout=self._timeouts
        )
        status = answered.status_code
        if status < _FIRST_ERROR or status in _UNDERSTOOD.get(method, ()):
            return answered
        answered.close()
        if status in _DENIED_STATUSES:
            raise _RefusedError(f"status {status}")
        if status in _FULL_STATUSES:
            raise _FullError(f"status {status}")
        if status in _TEMPORARY_STATUSES:
            raise TemporaryError(f"status {status}", parse_retry_after(answered.headers.get("Retry-After")))
        if status == _ABSENT:
            raise _no_container()
        raise problems.StoreUnavailable(f"The store refused a request with status {status}; try again later")

    def _read_identity(self) -> bytes | None:
        found = self._head(layout.IDENTITY)
        if found is None:
            return None
        length = min(int(found["Content-Length"]), LONGEST_BYTES)
        return self._request("read its identity", lambda client: self._get(client, layout.IDENTITY, 0, length))


class _RefusedError(Exception):
    """Swift refused the token."""


class _FullError(Exception):
    """Swift has no room, or a quota is used up."""


def _read_headers(answered: Any) -> Mapping[str, str]:
    headers: Mapping[str, str] = answered.headers
    return headers


def _no_container() -> problems.StoreUnavailable:
    return problems.StoreUnavailable("The store's container does not exist; the operator has to create it")


def _compute_md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _explain(error: Exception) -> str:
    """Say what happened without the text of the library, which has URLs."""
    for kind, sentence in _EXPLANATIONS:
        if isinstance(error, kind):
            return sentence
    return type(error).__name__


_MARK = "X-Object-Meta-Partage-Mark"
_PAGE_KEYS = 1000
_FIRST_ERROR = 400
_ABSENT = 404
_PRECONDITION_FAILED = 412
_RANGE_REFUSED = 416
_UNDERSTOOD = {
    "GET": frozenset({_ABSENT, _RANGE_REFUSED}),
    "HEAD": frozenset({_ABSENT}),
    "DELETE": frozenset({_ABSENT}),
    "PUT": frozenset({_PRECONDITION_FAILED}),
}
_DENIED_STATUSES = frozenset({401, 403})
_FULL_STATUSES = frozenset({413, 507})
_TEMPORARY_STATUSES = frozenset({408, 409, 422, 425, 429, 498, 499, 500, 502, 503, 504})
"""409: an object with a later timestamp; 422: another MD5 than the body's; 498: Swift's own limit of rates."""

_EXPLANATIONS: Sequence[tuple[type[Exception], str]] = (
    (exceptions.ConnectTimeout, "the server does not respond in time"),
    (exceptions.ConnectFailure, "the server cannot be reached"),
    (exceptions.UnknownConnectionError, "the connection broke"),
    (exceptions.HttpError, "the identity service failed"),
    (OSError, "the connection broke while the server sent"),
)
