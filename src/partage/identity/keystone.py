"""Validate tokens with Keystone.

A token counts only if Keystone validates it; identity headers of the client are ignored. When Keystone does not respond, access is
denied. Tokens never appear in logs or messages.

Tokens of application credentials with access rules are refused: the request to Keystone does not declare that this service
understands access rules, so Keystone does not validate such tokens.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from keystoneauth1 import adapter, exceptions, session
from keystoneauth1.identity import v3

from partage import problems
from partage.identity.tokens import TokenCache, TokenValidation
from partage.measures import TOKEN_LOOKUPS, VALIDATION_SECONDS, Meter, Unmetered
from partage.model.caller import Caller
from partage.model.ids import ProjectID, UserID

SERVICE_ROLE = "service"
"""The role that makes a token a service token. Source: keystonemiddleware's default of `service_token_roles`."""

_MAX_TOKEN_CHARACTERS = 8192
_EXPIRED = b"expired"
"""The kind of validations that ignore when a token expires."""
_PAUSE_SECONDS = 1.0
"""Pause after a failure of Keystone. Without it every request would hold a thread for the whole timeout."""
_NO_RESPONSE = "The identity service does not respond; try again in a few seconds"


class _NotCached(Enum):
    """The cache has no entry, where None means something else."""

    NOT_CACHED = auto()


