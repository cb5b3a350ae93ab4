"""What the processes of a service write, all of it: in the configured form, a line for every request and import, and no secret."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from tests import standalone
from tests.main import serving as running
from tests.main.serving import serving
from tests.standalone import PARTAGE, RunningKeystone

JSON = {
    "PARTAGE_LOG__FORMAT": "json",
    "PARTAGE_LOG__LEVEL": "debug",
    "PARTAGE_WORKERS": "1",
    "PARTAGE_FETCH__PORTS": "[9]",
    "PARTAGE_FETCH__NETWORKS_ALLOWED": '["127.0.0.1/32"]',
}


@contextmanager
def working(keystone: RunningKeystone, data: Path) -> Iterator[Path]:
    """Run `partage worker` beside a service on the same directory; give the file with its output."""
    log = data / "worker.log"
    settings = {**os.environ, **running.settings_at(keystone, data, 9292), **JSON}
    with log.open("w") as out:
        process = subprocess.Popen([PARTAGE, "worker"], stdout=out, stderr=subprocess.STDOUT, env=settings)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(60)


def lines_in(file: Path) -> list[dict[str, Any]]:
    """Parse every line: one that is not JSON fails the test."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_line_of_a_session_is_json_and_none_has_a_secret(keystone: RunningKeystone, tmp_path: Path) -> None:
    planted = {name: f"planted{uuid4().hex}" for name in ("url password", "url query", "webhook query", "bad token", "bad code")}
    token, other = keystone.token("user-a", "project-a"), keystone.token("user-b", "project-b")
    secrets = [*planted.values(), token, other, keystone.credentials.password]
    with serving(keystone, tmp_path, **JSON) as live, working(keystone, tmp_path) as worker_log:

        def call(method: str, path: str, who: str = token, **more: Any) -> requests.Response:
            return requests.request(method, live.url + path, headers={"X-Auth-Token": who}, timeout=60, **more)

        image = call("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"]
        urls = [f"http://127.0.0.1:9/disk?signature={planted['url query']}", f"http://u:{planted['url password']}@127.0.0.1:9/disk"]
        asked = [call("POST", f"/v2/images/{image}/import", json={"method": {"name": "web-download", "uri": url}}) for url in urls]
        assert asked[0].status_code == 202
        assert asked[1].status_code in (400, 409)
        standalone.wait_for(lambda: "import failed" in worker_log.read_text(), seconds=240)
        staged = call("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"]
        given = {"X-Auth-Token": token, "Content-Type": "application/octet-stream"}
        assert requests.put(f"{live.url}/v2/images/{staged}/stage", data=b"x" * 5000, headers=given, timeout=60).status_code == 204
        assert call("POST", f"/v2/images/{staged}/import", json={"method": {"name": "glance-direct"}}).status_code == 202
        standalone.wait_for(lambda: "import succeeded" in worker_log.read_text(), seconds=240)
        hook = call("POST", "/partage/v1/webhooks", json={"url": f"https://127.0.0.1:9/{planted['webhook query']}"})
        code = call("POST", f"/partage/v1/images/{staged}/codes", json={})
        assert [hook.status_code, code.status_code] == [201, 201]
        secrets += [hook.json()["secret"], code.json()["code"]]
        call("POST", "/partage/v1/claims", other, json={"code": planted["bad code"]})
        call("GET", "/v2/images", planted["bad token"])
    lines = [*lines_in(live.log_file), *lines_in(worker_log)]
    requests_ = [each for each in lines if each["logger"] == "partage.requests"]
    assert {each["status"] for each in requests_} >= {201, 202, 204, 401}
    assert any(f"listens on {live.url} with 1 workers" in each["message"] for each in lines)
    assert any("runs imports" in each["message"] for each in lines)
    imports = [each for each in lines if each["logger"] == "partage.imports" and each["image"] == staged]
    assert [each["message"] for each in imports] == ["import begins", "import succeeded"]
    assert imports[1]["bytes"] == 5000
    written = live.log_file.read_text() + worker_log.read_text()
    assert [name for name, each in planted.items() if each in written] == []
    assert [each for each in secrets if each in written] == []


def test_failure_at_the_start_is_a_line_of_a_json_log(tmp_path: Path) -> None:
    settings = {**os.environ, **JSON, "PARTAGE_DATA": str(tmp_path / "absent"), "PARTAGE_HOST": "203.0.113.9"}
    done = subprocess.run([PARTAGE, "serve"], env=settings, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(line)["level"] == "critical"
    assert "203.0.113.9" in json.loads(line)["message"]


WARNS = """
import threading, warnings
from partage.main import logs
from partage.main.configuration.sections import LogSettings
logs.configure(LogSettings(format="json"))
warnings.warn("a library warns", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="of a test")
thread.start()
thread.join()
raise SystemError("planted end")
"""


def test_warnings_and_uncaught_exceptions_are_lines_of_the_log() -> None:
    done = subprocess.run([PARTAGE.with_name("python"), "-c", WARNS], capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout == ""
    assert [each["logger"] for each in found] == ["py.warnings", "partage.main.logs", "partage.main.logs"]
    assert "a library warns" in found[0]["message"]
    assert found[1]["message"].startswith("of a test ended")
    assert "ZeroDivisionError" in found[1]["traceback"]
    assert "planted end" in found[2]["traceback"]
