"""The whole of `partage up`: start, stop, and what happens to transfers and children."""

import http.client
import json
import os
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from partage.main.process import listening
from tests import standalone
from tests.standalone import LiveService

PIECE = bytes(range(256)) * 4096
"""One mebibyte."""


def children(pid: int) -> set[int]:
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def all_children(live: LiveService, count: int) -> set[int]:
    """The socket answers before the last child has been started."""
    standalone.wait_for(lambda: len(children(live.process.pid)) == count, seconds=30)
    return children(live.process.pid)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def half_an_upload(live: LiveService) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """Create an image as project A and send the first of two mebibytes of its data."""
    token = live.keystone.token("user-a", "project-a")
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    body = json.dumps({"name": "half", "disk_format": "raw", "container_format": "bare"})
    connection.request("POST", "/v2/images", body, {"X-Auth-Token": token, "Content-Type": "application/json"})
    image_id: str = json.loads(connection.getresponse().read())["id"]
    connection.putrequest("PUT", f"/v2/images/{image_id}/file")
    headers = {"X-Auth-Token": token, "Content-Type": "application/octet-stream", "Content-Length": str(2 * len(PIECE))}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(PIECE)
    standalone.wait_for(lambda: status_of(live, image_id) == "saving", seconds=10)
    try:
        yield connection, image_id
    finally:
        connection.close()


def status_of(live: LiveService, image_id: str) -> str:
    with closing(sqlite3.connect(live.directory / "partage.db")) as database:
        (status,) = database.execute("SELECT status FROM images WHERE id = ?", (image_id,)).fetchone()
    return str(status)


