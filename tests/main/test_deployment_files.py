"""The files in deploy/ work: units are valid and hardened, the service speaks systemd's protocols, proxies take large uploads."""

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from partage.main.process import listening
from tests import proxies, standalone
from tests.main.serving import serving, settings_at
from tests.proxies import DEPLOY, TLS
from tests.standalone import PARTAGE, RunningKeystone

ANALYZE = shutil.which("systemd-analyze")
ACTIVATE = shutil.which("systemd-socket-activate")
MOST_EXPOSURE = 30
"""Of 100; a unit without hardening has 96."""
LARGE_BYTES = 20 << 20
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Copy the units, with the program that is installed here."""
    folder = tmp_path_factory.mktemp("units")
    for file in (DEPLOY / "systemd").iterdir():
        (folder / file.name).write_text(file.read_text().replace("/usr/bin/partage ", f"{PARTAGE} "))
    return sorted(folder.iterdir())


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_units_are_valid(units: list[Path]) -> None:
    assert [each.name for each in units] == ["partage-api.service", "partage-api.socket", "partage-worker.service"]
    ended = subprocess.run([str(ANALYZE), "verify", *units], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_units_expose_little(units: list[Path]) -> None:
    services = [each for each in units if each.suffix == ".service"]
    for unit in services:
        command = [str(ANALYZE), "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(unit)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout[-300:]
    assert len(services) == 2


def test_units_wait_for_transfers_longer_than_the_service_does() -> None:
    for name in ("partage-api.service", "partage-worker.service"):
        found = re.search(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "systemd" / name).read_text(), re.MULTILINE)
        assert found
        assert int(found[1]) >= 30 + 5 + 5  # grace_seconds, then the supervisor's and the maintenance's own


@contextlib.contextmanager
def listen_for_notifications(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(PATIENCE_SECONDS)
        yield receiver


def test_worker_reports_readiness_life_and_stop(tmp_path: Path) -> None:
    data = {"PARTAGE_DATA": str(tmp_path / "data")}
    subprocess.run([PARTAGE, "manage", "upgrade-database"], env=data, check=True, capture_output=True)
    given = {**data, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
    with (
        listen_for_notifications(tmp_path) as receiver,
        subprocess.Popen([PARTAGE, "worker"], env=given, stdout=subprocess.PIPE) as process,
    ):
        seen: list[str] = []
        while "READY=1" not in seen or seen.count("WATCHDOG=1") < 3:
            seen.append(receiver.recv(1000).decode())
        process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in seen:
            seen.append(receiver.recv(1000).decode())
        assert process.wait(PATIENCE_SECONDS) == 0
    assert {*seen} == {"READY=1", "WATCHDOG=1", "STOPPING=1"}
    assert seen.count("READY=1") == 1


@pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")
def test_service_takes_over_the_socket_of_systemd(keystone: RunningKeystone, tmp_path: Path) -> None:
    """The service's own port is another one, so that only the socket that was passed can answer."""
    port = listening.find_free_port()
    given = settings_at(keystone, tmp_path / "data", listening.find_free_port())
    (tmp_path / "data").mkdir()
    subprocess.run([PARTAGE, "manage", "upgrade-database"], env=given, check=True, capture_output=True)
    names = [each for name in given for each in ("-E", name)]
    command = [str(ACTIVATE), "-l", f"127.0.0.1:{port}", *names, str(PARTAGE), "serve"]
    with subprocess.Popen(command, env={**os.environ, **given}, stderr=subprocess.PIPE, text=True) as process:
        try:
            give_up = time.monotonic() + PATIENCE_SECONDS
            while standalone.answers(f"http://127.0.0.1:{port}/healthcheck") != 200:
                assert time.monotonic() < give_up
                assert process.poll() is None
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[TLS, ssl.SSLContext]:
    """Make a certificate for this machine, and a client that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    files = TLS(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    made.cert_chain_pems[0].write_to_path(files.certificate)
    made.private_key_pem.write_to_path(files.key)
    made.private_key_and_cert_chain_pem.write_to_path(files.both)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return files, trusting


@pytest.fixture(scope="module")
def ports(keystone: RunningKeystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Run a service."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    # A Keystone that shares a busy machine may be slow, which is not what is looked at here.
    patient = {"PARTAGE_IDENTITY__TIMEOUT_SECONDS": "60", "PARTAGE_IDENTITY__CACHE_SECONDS": "300"}
    with serving(keystone, folder / "data", "--workers", "1", port=listening.find_free_port(), **patient) as live:
        yield [live.port]


@pytest.mark.parametrize("proxy", [proxies.nginx, proxies.haproxy])
def test_shipped_proxy_takes_large_uploads_over_tls(
    keystone: RunningKeystone, tmp_path: Path, tls: tuple[TLS, ssl.SSLContext], ports: list[int], proxy: object
) -> None:
    """nginx with its default limit answers 413 to more than a mebibyte."""
    files, trusting = tls
    token = keystone.token("user-a", "project-a")
    data = os.urandom(LARGE_BYTES)
    with proxy(tmp_path / "proxy", ports, tls=files) as url:  # type: ignore[operator]

        def ask(method: str, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
            headers = {"X-Auth-Token": token, "Content-Type": kind}
            request = urllib.request.Request(f"{url}{path}", body, headers, method=method)
            with urllib.request.urlopen(request, context=trusting, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read()

        status, made = ask("POST", "/v2/images", b'{"disk_format": "raw", "container_format": "bare"}', "application/json")
        assert status == 201
        found = re.search(rb'"id": ?"([0-9a-f-]{36})"', made)
        assert found
        path = f"/v2/images/{found[1].decode()}/file"
        assert ask("PUT", path, data, "application/octet-stream")[0] == 204
        assert ask("GET", path, None, "application/json") == (200, data)
        assert b'"https://localhost' in ask("GET", "/versions", None, "application/json")[1]


def test_log_is_rotated_while_it_is_open(tmp_path: Path) -> None:
    """The service never opens its log again: what it writes afterwards has to be in the new file."""
    program = shutil.which("logrotate", path=proxies.SBIN)
    if program is None:
        pytest.skip("logrotate is not installed")
    log = tmp_path / "logs" / "api.log"
    log.parent.mkdir(mode=0o755)
    owner = f"su {pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
    text = (DEPLOY / "logrotate" / "partage").read_text()
    assert text.count("/var/log/partage/*.log") == text.count("su partage partage") == 1
    rotation = tmp_path / "rotation"
    rotation.write_text(text.replace("/var/log/partage/*.log", str(log)).replace("su partage partage", owner))
    rotation.chmod(0o644)
    with log.open("a") as writing:
        writing.write("before\n")
        writing.flush()
        subprocess.run([program, "--force", "--state", tmp_path / "state", rotation], check=True)
        writing.write("after\n")
    assert (log.read_text(), log.with_name("api.log.1").read_text()) == ("after\n", "before\n")


def read_container_file() -> list[tuple[str, str]]:
    """Return the instructions, each with its words."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "container" / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, words) for name, _space, words in (line.partition(" ") for line in lines)]