_NOT_CACHED = _NotCached.NOT_CACHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The service's own account in Keystone, and how to connect. `ca_file` None: the system's certificate authorities."""

    url: str
    username: str
    password: str = dataclasses.field(repr=False)
    project_name: str
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    region: str | None = None
    interface: str | None = None
    timeout_seconds: float = 5.0
    ca_file: str | None = None


def connect(credentials: Credentials, *, system: bool = False) -> adapter.Adapter:
    """Prepare a connection to Keystone with the service's own account; nothing is sent yet.

    The account's token is scoped to its project, or to the system with `system`. With an `interface`, tokens are
    validated at the catalog's identity endpoint of that interface and region, otherwise at `url`.
    """
    url = append_version(credentials.url)
    account = v3.Password(
        auth_url=url,
        username=credentials.username,
        password=credentials.password,
        user_domain_name=credentials.user_domain_name,
        project_name=None if system else credentials.project_name,
        project_domain_name=None if system else credentials.project_domain_name,
        system_scope="all" if system else None,
        reauthenticate=True,
    )
    talk = session.Session(auth=account, timeout=credentials.timeout_seconds, verify=credentials.ca_file or True, redirect=False)
    if credentials.interface is None:
        return adapter.Adapter(talk, endpoint_override=url)
    region, interface = credentials.region, credentials.interface
    return adapter.Adapter(talk, service_type="identity", interface=interface, region_name=region, version="3")


def append_version(url: str) -> str:
    """Return `url` with /v3 at its end, once."""
    bare = url.rstrip("/")
    return bare if bare.endswith("/v3") else f"{bare}/v3"


class Keystone:
    """Validates tokens and returns callers.

    Thread-safe: the cache is, keystoneauth's connections come from a pool, one thread at a time authenticates the service, and the
    end of the pause after a failure is a single number.
    """

    def __init__(
        self,
        connection: adapter.Adapter,
        cache: TokenCache,
        *,
        is_admin: Callable[[Caller], bool] = lambda _caller: False,
        allow_expired: bool = True,
        meter: Meter | None = None,
    ) -> None:
        """Validate over `connection`; `is_admin` is called once for each token, and its result is cached with the caller.

        `allow_expired`: a user's expired token is accepted together with a valid service token, for long operations of services.
        Source: keystonemiddleware, "service tokens".
        """
        self._connection = connection
        self._url = connection.endpoint_override or "the catalog's address"
        account: Any = connection.session.auth
        self._username, self._project_name = account.auth_methods[0].username, account.project_name
        self._timeout_seconds = connection.session.timeout or _PAUSE_SECONDS
        self._cache = cache
        self._is_admin = is_admin
        self._allow_expired = allow_expired
        self._authenticating = threading.Lock()
        self._paused_until = 0.0
        self._meter = Unmetered() if meter is None else meter

    def find_cached(self, token: str, service_token: str | None = None) -> Caller | None:
        """Return the cached caller of `token`, or None: then call `validate`. Never waits.

        Raises:
            Unauthenticated: the text cannot be a token, or Keystone refused the token a moment ago.
        """
        token = _strip_token(token)
        service = self._find_cached_service(service_token)
        if service is _NOT_CACHED:
            return None
        validation = self._cache.find_cached(token, kind=self._choose_kind(service))
        self._meter.add(TOKEN_LOOKUPS, "miss" if validation is None else "hit")
        if validation is None:
            return None
        return _add_service_roles(service, _require_valid(validation))

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        """Return whether the tokens were valid at their last validation. Never waits."""
        if service_token is not None and not self._cache.was_valid(service_token.strip()):
            return False
        token = token.strip()
        return self._cache.was_valid(token) or self._cache.was_valid(token, kind=_EXPIRED)

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        """Return the caller of `token`; the roles of a service token become `service_roles`.

        An invalid service token, or one without the role service, is ignored. Source: keystonemiddleware, as Glance configures it
        (`delay_auth_decision`).

        Raises:
            Unauthenticated: Keystone refuses the user's token.
            IdentityUnavailable: Keystone did not respond in time, or refuses this service's own account.
        """
        service = None if service_token is None else self._find_service(service_token)
        return _add_service_roles(service, self._find_caller(token, kind=self._choose_kind(service)))

    def check(self) -> None:
        """Check that Keystone responds, accepts this service's account, and lets it validate tokens.

        The request names no token to validate. Keystone checks the permission first, and then finds no token: 404.

        Raises:
            IdentityUnavailable: Keystone does not respond, or refuses the account or the permission.
        """
        try:
            self._connection.get_token()
            answer = self._connection.get("/auth/tokens", raise_exc=False, log=False, connect_retries=0)
        except exceptions.Unauthorized as error:
            raise problems.IdentityUnavailable(
                f"The identity service at {self._url} refuses this service's own user and password; "
                "correct identity.username and identity.password",
            ) from error
        except exceptions.SSLError as error:
            raise problems.IdentityUnavailable(
                f"The certificate of the identity service at {self._url} is not trusted; correct identity.cafile or identity.url",
            ) from error
        except exceptions.NotFound as error:
            raise problems.IdentityUnavailable(
                f"There is no Identity API v3 at {self._url}; correct identity.url",
            ) from error
        except exceptions.ClientException as error:
            raise problems.IdentityUnavailable(
                f"The identity service at {self._url} does not respond; start it or correct identity.url",
            ) from error
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise problems.IdentityUnavailable(
                f"The identity service at {self._url} does not permit this service's user to validate tokens; give it the role "
                f"{SERVICE_ROLE}: openstack role add --user {self._username} --project {self._project_name} {SERVICE_ROLE}",
            )

    def _find_cached_service(self, token: str | None) -> "Caller | _NotCached | None":
        """Return the cached service of a token, None if the token is not a service's, or `_NOT_CACHED`."""
        if token is None:
            return None
        try:
            validation = self._cache.find_cached(_strip_token(token))
        except problems.Unauthenticated:
            return None
        return _NOT_CACHED if validation is None else _require_service_role(validation.caller)

    def _find_service(self, token: str) -> Caller | None:
        try:
            return _require_service_role(self._find_caller(token, kind=b""))
        except problems.Unauthenticated:
            return None

    def _choose_kind(self, service: "Caller | _NotCached | None") -> bytes:
        return _EXPIRED if service is not None and self._allow_expired else b""

    def _find_caller(self, token: str, *, kind: bytes) -> Caller:
        token = _strip_token(token)
        return _require_valid(self._cache.find(token, lambda: self._measure_validation(token, expired=kind == _EXPIRED), kind=kind))

    def _measure_validation(self, token: str, *, expired: bool) -> TokenValidation:
        began_at, result = time.perf_counter(), "failed"
        try:
            found = self._request_validation(token, expired=expired)
            result = "refused" if found.caller is None else "valid"
            return found
        finally:
            self._meter.time(VALIDATION_SECONDS, time.perf_counter() - began_at, result)

    def _request_validation(self, token: str, *, expired: bool) -> TokenValidation:
        options = "?nocatalog=1&allow_expired=1" if expired else "?nocatalog=1"
        try:
            self._authenticate()
            answer = self._connection.get(
                f"/auth/tokens{options}",
                headers=_build_headers(token),
                raise_exc=False,
                log=False,
                connect_retries=0,
            )
        except exceptions.Unauthorized as error:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_describe_status(HTTPStatus.UNAUTHORIZED)) from error
        except exceptions.ClientException as error:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            raise problems.IdentityUnavailable(_NO_RESPONSE) from error
        return self._read_validation(answer.status_code, answer, expired=expired)

    def _authenticate(self) -> None:
        # keystoneauth authenticates under a lock without a timeout: if Keystone hangs, threads would wait one after the other, each
        # for the whole timeout, and requests with a cached token would find no free thread. So wait once, then check again.
        if not self._authenticating.acquire(timeout=self._timeout_seconds):
            raise problems.IdentityUnavailable(_NO_RESPONSE)
        try:
            if time.monotonic() < self._paused_until:
                raise problems.IdentityUnavailable(_NO_RESPONSE)
            self._connection.get_token()
        finally:
            self._authenticating.release()

    def _read_validation(self, status: int, answer: Any, *, expired: bool) -> TokenValidation:
        if status == HTTPStatus.NOT_FOUND:
            return TokenValidation(caller=None)
        if status != HTTPStatus.OK:
            raise problems.IdentityUnavailable(_describe_status(status))
        try:
            document = answer.json()["token"]
            caller = parse_caller(document)
            expires_at = datetime.fromisoformat(document["expires_at"]).timestamp()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise problems.IdentityUnavailable(
                "The identity service sent an invalid response; try again, or ask the operator to look at identity.url"
            ) from error
        if not expired and time.time() >= expires_at:
            return TokenValidation(caller=None)
        admin = dataclasses.replace(caller, is_admin=self._is_admin(caller))
        return TokenValidation(caller=admin, expires_at=None if expired else expires_at)


