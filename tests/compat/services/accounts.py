"""The account of Nova and Cinder in a cloud, and Nova's image module with it."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat.clouds import Cloud
from tests.compat.services import module
from tests.compat.services.module import Module


@contextmanager
def made(cloud: Cloud) -> Iterator[str]:
    """Make the services' own account; yield it as lines of a section of their configuration."""
    identity, name, password = cloud.sdk("admin").identity, f"compat-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    user = identity.create_user(name=name, password=password, domain_id="default")
    for role in ("service", "admin"):  # as clouds are set up: without admin, Cinder finds no image of a user by its own account
        identity.assign_project_role_to_user(identity.find_project("service"), user, identity.find_role(role))
    where = f"auth_type = password\nauth_url = {cloud.identity}/v3\nuser_domain_id = default\nproject_domain_id = default\n"
    yield f"{where}username = {name}\npassword = {password}\nproject_name = service\n"
    identity.delete_user(user)


@contextmanager
def running_nova(python: Path, cloud: Cloud, account: str, folder: Path) -> Iterator[Module]:
    """Run Nova's image module, which sends a service token beside the user's."""
    glance = "[glance]\nvalid_interfaces = public\nregion_name = RegionOne\n"
    configuration = f"{glance}[service_user]\nsend_service_user_token = true\n{account}"
    with module.running(python, "nova_process.py", cloud, configuration, folder) as started:
        yield started