def test_container_is_not_root_and_tells_its_health() -> None:
    said = read_container_file()
    bases = [words.partition(" ")[0] for name, words in said if name == "FROM"]
    assert bases
    assert all(":" in base and not base.endswith(":latest") for base in bases)
    users = [words for name, words in said if name == "USER"]
    assert [user.partition(":")[0].isdecimal() and user.partition(":")[0] != "0" for user in users] == [True]
    names = [name for name, _words in said]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "HEALTHCHECK" in names
    assert dict(said)["ENTRYPOINT"] == '["partage"]'


def test_container_is_built_from_files_that_are_sent_to_the_build() -> None:
    root = DEPLOY.parent
    sent = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [words.split()[:-1] for name, words in read_container_file() if name == "COPY" and "--from" not in words]
    assert {each for words in copied for each in words} == sent
    assert all((root / each).exists() for each in sent)


def find_engine() -> str | None:
    """Return a container engine that answers and has the base image or may fetch it."""
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program and subprocess.run([program, "info"], capture_output=True, check=False).returncode == 0:
            return program
    return None


def test_container_runs_with_a_read_only_root(tmp_path: Path) -> None:
    engine = find_engine()
    if engine is None:
        pytest.skip("no container engine answers here")
    build = [engine, "build", "--quiet", "--file", DEPLOY / "container" / "Containerfile", "--tag", "partage-test", DEPLOY.parent]
    subprocess.run(build, check=True)
    limits = ["--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    volume = ["--volume", f"partage-test-{tmp_path.name}:/var/lib/partage"]
    ended = subprocess.run(
        [engine, "run", *limits, *volume, "partage-test", "manage", "upgrade-database"], capture_output=True, text=True, check=True
    )
    assert "up to date" in ended.stdout
