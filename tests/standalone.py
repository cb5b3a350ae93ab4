"""The real Keystone and the whole of `partage up` for tests; the fixtures around them are in tests/conftest.py."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from partage.identity.keystone import Credentials
from partage.main.process import listening
from partage.main.standalone import folder, keystone_child

PARTAGE = Path(sys.executable).with_name("partage")
NO_DRAIN = {"PARTAGE_DRAIN_SECONDS": "0"}
"""A stop of a service that no proxy stands before need not take any longer."""

OPENSTACK = Path(sys.executable).with_name("openstack")


@dataclass
class RunningKeystone:
    """A real Keystone with project-a, -b and -c, in each user-a, -b or -c as member, and reader-a as reader of project-a."""

    kept: folder.Standalone
    _admin: Session | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.kept.identity_url

    @property
    def admin_password(self) -> str:
        return self.kept.passwords["admin"]

    @property
    def credentials(self) -> Credentials:
        """The image service's own account."""
        return Credentials(url=self.url, username="partage", password=self.kept.passwords["partage"], project_name="service")

    def session(self, user: str, project: str | None = None, **scope: Any) -> Session:
        """Sign a user in: to a project by name, or to what `scope` says (system_scope="all", domain_id=..., unscoped=True)."""
        account = v3.Password(
            auth_url=f"{self.url}/v3",
            username=user,
            password=self.kept.passwords[user],
            user_domain_id="default",
            project_name=project,
            project_domain_id="default" if project else None,
            **scope,
        )
        return Session(auth=account)

    def token(self, user: str, project: str | None = None, **scope: Any) -> str:
        """Get a new token; each call makes one of its own."""
        found = self.session(user, project, **scope).get_token()
        if found is None:
            raise RuntimeError(f"Keystone gave {user} no token")
        return found

    @property
    def admin(self) -> Session:
        if self._admin is None:
            self._admin = self.session("admin", "admin")
        return self._admin

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask the Identity API as the administrator; return the answer's document, if it has one."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.admin.request(f"{self.url}/v3{path}", method, json=body, headers=given)
        return answer.json() if answer.content else None

    def project_id(self, name: str) -> str:
        found: str = self.call("GET", f"/projects?name={name}")["projects"][0]["id"]
        return found

    def revoke(self, token: str) -> None:
        self.call("DELETE", "/auth/tokens", X_Subject_Token=token)

    def add_user(self, name: str, project: str, *roles: str, password: str = "chosen-for-a-test") -> None:
        """Create a user with roles in a project, both made when missing; `session` and `token` know it from then on."""
        users = self.call("GET", f"/users?name={name}")["users"]
        user = users[0] if users else self.call("POST", "/users", {"user": {"name": name, "password": password}})["user"]
        projects = self.call("GET", f"/projects?name={project}")["projects"]
        place = projects[0] if projects else self.call("POST", "/projects", {"project": {"name": project}})["project"]
        known = {role["name"]: role["id"] for role in self.call("GET", "/roles")["roles"]}
        for role in roles:
            self.call("PUT", f"/projects/{place['id']}/users/{user['id']}/roles/{known[role]}")
        self.kept = folder.Standalone(
            self.kept.directory, self.kept.keystone_port, {**self.kept.passwords, name: self.kept.passwords.get(name, password)}
        )


@contextmanager
def keystone(directory: Path) -> Iterator[RunningKeystone]:
    """Run the Keystone of `partage up` alone."""
    kept = folder.load(directory)
    with keystone_child.run_keystone(directory, "http://127.0.0.1:9292") as child:
        child.wait_until_ready()
        yield RunningKeystone(kept)


@dataclass
class LiveService:
    """A running `partage up`."""

    process: subprocess.Popen[str]
    directory: Path
    port: int

    @property
    def clouds_file(self) -> Path:
        return self.directory / "clouds.yaml"

    @property
    def log(self) -> Path:
        """What it has said on its terminal."""
        return log_of(self.directory)

    @property
    def image_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def identity_url(self) -> str:
        port = json.loads((self.directory / "standalone.json").read_text())["keystone_port"]
        return f"http://127.0.0.1:{port}/identity"

    @property
    def keystone(self) -> RunningKeystone:
        return RunningKeystone(folder.load_kept(self.directory))

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {**os.environ, "OS_CLIENT_CONFIG_FILE": str(self.clouds_file), "PYTHONWARNINGS": "ignore"}

    def openstack(self, cloud: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the real client and return what it said."""
        command = [str(OPENSTACK), "--os-cloud", cloud, *arguments]
        return subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def log_of(directory: Path) -> Path:
    """Say where the words of a `partage up` on `directory` are kept."""
    return directory.with_name(f"{directory.name}.out")


@contextmanager
def up(directory: Path, *arguments: str, port: int | None = None, **environment: str) -> Iterator[LiveService]:
    """Run `partage up` and wait for its last line of greeting."""
    port = port or listening.find_free_port()
    command = [str(PARTAGE), "up", "--data", str(directory), "--port", str(port), *arguments]
    log = log_of(directory)
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, text=True, env={**os.environ, **NO_DRAIN, **environment}
        )
    live = LiveService(process, directory, port)
    try:
        wait_for(lambda: "Ctrl-C ends everything" in log.read_text() or process.poll() is not None, seconds=120)
        if process.poll() is not None:
            raise RuntimeError(f"partage up ended: {log.read_text()}")
        yield live
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Any, *, seconds: float) -> None:
    """Return when `condition()` holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.02)


def answers(url: str) -> int:
    """Return the status with which `url` answers, or 0 when nothing listens there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:  # which holds the connection
            return error.code
    except OSError:
        return 0
