"""The real Keystone as a child process of `partage up`: `python -m partage.main.standalone.embedded_keystone DIR IMAGE_URL PARENT`.

Needs keystone and waitress (`pip install partage[standalone]`), which no other module imports. Keystone's configuration is global
to a process and SQLite has one writer at a time, so Keystone runs in one process of its own. In an empty directory it creates keys,
schema, the first administrator, roles, catalog, and the users of `folder.py`; later starts only update them. When it is ready, it
prints one line on standard output. Everything else goes to its log.

Keystone fails without these steps: keys must exist before the application is built; receipts need the same key repository;
`sys.argv` is read; the bootstrapper must not load the back ends a second time.
"""

import base64
import contextlib
import logging
import os
import signal
import sys
import uuid
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import keystone.exception
import waitress.server
from keystone.cmd import bootstrap
from keystone.common import provider_api
from keystone.common.sql import upgrades
from keystone.server.flask import core as keystone_application

from partage.main.process import children
from partage.main.standalone import folder
from partage.main.standalone.folder import ADMIN, PEOPLE, REGION, SERVICE, Person, Standalone

_APIS = provider_api.ProviderAPIs
_DOMAIN = "default"
_THREADS = 1
"""One request at a time. Of two transactions that read and then write, one would fail with "database is locked", a 500. More
threads would not be faster, because a request is nearly all computation in Python."""
SERVICE_NAME = "glance"
"""The name of the image service in the catalog. Some clients and installers look for this name, not for the type."""
_FORMER_NAME = "partage"
_SEEDED = "seeded"
"""The file that names the Keystone and URLs of the last complete start; without it no start has completed."""


def main() -> None:
    """Serve on the loopback interface until the parent ends."""
    directory, image_url, parent = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    children.end_with_parent(parent, signal.SIGTERM)
    warnings.simplefilter("ignore")
    sys.argv = ["keystone"]
    kept = folder.load_kept(directory)
    home = directory / "keystone"
    application = keystone_application.initialize_application("public", config_files=[str(_configure(home))])
    logging.getLogger().setLevel(logging.WARNING)
    _seed_once(home, kept, image_url)
    listen = f"127.0.0.1:{kept.keystone_port}"
    server = waitress.server.create_server(application, listen=listen, url_prefix="/identity", threads=_THREADS, ident=None)
    print("ready", flush=True)
    server.run()


def _configure(home: Path) -> Path:
    home.mkdir(mode=0o700, exist_ok=True)
    if not (home / _SEEDED).exists():
        # An incomplete first start has no users yet, and may have left a part of the schema.
        (home / "keystone.db").unlink(missing_ok=True)
    for repository in ("keys", "credential-keys"):
        (home / repository).mkdir(mode=0o700, exist_ok=True)
        for name in ("0", "1"):
            key = home / repository / name
            if not key.exists():
                folder.write_privately(key, base64.urlsafe_b64encode(os.urandom(32)).decode())
    file = home / "keystone.conf"
    folder.write_privately(
        file,
        f"""\
[DEFAULT]
log_file = {home}/keystone.log
[database]
connection = sqlite:///{home}/keystone.db?timeout=30
[fernet_tokens]
key_repository = {home}/keys
[fernet_receipts]
key_repository = {home}/keys
[credential]
key_repository = {home}/credential-keys
[identity]
# The minimum of bcrypt. Passwords here are random and long, so slow hashing would only slow every command.
password_hash_rounds = 4
""",
    )
    return file


def _seed_once(home: Path, kept: Standalone, image_url: str) -> None:
    marker = home / _SEEDED
    state = f"keystone {metadata.version('keystone')} at {kept.identity_url}, image service {SERVICE_NAME} at {image_url}\n"
    if marker.exists() and marker.read_text() == state:
        return
    upgrades.offline_sync_database_to_version()
    (home / "keystone.db").chmod(0o600)
    roles = _bootstrap(kept)
    _grant_role(kept, SERVICE, roles)
    # For identity.check_members.
    _APIS.assignment_api.create_system_grant_for_user(
        _find_or_create_user(SERVICE.user, kept.passwords[SERVICE.user]), roles["reader"]
    )
    if not marker.exists():  # on later starts, removed users stay removed
        for person in PEOPLE:
            _grant_role(kept, person, roles)
    _register_endpoints("image", SERVICE_NAME, image_url)
    folder.write_privately(marker, state)


class _Bootstrap(bootstrap.Bootstrapper):  # type: ignore[misc] # keystone has no types
    """Keystone's own bootstrap, in a process that has loaded its back ends."""

    def __init__(self) -> None:
        backends = bootstrap.backends
        bootstrap.backends = _NoBackends
        try:
            super().__init__()
        finally:
            bootstrap.backends = backends


class _NoBackends:
    @staticmethod
    def load_backends() -> None:
        """Do nothing: the application has loaded them, and a second load is an error."""


def _bootstrap(kept: Standalone) -> dict[str, str]:
    first = _Bootstrap()
    first.admin_username, first.admin_password = ADMIN.user, kept.passwords[ADMIN.user]
    first.project_name, first.admin_role_name = ADMIN.project, ADMIN.role
    first.service_name, first.region_id = "keystone", REGION
    first.admin_url = first.internal_url = first.public_url = f"{kept.identity_url}/v3"
    first.immutable_roles = True
    first.bootstrap()
    return {"member": first.member_role_id, "reader": first.reader_role_id, "service": first.service_role_id}


def _grant_role(kept: Standalone, person: Person, roles: dict[str, str]) -> None:
    user_id = _find_or_create_user(person.user, kept.passwords[person.user])
    project_id = _find_or_create_project(person.project)
    with contextlib.suppress(keystone.exception.Conflict):
        _APIS.assignment_api.add_role_to_user_and_project(user_id, project_id, roles[person.role])


def _find_or_create_user(name: str, password: str) -> Any:
    try:
        return _APIS.identity_api.get_user_by_name(name, _DOMAIN)["id"]
    except keystone.exception.UserNotFound:
        user = {"name": name, "password": password, "domain_id": _DOMAIN, "enabled": True}
        return _APIS.identity_api.create_user(user)["id"]


def _find_or_create_project(name: str) -> Any:
    try:
        return _APIS.resource_api.get_project_by_name(name, _DOMAIN)["id"]
    except keystone.exception.ProjectNotFound:
        project_id = uuid.uuid4().hex
        project = {"id": project_id, "name": name, "domain_id": _DOMAIN, "enabled": True, "description": "", "is_domain": False}
        return _APIS.resource_api.create_project(project_id, project)["id"]


def _register_endpoints(type_: str, name: str, url: str) -> None:
    """Register `url` in the catalog for all three interfaces."""
    api = _APIS.catalog_api
    service = next((each for each in api.list_services() if each["type"] == type_), None)
    if service is None:
        service_id = uuid.uuid4().hex
        service = api.create_service(service_id, {"id": service_id, "type": type_, "name": name, "enabled": True})
    elif service["name"] == _FORMER_NAME:
        api.update_service(service["id"], {**service, "name": name})
    present = {each["interface"]: each for each in api.list_endpoints() if each["service_id"] == service["id"]}
    for interface in ("public", "internal", "admin"):
        if interface in present:
            api.update_endpoint(present[interface]["id"], {**present[interface], "url": url})
            continue
        endpoint_id = uuid.uuid4().hex
        endpoint = {
            "id": endpoint_id,
            "interface": interface,
            "url": url,
            "service_id": service["id"],
            "region_id": REGION,
            "enabled": True,
        }
        api.create_endpoint(endpoint_id, endpoint)


if __name__ == "__main__":
    main()
