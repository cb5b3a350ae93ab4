"""The two services that are compared: the real Glance through the scripts of PEER_DIR, and Partage beside the same Keystone."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDENTITY = f"http://127.0.0.1:{os.environ.get('KS_PORT', '35000')}/identity"
GLANCE = f"http://127.0.0.1:{os.environ.get('GL_PORT', '39292')}"
PASSWORD = os.environ.get("ADMIN_PW", "secret")
START_SECONDS = 120
PROGRAM = Path(sys.executable).with_name("partage")


@dataclass(frozen=True)
class Service:
    """A running image service and the process at the top of its tree."""

    name: str
    url: str
    pid: int

    @property
    def target(self) -> str:
        """Say where it is, in the words of the benchmark's --target."""
        return f"name={self.name},identity={IDENTITY},image={self.url},pid={self.pid}"


def answers(url: str) -> bool:
    """Say whether anything answers there."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback addresses of this file only
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def glance(scripts: Path, root: Path, *, keep: bool) -> Iterator[Service]:
    """Use the Glance that answers, or set it up and start it, on MariaDB; stop what was started, unless `keep`."""
    running = answers(f"{GLANCE}/versions") and answers(f"{IDENTITY}/v3")
    if not running:
        ready = (root / "venv/bin/uwsgi").exists()
        _script(scripts, "start.sh" if ready else "setup.sh", *(("mariadb", "keystone", "glance") if ready else ()))
    try:
        yield Service("glance", GLANCE, int((root / "run/glance-default.pid").read_text()))
    finally:
        if not running and not keep:
            _script(scripts, "stop.sh")


def _script(scripts: Path, name: str, *arguments: str) -> None:
    print(f"{name} of {scripts}: this can take two minutes", flush=True)
    subprocess.run(
        ["bash", scripts / name, *arguments], env={**os.environ, "DB_KIND": "mariadb"}, check=True, stdout=subprocess.DEVNULL
    )


@contextmanager
def partage(data: Path, port: int, *, prepare: Sequence[str] = (), worker: bool = False) -> Iterator[Service]:
    """Run `partage serve --workers 2` with SQLite and files below `data`, beside the same Keystone.

    `prepare`: arguments of a further `partage manage` before it starts; `worker`: run a `partage worker` too.
    """
    environment = {
        **os.environ,
        "PARTAGE_DATA": str(data),
        "PARTAGE_IDENTITY__URL": IDENTITY,
        "PARTAGE_IDENTITY__USERNAME": "glance",  # the peer's service account
        "PARTAGE_IDENTITY__PASSWORD": PASSWORD,
        "PARTAGE_LOG__LEVEL": "warning",
    }
    data.mkdir(parents=True)
    for arguments in (["upgrade-database"], *([prepare] if prepare else ())):
        subprocess.run([PROGRAM, "manage", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        serve = stack.enter_context(_running(environment, data, "serve", "--workers", "2", "--port", str(port)))
        if worker:
            stack.enter_context(_running(environment, data, "worker"))
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + START_SECONDS
        while not answers(f"{url}/versions"):
            if serve.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"partage serve did not start: {(data / 'serve.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield Service("partage", url, serve.pid)


@contextmanager
def _running(environment: dict[str, str], data: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (data / f"{arguments[0]}.log").open("w") as log:
        process = subprocess.Popen([PROGRAM, *arguments], env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()


@dataclass(frozen=True)
class People:
    """An owner, a member and another, each in a project of this run's own."""

    run: str
    projects: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        """Say who they are, in the words of the benchmark's options."""
        named = [f"{self.run}-{role}:{PASSWORD}:{self.run}-{role}" for role in ("owner", "member", "other")]
        return ["--owner", named[0], "--member", named[1], "--other", named[2]]


@contextmanager
def people(services: list[Service]) -> Iterator[People]:
    """Make projects and users that have no images yet; remove them and the owner's images afterwards."""
    admin = Keystone("admin", "admin")
    roles = {role["name"]: role["id"] for role in admin.call("GET", "/roles")["roles"]}
    run, projects, users = f"bench-{secrets.token_hex(3)}", [], []
    for role in ("owner", "member", "other"):
        name = f"{run}-{role}"
        project = admin.call("POST", "/projects", {"project": {"name": name}})["project"]["id"]
        user = admin.call("POST", "/users", {"user": {"name": name, "password": PASSWORD}})["user"]["id"]
        admin.call("PUT", f"/projects/{project}/users/{user}/roles/{roles['member']}")
        projects.append(project)
        users.append(user)
    try:
        yield People(run, tuple(projects), tuple(users))
    finally:
        owner = Keystone(f"{run}-owner", f"{run}-owner")
        for service in services:
            with suppress(OSError):  # a service that has ended needs no tidying, and must not keep the rest from it
                _empty(service, owner)
        for path in [*(f"/users/{user}" for user in users), *(f"/projects/{project}" for project in projects)]:
            with suppress(OSError):  # hours of measurements must not be lost for a row of Keystone's
                admin.call("DELETE", path)


class Keystone:
    """The Identity API, as one user."""

    def __init__(self, user: str, project: str) -> None:
        domain = {"id": "default"}
        who = {"methods": ["password"], "password": {"user": {"name": user, "domain": domain, "password": PASSWORD}}}
        scope = {"project": {"name": project, "domain": domain}}
        _, headers = request("POST", f"{IDENTITY}/v3/auth/tokens", {"auth": {"identity": who, "scope": scope}})
        self.token = headers["X-Subject-Token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return its document."""
        return request(method, f"{IDENTITY}/v3{path}", body, token=self.token)[0]


def request(method: str, url: str, body: Any = None, *, token: str = "") -> tuple[Any, Any]:
    """Send one request and return document and headers of the answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"X-Auth-Token": token} if token else {})
    asked = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback addresses of this file only
    with urllib.request.urlopen(asked, timeout=120) as answer:  # noqa: S310 - the same
        content = answer.read()
        return (json.loads(content) if content else None), answer.headers


def _empty(service: Service, owner: Keystone) -> None:
    """Delete what the owner has, four at a time."""

    def delete(image: str) -> None:
        with suppress(OSError):
            request("DELETE", f"{service.url}/v2/images/{image}", token=owner.token)

    with ThreadPoolExecutor(4) as pool:
        while True:
            page, _ = request("GET", f"{service.url}/v2/images?limit=1000&visibility=all", token=owner.token)
            mine = [image["id"] for image in page["images"]]
            if not mine:
                return
            list(pool.map(delete, mine))