def test_clients_find_everything_through_clouds_yaml(live_service: LiveService) -> None:
    for cloud in ("admin", "project-a", "project-b", "project-c", "reader-a"):
        done = live_service.openstack(cloud, "image", "list", "-f", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert isinstance(json.loads(done.stdout), list)


def test_data_directory_is_readable_by_its_user_only(live_service: LiveService) -> None:
    assert (live_service.directory / "partage.db").is_file()
    for folder, _folders, names in os.walk(live_service.directory):
        for name in (".", *names):
            mode = stat.S_IMODE(os.stat(Path(folder, name)).st_mode)  # noqa: PTH116 - files come and go meanwhile
            assert mode & 0o077 == 0, f"{folder}/{name} {mode:o}"


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stop_signal_ends_everything_and_the_next_start_is_quick(tmp_path: Path, number: signal.Signals) -> None:
    started = time.monotonic()
    with standalone.up(tmp_path / "data") as live:
        first_seconds = time.monotonic() - started
        before = live.keystone.project_id("project-a")
        family = all_children(live, 5)  # Keystone, two workers, the one that imports and the one that maintains
        started = time.monotonic()
        assert live.stop(number) == 0
        assert time.monotonic() - started < 10, "the grace period is 30 s"
        assert not any(map(runs, family))
    started = time.monotonic()
    with standalone.up(tmp_path / "data", port=live.port) as again:
        assert time.monotonic() - started < 2 * first_seconds, "the first one makes a Keystone as well"
        assert again.keystone.project_id("project-a") == before
        assert standalone.answers(f"{again.image_url}/versions") == 200


def test_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data") as live:
        family = all_children(live, 5)
        live.process.kill()
        live.process.wait()
        standalone.wait_for(lambda: not any(map(runs, family)), seconds=10)
        assert standalone.answers(live.image_url) == 0


@pytest.mark.parametrize(
    "after_bytes", [pytest.param(1, marks=pytest.mark.slow), 200_000, pytest.param(500_000, marks=pytest.mark.slow)]
)
def test_first_start_that_was_killed_is_started_over(tmp_path: Path, after_bytes: int) -> None:
    command = [str(standalone.PARTAGE), "up", "--data", str(tmp_path / "data"), "--port", str(listening.find_free_port())]
    database = tmp_path / "data" / "keystone" / "keystone.db"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as first:
        standalone.wait_for(lambda: database.exists() and database.stat().st_size >= after_bytes, seconds=60)
        first.kill()
    with standalone.up(tmp_path / "data") as live:
        assert live.keystone.project_id("project-c")


def test_moved_port_moves_in_the_catalog(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data") as live:
        live.stop()
    with standalone.up(tmp_path / "data") as moved:
        urls = {each["url"] for each in moved.keystone.call("GET", "/endpoints")["endpoints"]}
        assert urls == {moved.image_url, f"{moved.identity_url}/v3"}
        assert moved.port != live.port


def test_catalog_service_of_an_older_directory_is_renamed_to_glance(tmp_path: Path) -> None:
    """And rules of a policy file that nothing asks for are named in the log."""
    with standalone.up(tmp_path / "data") as live:
        (service,) = live.keystone.call("GET", "/services?type=image")["services"]
        assert service["name"] == "glance"
        live.keystone.call("PATCH", f"/services/{service['id']}", {"service": {"name": "partage"}})
        seeded = live.directory / "keystone" / "seeded"
        seeded.write_text(seeded.read_text().replace("service glance at", "service at"))
        live.stop()
    (tmp_path / "policy.yaml").write_text('"get_imgaes": "!"\n')
    with standalone.up(tmp_path / "data", port=live.port, PARTAGE_POLICY_FILE=str(tmp_path / "policy.yaml")) as again:
        (service,) = again.keystone.call("GET", "/services?type=image")["services"]
        assert service["name"] == "glance"
        found = again.openstack("admin", "catalog", "show", "glance", "-f", "value", "-c", "type")
        assert (found.returncode, found.stdout.strip()) == (0, "image")
        assert "has the rule get_imgaes, which nothing asks for" in again.log.read_text()


def test_running_upload_gets_the_grace_period(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data") as live, half_an_upload(live) as (connection, image_id):
        live.process.send_signal(signal.SIGTERM)
        standalone.wait_for(lambda: standalone.answers(live.image_url) == 0, seconds=10)
        connection.send(PIECE)
        assert connection.getresponse().status == 204
        assert live.process.wait(20) == 0
        assert status_of(live, image_id) == "active"


def test_upload_beyond_the_grace_period_is_given_up_and_can_be_retried(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data", PARTAGE_GRACE_SECONDS="1") as live, half_an_upload(live) as (_connection, image_id):
        started = time.monotonic()
        assert live.stop() == 0
        assert 0.9 < time.monotonic() - started < 25
    with standalone.up(tmp_path / "data", port=live.port) as again:
        standalone.wait_for(lambda: status_of(again, image_id) == "queued", seconds=10)


def test_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data") as live, half_an_upload(live):
        live.process.send_signal(signal.SIGINT)
        standalone.wait_for(lambda: standalone.answers(live.image_url) == 0, seconds=10)
        started = time.monotonic()
        live.stop(signal.SIGINT)
        assert time.monotonic() - started < 10, "the grace period is 30 s"


def test_killed_worker_is_replaced_and_its_upload_given_up(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data", "--workers", "1") as live, half_an_upload(live) as (_connection, image_id):
        keystone, worker, importer, maintainer = sorted(all_children(live, 4))
        os.kill(worker, signal.SIGKILL)
        os.kill(importer, signal.SIGKILL)
        standalone.wait_for(lambda: standalone.answers(f"{live.image_url}/versions") == 200, seconds=10)
        standalone.wait_for(lambda: status_of(live, image_id) == "queued", seconds=10)
        standalone.wait_for(lambda: len(children(live.process.pid)) == 4, seconds=10)
        assert {keystone, maintainer} <= children(live.process.pid)


def test_service_ends_with_a_sentence_when_its_keystone_does(tmp_path: Path) -> None:
    with standalone.up(tmp_path / "data") as live:
        keystone = min(children(live.process.pid))
        assert "embedded_keystone" in Path(f"/proc/{keystone}/cmdline").read_text()
        os.kill(keystone, signal.SIGKILL)
        assert live.process.wait(20) == 1
        assert "Keystone ended" in live.log.read_text()
        assert "Traceback" not in live.log.read_text()


def test_terminal_stays_quiet(live_service: LiveService) -> None:
    words = live_service.log.read_text()
    assert "Traceback" not in words
    assert "Deprecat" not in words
    assert "clouds.yaml" in words


def test_glance_download_works_without_further_settings(tmp_path: Path) -> None:
    """The only region there is will do; the key that seals tokens is drawn, kept, the same for the worker and the next start."""
    methods = '["glance-direct", "glance-download"]'
    with standalone.up(tmp_path / "data", "--workers", "1", PARTAGE_IMPORTS__METHODS=methods) as live:
        key = json.loads((live.directory / "standalone.json").read_text())["token_key"]
        disk = tmp_path / "disk.raw"
        disk.write_bytes(PIECE)
        formats = ("--disk-format", "raw", "--container-format", "bare")
        source = live.openstack("project-a", "image", "create", *formats, "--file", str(disk), "source", "-f", "value", "-c", "id")
        made = live.openstack("project-a", "image", "create", *formats, "copy", "-f", "value", "-c", "id")
        wanted = ("--method", "glance-download", "--remote-region", "RegionOne", "--remote-image", source.stdout.strip())
        asked = live.openstack("project-a", "image", "import", *wanted, made.stdout.strip())
        assert (asked.returncode, asked.stderr) == (0, "")
        standalone.wait_for(lambda: status_of(live, made.stdout.strip()) == "active", seconds=30)
    assert len(key) >= 32
    assert key not in live.log.read_text()
    with standalone.up(tmp_path / "data", port=live.port) as again:
        assert json.loads((again.directory / "standalone.json").read_text())["token_key"] == key


def test_unusable_cache_directory_does_not_stop_the_service(tmp_path: Path) -> None:
    data = tmp_path / "data.bin"
    data.write_bytes(PIECE)
    with standalone.up(tmp_path / "data", PARTAGE_CACHE__DIRECTORY="/proc/cache") as live:
        said = "The cache is off: The directory /proc/cache cannot be created"
        standalone.wait_for(lambda: said in live.log.read_text(), seconds=20)  # after the greeting, when the log is set up
        made = live.openstack("project-a", "image", "create", "--file", str(data), "--disk-format", "raw", "-f", "json", "whole")
        image_id = json.loads(made.stdout)["id"]
        assert live.openstack("admin", "cached", "image", "queue", image_id).returncode == 0
        for _ in range(2):
            assert live.openstack("project-a", "image", "save", "--file", str(tmp_path / "saved"), image_id).returncode == 0
            assert (tmp_path / "saved").read_bytes() == PIECE
        standalone.wait_for(lambda: "was not cached" in live.log.read_text(), seconds=20)
        assert json.loads(live.openstack("admin", "cached", "image", "list", "-f", "json").stdout) == []