def parse_caller(token: Mapping[str, Any]) -> Caller:
    """Parse a caller from Keystone's token document: scoped to a project, a domain, the system, or unscoped.

    Raises:
        KeyError, TypeError, AttributeError: the document is not a token.
    Source: Identity API v3, "Validate and show information for token".
    """
    user = token["user"]
    project = token.get("project") or {}
    return Caller(
        user_id=UserID(user["id"]),
        user_name=user.get("name", ""),
        project_id=ProjectID(project["id"]) if project else None,
        project_name=project.get("name", ""),
        project_domain_id=(project.get("domain") or {}).get("id", ""),
        roles=frozenset(role["name"] for role in token.get("roles", ())),
        system_scope="all" if (token.get("system") or {}).get("all") else None,
        domain_id=(token.get("domain") or {}).get("id"),
    )


def _strip_token(token: str) -> str:
    """Strip spaces around a token.

    Raises:
        Unauthenticated: the rest cannot be a token.
    """
    token = token.strip()
    if not token or len(token) > _MAX_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise problems.Unauthenticated("The request has no token, or a malformed one; get a token from the identity service")
    return token


def _require_valid(validation: TokenValidation) -> Caller:
    if validation.caller is None:
        raise problems.Unauthenticated("The token is invalid, expired or revoked; get a new token from the identity service")
    return validation.caller


def _require_service_role(caller: Caller | None) -> Caller | None:
    return caller if caller is not None and SERVICE_ROLE in caller.roles else None


def _add_service_roles(service: "Caller | _NotCached | None", caller: Caller) -> Caller:
    return dataclasses.replace(caller, service_roles=service.roles) if isinstance(service, Caller) else caller


def _build_headers(token: str) -> dict[str, str]:
    return {"X-Subject-Token": token, "Accept": "application/json"}


def _describe_status(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return (
            "The identity service does not permit this service to validate tokens; an operator must correct the identity settings"
        )
    return f"The identity service responded with {status} to the validation of the token; try again in a few seconds"
