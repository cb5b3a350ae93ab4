"""What `partage up` keeps in its directory beside images and identities.

    DIR/lock               held while a `partage up` runs on DIR
    DIR/standalone.json    Keystone's port, every password and the key for tokens, drawn at random on the first start
    DIR/clouds.yaml        the same for clients of the `openstack` family
    DIR/keystone/          the identity service: its configuration, keys, database and log
    DIR/partage.db         images, tags, properties, members
    DIR/store/             image data

All files are the user's own (0600) in a directory that is (0700).
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

_KEPT = "standalone.json"


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the stand-alone service, its project and its role there; the name of its cloud in clouds.yaml."""

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
    """One directory's secrets and ports."""

    directory: Path
    keystone_port: int
    passwords: Mapping[str, str]
    token_key: str = ""

    @property
    def identity_url(self) -> str:
        """Where Keystone answers."""
        return f"http://127.0.0.1:{self.keystone_port}/identity"

    @property
    def clouds_file(self) -> Path:
        """The file that clients read."""
        return self.directory / "clouds.yaml"


@contextmanager
def lock_directory(directory: Path) -> Iterator[None]:
    """Hold the directory, so that no second `partage up` works on it.

    Raises:
        Unavailable: one does already.
    """
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise problems.Unavailable(f"Another partage up runs on {directory}; end it or choose another with --data") from error
        yield


def load(directory: Path) -> Standalone:
    """Read what the directory remembers; draw what it does not; move Keystone's port when something else has taken it.

    Raises:
        Unavailable: the file cannot be read.
    """
    file = directory / _KEPT
    before = load_kept(directory) if file.exists() else Standalone(directory, 0, {})
    port = before.keystone_port if _is_free(before.keystone_port) else listening.find_free_port()
    token_key = before.token_key or secrets.token_urlsafe(32)
    names = [person.user for person in (ADMIN, SERVICE, *PEOPLE)]
    passwords = {name: secrets.token_urlsafe(18) for name in names} | dict(before.passwords)
    written = {"keystone_port": port, "passwords": passwords, "token_key": token_key}
    write_privately(file, json.dumps(written, indent=1) + "\n")
    return Standalone(directory, port, passwords, token_key)


def load_kept(directory: Path) -> Standalone:
    """Read what the directory remembers, and change nothing.

    Raises:
        Unavailable: the file cannot be read.
    """
    file = directory / _KEPT
    try:
        kept = json.loads(file.read_text())
        return Standalone(directory, int(kept["keystone_port"]), dict(kept["passwords"]), str(kept.get("token_key", "")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise problems.Unavailable(f"{file} is not what partage up writes; restore it, or start with another --data") from error


def write_clouds(standalone: Standalone) -> Path:
    """Write clouds.yaml with one cloud for each person, and return its path."""
    entries = "".join(_cloud(standalone, person) for person in (ADMIN, *PEOPLE))
    head = "# Written by partage up at every start. Choose a cloud with openstack --os-cloud NAME.\n"
    write_privately(standalone.clouds_file, f"{head}clouds:\n{entries}")
    return standalone.clouds_file


def write_privately(file: Path, text: str) -> None:
    """Replace a file whole and durably, readable by this user only."""
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


def _cloud(standalone: Standalone, person: Person) -> str:
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
