"""Accounts of Swift: who asks, where, by a cloud of clouds.yaml or by a reference in Glance's `swift_store_config_file`.

Makes keystoneauth's adapter, which gets tokens, keeps them until they expire, and finds Swift in the catalog. The authentication of
Swift's own, version 1, is here: keystoneauth has none.
"""

import configparser
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keystoneauth1 import adapter, exceptions, plugin, session
from keystoneauth1.identity import v2, v3

from partage import problems
from partage.stores.drivers.attempts import Limits


@dataclass(frozen=True, slots=True)
class Account:
    """Either `cloud`, with `clouds_file` None for where clients look for it, or `reference` in `config_file`.

    `region`, `interface` and `endpoint` empty: those of the cloud, or the catalog's. `ca_file` None: the cloud's, or the system's.
    """

    cloud: str = ""
    clouds_file: Path | None = None
    reference: str = ""
    config_file: Path | None = None
    region: str = ""
    interface: str = ""
    endpoint: str = ""
    ca_file: Path | None = None


def connect(account: Account, limits: Limits) -> adapter.Adapter:
    """Return an adapter for Swift's requests; sends nothing yet. Reads the account's file.

    Raises:
        StoreUnavailable: the file cannot be read, or has no such cloud or reference, or its values are incomplete.
    """
    made, region, interface = _open_cloud(account) if account.cloud else _open_reference(account)
    if account.ca_file is not None:
        made.verify = str(account.ca_file)
    made.timeout = limits.connect_seconds + limits.read_seconds
    for scheme in ("http://", "https://"):
        made.session.mount(scheme, session.TCPKeepAliveAdapter(pool_maxsize=limits.parallel))
    return adapter.Adapter(
        made,
        service_type="object-store",
        region_name=account.region or region,
        interface=account.interface or interface,
        endpoint_override=account.endpoint or None,
    )


def _open_cloud(account: Account) -> tuple[session.Session, str | None, str | None]:
    try:
        clouds = importlib.import_module("openstack.config")
    except ImportError as error:
        raise problems.StoreUnavailable(
            "A store with a cloud of clouds.yaml needs openstacksdk, which is not installed; install it with: "
            "pip install 'partage[swift]'"
        ) from error
    files = None if account.clouds_file is None else [str(account.clouds_file)]
    try:
        cloud = clouds.OpenStackConfig(config_files=files, load_envvars=False).get_one(cloud=account.cloud)
        return cloud.get_session(), cloud.get_region_name("object-store"), cloud.get_interface("object-store")
    except Exception as error:  # errors of the library, of keystoneauth and of YAML, whose texts have values
        raise problems.StoreUnavailable(
            f"The store's cloud {account.cloud} cannot be used ({type(error).__name__}); the operator has to correct clouds.yaml"
        ) from error


def _open_reference(account: Account) -> tuple[session.Session, str | None, str | None]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(Path(account.config_file or "").read_text())
        values = dict(parser[account.reference])
        return session.Session(auth=_build_plugin(values)), None, None
    except (OSError, configparser.Error, KeyError, ValueError) as error:
        raise problems.StoreUnavailable(
            f"The store's reference {account.reference} cannot be used ({type(error).__name__}); the operator has to correct the "
            "store's config_file"
        ) from error


def _build_plugin(values: dict[str, str]) -> plugin.BaseAuthPlugin:
    """Build the authentication of a reference. Source: glance_store's `swift_store_utils` and its defaults."""
    url, user, key = values["auth_address"], values["user"], values["key"]
    version = values.get("auth_version", "3").removeprefix("v")[:1]
    if version == "1":
        return PasswordV1(url, user, key)
    project, _colon, name = user.partition(":")
    if version == "2":
        return v2.Password(url, username=name, password=key, tenant_name=project)
    domains: dict[str, Any] = {
        f"{of}_domain_{kind}": values[f"{of}_domain_{kind}"]
        for of in ("user", "project")
        for kind in ("id", "name")
        if values.get(f"{of}_domain_{kind}")
    }
    for of in ("user", "project"):
        if f"{of}_domain_name" in domains:
            domains.pop(f"{of}_domain_id", None)
        else:
            domains.setdefault(f"{of}_domain_id", "default")
    return v3.Password(auth_url=url, username=name, password=key, project_name=project, **domains)


class PasswordV1(plugin.BaseAuthPlugin):
    """Swift's own authentication, version 1: one request with user and key, whose response has token and URL of the account."""

    def __init__(self, url: str, user: str, key: str) -> None:
        super().__init__()
        self._url = url
        self._headers = {"X-Auth-User": user, "X-Auth-Key": key}
        self._found: tuple[str, str] | None = None

    def get_token(self, session: session.Session, **_unused: Any) -> str:
        """Return the token; ask for one first if there is none."""
        return self._find(session)[0]

    def get_endpoint(self, session: session.Session, **_unused: Any) -> str:
        """Return the URL of the account."""
        return self._find(session)[1]

    def invalidate(self) -> bool:
        """Forget the token."""
        self._found = None
        return True

    def _find(self, session: session.Session) -> tuple[str, str]:
        found = self._found
        if found is None:
            answered = session.get(self._url, headers=self._headers, authenticated=False, log=False)
            token, url = (answered.headers.get(name) for name in ("X-Auth-Token", "X-Storage-Url"))
            if not token or not url:
                raise exceptions.AuthorizationFailure("the response has no X-Auth-Token and X-Storage-Url")
            found = self._found = (token, url)
        return found
