"""What signals do to `partage serve`: a stop that costs no request, settings that are read again, and quiet ends."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from partage.main.process import listening
from tests import standalone
from tests.main import serving as running
from tests.main.serving import Serving, serving
from tests.standalone import PARTAGE, RunningKeystone

MEBIBYTE = 1 << 20


class Client:
    """A member of project A on one connection."""

    def __init__(self, live: Serving, token: str) -> None:
        self.wire = http.client.HTTPConnection("127.0.0.1", live.port, timeout=60)
        self.token = token

    def ask(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        sent = None if body is None else json.dumps(body)
        self.wire.request(method, path, sent, {"X-Auth-Token": self.token, "Content-Type": "application/json"})
        return self.wire.getresponse()

    def creates(self) -> str:
        made = self.ask("POST", "/v2/images", {"name": "n", "disk_format": "raw", "container_format": "bare"})
        document = json.loads(made.read())
        assert made.status == 201, document
        return str(document["id"])

    def begins_upload(self, image: str, size_bytes: int, sent: bytes) -> None:
        self.wire.putrequest("PUT", f"/v2/images/{image}/file")
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/octet-stream", "Content-Length": str(size_bytes)}
        for name, value in headers.items():
            self.wire.putheader(name, value)
        self.wire.endheaders(sent)

    def status_of(self, image: str) -> str:
        return str(json.loads(self.ask("GET", f"/v2/images/{image}").read())["status"])


class Connect:
    """Makes clients, and closes their connections."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._made: list[Client] = []

    def __call__(self, live: Serving) -> Client:
        self._made.append(Client(live, self._token))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.wire.close()


@pytest.fixture
def connect(token: str) -> Iterator[Connect]:
    with contextlib.closing(Connect(token)) as clients:
        yield clients


@pytest.fixture(scope="module")
def token(keystone: RunningKeystone) -> str:
    return keystone.token("user-a", "project-a")


def half_an_upload(live: Serving, connect: Connect) -> Client:
    """Begin an upload of two mebibytes, and wait until the service saves it."""
    client, other = connect(live), connect(live)
    image = client.creates()
    client.begins_upload(image, 2 * MEBIBYTE, b"x" * MEBIBYTE)
    standalone.wait_for(lambda: other.status_of(image) == "saving", seconds=30)
    other.wire.close()
    return client


def says_close(client: Client) -> bool:
    """Ask for something; say whether the answer, a good one, ends the connection."""
    answer = client.ask("GET", "/v2/images")
    assert (answer.status, bool(answer.read())) == (200, True)
    return answer.getheader("connection") == "close"


def test_connections_are_shared_among_workers(keystone: RunningKeystone, tmp_path: Path) -> None:
    """One of two workers had 152 of 160."""
    with serving(keystone, tmp_path, "--workers", "2") as live, contextlib.ExitStack() as stack:

        def connect() -> None:
            stack.enter_context(socket.create_connection(("127.0.0.1", live.port), timeout=20))

        def shares() -> list[int]:
            return [live.connections_of(worker) for worker in live.workers]

        def both_take_connections() -> bool:
            connect()
            return min(shares()) > 0

        standalone.wait_for(both_take_connections, seconds=30)
        for _ in range(160 - sum(shares())):
            connect()
        standalone.wait_for(lambda: sum(shares()) >= 160, seconds=30)
        assert len(shares()) == 2
        assert max(shares()) <= 0.7 * 160


