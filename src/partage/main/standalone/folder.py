"""The data directory of `partage up`.

    DIR/lock               locked while a `partage up` runs on DIR
    DIR/standalone.json    Keystone's port, random passwords and the random key for tokens
    DIR/clouds.yaml        the same for clients of the `openstack` family
    DIR/keystone/          the identity service: its configuration, keys, database and log
    DIR/partage.db         images, tags, properties, members
    DIR/store/             image data

Files have the mode 0600, the directory 0700.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from partage import problems
from partage.main.process import listening

SERVICE_USER = "partage"
REGION = "RegionOne"

_FILE_NAME = "standalone.json"


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the stand-alone service: its project, its role there, and its cloud in clouds.yaml."""

    user: str
    project: str
    role: str
    cloud: str


ADMIN = Person("admin", "admin", "admin", "admin")
SERVICE = Person(SERVICE_USER, "service", "service", "")
PEOPLE = (
    Person("user-a", "project-a", "member", "project-a"),
    Person("user-b", "project-b", "member", "project-b"),
    Person("user-c", "project-c", "member", "project-c"),
    Person("reader-a", "project-a", "reader", "reader-a"),
)


@dataclass(frozen=True, slots=True)
class Standalone:
    """The secrets and ports of one data directory."""

    directory: Path
    keystone_port: int
    passwords: Mapping[str, str]
    token_key: str = ""

    @property
    def identity_url(self) -> str:
        """The URL of Keystone, without the version."""
        return f"http://127.0.0.1:{self.keystone_port}/identity"

    @property
    def clouds_file(self) -> Path:
        """The path of clouds.yaml."""
        return self.directory / "clouds.yaml"


@contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Lock the data directory, so that no second `partage up` uses it.

    Raises:
        Unavailable: another `partage up` has locked it.
    """
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise problems.Unavailable(
                f"Another partage up runs on {directory}; stop it or choose another directory with --data"
            ) from error
        yield


def load(directory: Path) -> Standalone:
    """Read secrets and ports from the directory; create missing ones; choose another port for Keystone if its port is in use.

    Raises:
        Unavailable: the file cannot be read.
    """
    file = directory / _FILE_NAME
    before = load_kept(directory) if file.exists() else Standalone(directory, 0, {})
    port = before.keystone_port if _is_free(before.keystone_port) else listening.find_free_port()
    token_key = before.token_key or secrets.token_urlsafe(32)
    names = [person.user for person in (ADMIN, SERVICE, *PEOPLE)]
    passwords = {name: secrets.token_urlsafe(18) for name in names} | dict(before.passwords)
    content = {"keystone_port": port, "passwords": passwords, "token_key": token_key}
    write_privately(file, json.dumps(content, indent=1) + "\n")
    return Standalone(directory, port, passwords, token_key)


def load_kept(directory: Path) -> Standalone:
    """Read secrets and ports from the directory, and change nothing.

    Raises:
        Unavailable: the file cannot be read.
    """
    file = directory / _FILE_NAME
    try:
        kept = json.loads(file.read_text())
        return Standalone(directory, int(kept["keystone_port"]), dict(kept["passwords"]), str(kept.get("token_key", "")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise problems.Unavailable(
            f"{file} is damaged; restore it from a backup, or choose another directory with --data"
        ) from error


def write_clouds(standalone: Standalone) -> Path:
    """Write clouds.yaml with one cloud for each person, and return its path."""
    entries = "".join(_format_cloud(standalone, person) for person in (ADMIN, *PEOPLE))
    head = "# Written by partage up at every start. Choose a cloud with openstack --os-cloud NAME.\n"
    write_privately(standalone.clouds_file, f"{head}clouds:\n{entries}")
    return standalone.clouds_file


def write_privately(file: Path, text: str) -> None:
    """Replace a file atomically and durably (fsync), with mode 0600."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _format_cloud(standalone: Standalone, person: Person) -> str:
    return (
        f"  {person.cloud}:\n"
        f"    region_name: {REGION}\n"
        "    auth:\n"
        f"      auth_url: {standalone.identity_url}/v3\n"
        f"      username: {person.user}\n"
        f"      password: {json.dumps(standalone.passwords[person.user])}\n"
        f"      project_name: {person.project}\n"
        "      user_domain_id: default\n"
        "      project_domain_id: default\n"
    )


def _is_free(port: int) -> bool:
    if not port:
        return False
    try:
        listening.listen("127.0.0.1", port).close()
    except problems.Unavailable:
        return False
    return True
