"""Fetching that is cancelled from another thread: it ends at once, with the reason, and never with bytes that were not sent."""

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme

from partage import problems
from partage.outbound import fetch
from partage.outbound.cancelling import Cancellation
from tests.unit.outbound import origins

NAME = "images.example"
NAMES = origins.Names({NAME: [[origins.ORIGIN_HOST]]})
GONE = problems.ImageGone("It was deleted")
ENDLESS = {"total_seconds": 6000.0, "silence_seconds": 600.0, "connect_seconds": 600.0}
PATIENCE_SECONDS = 60


def later(cancellation: Cancellation, when: threading.Event) -> None:
    """Cancel as soon as something has happened."""

    def cancel() -> None:
        when.wait(PATIENCE_SECONDS)
        time.sleep(0.1)
        cancellation.cancel(GONE)

    threading.Thread(target=cancel, daemon=True).start()


def cancelled(url: str, cancellation: Cancellation, received: list[bytes], **rules: object) -> float:
    """Fetch until the cancellation is raised; return how long that took."""
    began = time.monotonic()
    port = int(url.rpartition(":")[2].partition("/")[0])
    resolver = rules.pop("resolver", NAMES)
    allowed = origins.rules(port, **{**ENDLESS, **rules})
    with (
        pytest.raises(problems.ImageGone) as raised,
        fetch.open_url(url, allowed, limit_bytes=1 << 30, resolver=resolver, cancellation=cancellation) as found,  # type: ignore[arg-type]
    ):
        received.extend(found.blocks)
    assert raised.value is GONE
    return time.monotonic() - began


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("head", [b"Content-Length: 100000000\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_body_that_stops_is_given_up_with_the_reason(scheme: str, head: bytes, tmp_path: Path) -> None:
    sent, cancellation = threading.Event(), Cancellation()

    def answer(connection: socket.socket, _head: bytes) -> None:
        chunk = b"5\r\n" if b"chunked" in head else b""
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + chunk + b"begun")
        sent.set()
        time.sleep(PATIENCE_SECONDS)

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    later(cancellation, sent)
    received: list[bytes] = []
    with origins.serving(answer, tls=context if scheme == "https" else None) as origin:
        url = origin.url(host=NAME, scheme=scheme)
        seconds = cancelled(url, cancellation, received, cafile=str(tmp_path / "ca.pem"))
    assert seconds < PATIENCE_SECONDS
    assert b"".join(received) in (b"", b"begun")


def test_hanging_name_lookup_is_abandoned() -> None:
    asked, cancellation = threading.Event(), Cancellation()

    def resolver(_name: str, _port: int) -> Sequence[str]:
        asked.set()
        time.sleep(PATIENCE_SECONDS)
        return [origins.ORIGIN_HOST]

    later(cancellation, asked)
    assert cancelled("http://slow.example:80/", cancellation, [], resolver=resolver) < PATIENCE_SECONDS


def test_nothing_is_begun_once_it_is_cancelled() -> None:
    cancellation = Cancellation()
    cancellation.cancel(GONE)
    with origins.serving(origins.saying(origins.content(b"x"))) as origin:
        cancelled(origin.url(), cancellation, [])
        assert origin.connections <= 1
        assert origin.requests in ([], [b""])


def test_first_cancellation_reason_is_kept() -> None:
    cancellation = Cancellation()
    cancellation.cancel(GONE)
    cancellation.cancel(problems.TaskLost("another"))
    assert cancellation.problem is GONE
    assert not cancellation.goes_on()


def test_lookup_errors_reach_the_waiting_caller() -> None:
    def fail() -> None:
        raise OSError("no such name")

    with pytest.raises(OSError, match="no such name"):
        Cancellation().wait_for(fail)
