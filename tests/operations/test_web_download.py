"""Imports from the web, from real servers: what arrives is the image's, what does not leaves it queued and the worker free."""

import random
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.task import TaskStatus
from partage.operations import images, tasks
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from tests.operations.services import OWNER, download, make, queued_image
from tests.services import change_service
from tests.unit.outbound import origins

DATA = random.Random(8).randbytes(3_000_000)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


def imported(service: Service, uri: str, *ports: int, **rules: object) -> tuple[Image, TaskStatus, str]:
    """Import from there as an owner asks and a worker does; give the image and what became of its task."""
    service = change_service(service, fetch=origins.rules(*ports, **rules))
    image = queued_image(service)
    request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=uri)
    import_requests.request_import(service, OWNER, image.id, request, request_id="req-1")
    claimed = import_runs.claim(service)
    assert claimed is not None
    import_runs.run(service, claimed)
    assert service.process.running_tasks == {}
    last = tasks.list_image_tasks(service, OWNER, image.id)[-1]
    return images.show_image(service, OWNER, image.id), last.status, last.message


def test_image_gets_the_content_of_the_url(service: Service) -> None:
    answers = {"/": origins.redirect("/image"), "/image": origins.content(DATA, "Content-Encoding: gzip")}
    with origins.serving(origins.by_path(answers)) as origin:
        image, status, _ = imported(service, origin.url(), origin.port)
    assert (image.status, image.size, status) == (ImageStatus.ACTIVE, len(DATA), TaskStatus.SUCCESS)
    assert download(service, image.id) == DATA


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "logged"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "status 403"),
        (OK + b"Content-Length: 4000000\r\n\r\n" + DATA, "after 3000000 bytes"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2dc6c0\r\n" + DATA[:2_000_000], "bytes"),
    ],
    ids=["another protocol", "forbidden", "too short", "a chunk too short"],
)
def test_fetch_failure_reason_is_logged_but_not_shown_to_the_owner(
    raw: bytes, logged: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with origins.serving(origins.saying(raw)) as origin:
        image, status, message = imported(service, origin.url(), origin.port)
    assert (image.status, image.size, status) == (ImageStatus.QUEUED, None, TaskStatus.FAILURE)
    assert message == problems.FetchFailed("whatever").sentence()
    assert logged in caplog.text
    assert "req-1" in caplog.text


def test_redirect_to_an_internal_address_is_refused(service: Service) -> None:
    with origins.serving(origins.saying(origins.content(DATA)), host="127.0.0.1") as internal:
        location = f"http://127.0.0.1:{internal.port}/"
        with origins.serving(origins.saying(origins.redirect(location))) as origin:
            image, status, message = imported(service, origin.url(), origin.port, internal.port)
        assert internal.connections == 0
    assert (image.status, status) == (ImageStatus.QUEUED, TaskStatus.FAILURE)
    assert str(internal.port) not in message


def test_internal_url_makes_no_task(service: Service) -> None:
    for uri in (
        "http://169.254.169.254/latest",
        "http://127.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://x@example.org/",
        "ftp://a/",
        "http://a:22/",
    ):
        with pytest.raises(problems.UriRefused):
            imported(service, uri)


def test_more_than_an_image_may_have_is_not_taken(service: Service) -> None:
    capped = replace(service, limits=replace(service.limits, image_size_cap_bytes=1_000_000))
    answers = {"/announced": origins.content(DATA), "/not": b"HTTP/1.0 200 OK\r\n\r\n" + DATA}
    for path in answers:
        with origins.serving(origins.by_path(answers)) as origin:
            image, status, message = imported(capped, origin.url(path), origin.port)
        assert (image.status, status) == (ImageStatus.QUEUED, TaskStatus.FAILURE)
        assert "1000000" in message


def test_server_that_trickles_does_not_hold_the_worker(service: Service) -> None:
    def trickle(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    with origins.serving(trickle) as origin:
        began = time.monotonic()
        image, status, _ = imported(service, origin.url(), origin.port, silence_seconds=0.3, slowest_bytes_per_second=1000)
        assert time.monotonic() - began < 10
    assert (image.status, status) == (ImageStatus.QUEUED, TaskStatus.FAILURE)


def test_credentials_in_a_url_are_not_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """T-75, T-77: signed URLs are secrets, and their servers, or those they redirect to, fail in every way."""
    caplog.set_level("DEBUG")
    answers = {
        "/forbidden?signature=planted-1": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "/elsewhere?signature=planted-2": origins.redirect("http://127.0.0.1/?signature=planted-3"),
        "/circle?signature=planted-4": origins.redirect("/circle?signature=planted-4"),
        "/short?signature=planted-5": OK + b"Content-Length: 9\r\n\r\nx",
        "/image?signature=planted-6": origins.content(DATA),
    }
    with origins.serving(origins.by_path(answers)) as origin:
        for path in answers:
            _, _, message = imported(service, origin.url(path), origin.port)
            assert "planted" not in message
    assert caplog.text
    assert "planted" not in caplog.text
    assert "planted" not in "".join(str(each.__dict__) for each in caplog.records)


def test_fetch_sends_no_tokens_or_user_data(service: Service) -> None:
    """T-37: no token, no cookie, no password, no header of the request that asked for it, nor what the server set before."""
    answers = {
        "/": origins.redirect("/image\r\nSet-Cookie: a=b\r\nWWW-Authenticate: Basic realm=x"),
        "/image": origins.content(DATA, "Set-Cookie: c=d"),
    }
    with origins.serving(origins.by_path(answers)) as origin:
        imported(service, origin.url(), origin.port)
        imported(service, origin.url(), origin.port)
        names = {line.split(b":")[0].lower() for head in origin.requests for line in head.split(b"\r\n")[1:] if line}
    assert len(origin.requests) == 4
    assert names == {b"host", b"accept", b"accept-encoding", b"user-agent", b"connection"}