def test_descriptors_are_raised_to_the_hard_limit(keystone: RunningKeystone, tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with serving(keystone, tmp_path, "--workers", "1") as live:
        subprocess.run(["prlimit", "--pid", str(live.process.pid), "--nofile=512:512"], check=True)
        (before,) = live.workers
        assert resource.prlimit(before, resource.RLIMIT_NOFILE) == (hard, hard)
        os.kill(before, signal.SIGKILL)
        standalone.wait_for(lambda: live.workers not in ([], [before]), seconds=20)
        standalone.wait_for(lambda: standalone.answers(f"{live.url}/versions") == 200, seconds=20)
        # (512 - 256) / 3: everybody else is closed for those who come, and nobody is refused for want of a descriptor.
        with contextlib.ExitStack() as stack:
            for _ in range(600):
                stack.enter_context(socket.create_connection(("127.0.0.1", live.port), timeout=20))
            standalone.wait_for(lambda: 70 <= live.connections_of(live.workers[0]) <= 85, seconds=30)
            assert standalone.answers(f"{live.url}/versions") == 200
        assert "no free descriptors" not in live.log


def test_stopping_service_is_not_ready_and_still_answers(keystone: RunningKeystone, tmp_path: Path, connect: Connect) -> None:
    with serving(keystone, tmp_path, PARTAGE_DRAIN_SECONDS="6") as live:
        idle = connect(live)
        assert idle.ask("GET", "/v2/images").read()
        assert standalone.answers(f"{live.url}/healthcheck") == 200
        live.process.send_signal(signal.SIGTERM)
        check = f"{live.url}/healthcheck"  # of whichever worker takes the connection; the signal reaches one after the other
        standalone.wait_for(lambda: {standalone.answers(check) for _ in range(10)} == {503}, seconds=5)
        standalone.wait_for(lambda: says_close(idle), seconds=5)
        answer = connect(live).ask("GET", "/healthcheck")
        assert (answer.status, answer.read()) == (503, b"STOPPING")
        waiting = connect(live)
        waiting.wire.connect()
        standalone.wait_for(lambda: standalone.answers(f"{live.url}/versions") == 0, seconds=20)
        assert waiting.wire.sock.recv(1) == b""
        assert live.process.wait(20) == 0
    assert "Traceback" not in live.log


def test_upload_goes_on_to_the_end_of_the_grace(keystone: RunningKeystone, tmp_path: Path, connect: Connect) -> None:
    with serving(keystone, tmp_path) as live:
        client = half_an_upload(live, connect)
        live.process.send_signal(signal.SIGTERM)
        standalone.wait_for(lambda: standalone.answers(f"{live.url}/versions") == 0, seconds=20)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", live.port), timeout=20)
        client.wire.send(b"x" * MEBIBYTE)
        answer = client.wire.getresponse()
        assert (answer.status, answer.getheader("connection")) == (204, "close")
        assert live.process.wait(20) == 0


def test_requests_beyond_the_grace_are_refused_with_one_line(keystone: RunningKeystone, tmp_path: Path, connect: Connect) -> None:
    """What was answered in part is broken off; what was not is 503. It was 500 with three tracebacks."""
    with serving(keystone, tmp_path, "--workers", "1", PARTAGE_GRACE_SECONDS="2") as live:
        client = half_an_upload(live, connect)
        reader = connect(live)
        image = reader.creates()
        reader.begins_upload(image, 64 * MEBIBYTE, os.urandom(64 * MEBIBYTE))
        assert reader.wire.getresponse().read() == b""
        reader.wire.request("GET", f"/v2/images/{image}/file", headers={"X-Auth-Token": reader.token})
        begun = reader.wire.getresponse()
        assert begun.status == 200
        live.process.send_signal(signal.SIGTERM)
        answer = client.wire.getresponse()
        assert (answer.status, answer.getheader("retry-after")) == (503, "2")
        assert b"The service is stopping" in answer.read()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            begun.read()
        assert live.process.wait(20) == 0
    assert live.log.count("the grace period of 2 s was too short: 1 requests were refused, 1 responses were aborted") == 1
    assert "Traceback" not in live.log
    assert len([line for line in live.log.splitlines() if " warning " in line or " error " in line]) == 1, live.log


def test_sighup_reads_settings_and_policy_again(keystone: RunningKeystone, tmp_path: Path, connect: Connect) -> None:
    """Whoever is being served meanwhile does not notice."""
    policy, settings = tmp_path / "policy.yaml", tmp_path / "partage.toml"
    policy.write_text("{}")
    settings.write_text('[imports]\nmethods = ["web-download"]')
    given = {"PARTAGE_POLICY_FILE": str(policy), "PARTAGE_CONFIG": str(settings)}
    with serving(keystone, tmp_path, **given) as live:
        client = half_an_upload(live, connect)
        image = (asking := connect(live)).creates()
        before = live.workers
        policy.write_text('"get_images": "!"')
        settings.write_text('[imports]\nmethods = ["glance-direct"]')
        live.process.send_signal(signal.SIGHUP)
        standalone.wait_for(lambda: connect(live).ask("GET", "/v2/images").status == 403, seconds=30)
        standalone.wait_for(lambda: "reload complete" in live.log, seconds=30)
        assert asking.ask("GET", f"/v2/images/{image}").read()
        standalone.wait_for(lambda: b'"glance-direct"' in connect(live).ask("GET", "/v2/info/import").read(), seconds=30)
        client.wire.send(b"x" * MEBIBYTE)
        assert client.wire.getresponse().status == 204
        connect.close()
        standalone.wait_for(lambda: not {*live.workers} & {*before}, seconds=30)
        assert live.process.poll() is None


@pytest.mark.parametrize("mistake", ["tagz = 1", "[", "[log]\nlevel = 'loud'"])
def test_sighup_with_a_mistake_changes_nothing(mistake: str, keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = tmp_path / "partage.toml"
    settings.write_text("")
    with serving(keystone, tmp_path, PARTAGE_CONFIG=str(settings)) as live:
        before = live.workers
        settings.write_text(mistake)
        live.process.send_signal(signal.SIGHUP)
        standalone.wait_for(lambda: "reload failed, the workers keep the old settings: The configuration" in live.log, seconds=30)
        assert live.workers == before
        assert standalone.answers(f"{live.url}/versions") == 200


@pytest.mark.parametrize("after_seconds", [0.1, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.3, 0.6)), 1.0])
@pytest.mark.parametrize("verb", ["serve", "up"])
def test_interrupt_in_the_first_second_is_quiet(verb: str, after_seconds: float, keystone: RunningKeystone, tmp_path: Path) -> None:
    settings = {**os.environ, **running.settings_at(keystone, tmp_path, listening.find_free_port())}
    command = [str(PARTAGE), verb, *(("--data", str(tmp_path / "up")) if verb == "up" else ())]
    process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after_seconds)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err
    assert process.returncode in (-signal.SIGINT, 130, 1), err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exit_status_after_the_greeting_is_always_0(number: signal.Signals, keystone: RunningKeystone, tmp_path: Path) -> None:
    with serving(keystone, tmp_path):
        pass
    settings = {**os.environ, **running.settings_at(keystone, tmp_path, listening.find_free_port()), **standalone.NO_DRAIN}
    for _ in range(6):
        process = subprocess.Popen([PARTAGE, "serve"], env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "Ctrl-C ends it" in process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
