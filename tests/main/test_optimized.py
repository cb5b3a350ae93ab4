"""The service says no without assertions: `python -OO` takes them all away.

T-57 of docs/security.md: in OSSN-0048 the check of a request's method was one. The suites as a whole run so with `make hostile`.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from partage.main.process import listening
from tests import standalone
from tests.standalone import RunningKeystone
from tests.unit.content.test_inspection import qcow2

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Live:
    """A running `partage serve` without assertions, and tokens of those who ask it: two members, and a reader beside the first."""

    url: str
    tokens: dict[str, str]


@pytest.fixture
def live(keystone: RunningKeystone, tmp_path: Path) -> Iterator[Live]:
    port = listening.find_free_port()
    settings = {
        "PARTAGE_DATA": str(tmp_path / "data"),
        "PARTAGE_PORT": str(port),
        "PARTAGE_WORKERS": "1",
        "PARTAGE_IDENTITY__URL": keystone.url,
        "PARTAGE_IDENTITY__PASSWORD": keystone.credentials.password,
        "PARTAGE_IDENTITY__TIMEOUT_SECONDS": "60",
        "PARTAGE_IDENTITY__CACHE_SECONDS": "300",
        "PYTHONOPTIMIZE": "2",
    }
    environment = {**os.environ, **settings}
    (tmp_path / "data").mkdir(mode=0o700)
    subprocess.run([standalone.PARTAGE, "manage", "upgrade-database"], env=environment, check=True, capture_output=True)
    with subprocess.Popen([standalone.PARTAGE, "serve"], env=environment) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            standalone.wait_for(lambda: standalone.answers(f"{url}/versions") == HTTPStatus.OK, seconds=120)
            people = {"user-a": "project-a", "user-b": "project-b", "reader-a": "project-a"}
            yield Live(url, {user: keystone.token(user, project) for user, project in people.items()})
        finally:
            process.terminate()


def asks(
    live: Live, who: str, method: str, path: str, *, body: Any = None, media_type: str = "application/json"
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    headers = {"X-Auth-Token": live.tokens[who], "Content-Type": media_type}
    request = urllib.request.Request(live.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if answer.headers.get_content_type() == "application/json" else content
    except urllib.error.HTTPError as error:
        with error:  # which holds the connection
            return error.code, None


def test_refusals_work_under_python_oo(live: Live) -> None:
    a, b, reader = live.tokens
    octets, patch = "application/octet-stream", "application/openstack-images-v2.1-json-patch"
    new = {"name": "x", "disk_format": "raw", "container_format": "bare"}
    image = asks(live, a, "POST", "/v2/images", body=new)[1]["id"]
    at = f"/v2/images/{image}"
    for who, method, path, body, kind, status in (
        (a, "PUT", f"{at}/file", qcow2(backing=8), octets, 415),
        (a, "PUT", f"{at}/file", b"data", octets, 204),
        (a, "PUT", f"{at}/file", b"other", octets, 409),
        (a, "DELETE", f"{at}/file", None, octets, 405),
        (a, "POST", f"{at}/file", b"x", octets, 405),
        (a, "GET", f"{at}/actions/deactivate", None, octets, 405),
        (b, "GET", at, None, octets, 404),
        (b, "GET", f"{at}/file", None, octets, 404),
        (b, "DELETE", at, None, octets, 404),
        (reader, "GET", f"{at}/file", None, octets, 403),
        (reader, "POST", "/v2/images", new, "application/json", 403),
        (reader, "DELETE", at, None, octets, 403),
        (a, "PATCH", at, [{"op": "replace", "path": "/visibility", "value": "public"}], patch, 403),
        (a, "PATCH", at, [{"op": "replace", "path": "/status", "value": "queued"}], patch, 403),
        (a, "POST", "/v2/images", {**new, "visibility": "public"}, "application/json", 403),
        (a, "POST", "/v2/images", {**new, "id": "../x"}, "application/json", 400),
        (a, "GET", "/v2/tasks", None, octets, 403),
        (a, "DELETE", at, b"{}", octets, 400),
        (a, "DELETE", at, None, octets, 204),
        (a, "POST", "/v2/images", {**new, "id": image}, "application/json", 409),
    ):
        assert asks(live, who, method, path, body=body, media_type=kind)[0] == status, (who, method, path)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["tests/unit tests/architecture", "tests/operations tests/identity", "tests/api"])
def test_suites_pass_under_python_oo(suite: str) -> None:
    """Assertions of tests stay: pytest writes them anew. What pytest says of its own would end the run."""
    command = [sys.executable, "-OO", "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += ["-W", "ignore::pytest.PytestConfigWarning", *suite.split()]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONOPTIMIZE": "2"}, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
