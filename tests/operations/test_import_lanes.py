"""Imports that hold up nobody: slow sources of one project in a running worker, beside imports of others and of what is here."""

import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from partage import problems
from partage.content.decompression import Expansion
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.task import TaskLane, TaskStatus
from partage.operations import images, tasks
from partage.operations.import_plugins import ImportPlugins
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.imports import steps as import_steps
from partage.operations.service import Service
from partage.worker import imports
from partage.worker.imports import Slots
from partage.worker.periodic import JobRunner
from tests import uploading
from tests.operations.services import OWNER, Clock, download, make, queued_image
from tests.services import change_service
from tests.unit.outbound import origins

PATIENCE_SECONDS = 60
OTHER = Caller(user_id=UserID("v"), project_id=ProjectID("B"), roles=frozenset({"member", "reader"}))
DATA = random.Random(8).randbytes(300_000)
DIRECT = ImportRequest(method=ImportMethod.GLANCE_DIRECT)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
SLOTS = {TaskLane.HERE: Slots(at_once=2, per_project=2), TaskLane.WEB: Slots(at_once=3, per_project=3)}


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def drip(connection: socket.socket, head: bytes) -> None:
    """Send a byte now and then for ever; what is at /image is all there at once."""
    if head.startswith(b"GET /image"):
        connection.sendall(origins.content(DATA))
        return
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


@contextmanager
def working(service: Service) -> Iterator[None]:
    """Do imports as a worker does; whatever is still under way at the end is cancelled by deleting its image."""
    claimers = JobRunner()
    worker = threading.Thread(target=imports.run, args=(service, claimers, SLOTS))
    worker.start()
    try:
        yield
    finally:
        claimers.stop()
        for caller in (OWNER, OTHER):
            for task in every_task(service):
                if task.image_id and task.owner == caller.project_id and task.status is TaskStatus.PROCESSING:
                    with suppress(problems.ImageNotFound):  # the test deleted it, and its import is about to end
                        images.delete_image(service, caller, task.image_id)
        worker.join(PATIENCE_SECONDS)
        assert not worker.is_alive()


def every_task(service: Service) -> list[tasks.Task]:
    with service.database.read() as tx:
        return [row.task for row in tasks.tasks.list_running(tx)]


def running(service: Service, project: str) -> int:
    return sum(task.owner == project for task in every_task(service))


def web_import(service: Service, uri: str, caller: Caller = OWNER) -> Image:
    image = queued_image(service, caller)
    request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=uri)
    import_requests.request_import(service, caller, image.id, request, request_id="req-1")
    return image


def staged_import(service: Service, caller: Caller = OWNER, data: bytes = DATA) -> Image:
    image = queued_image(service, caller)
    uploading.stage(service, caller, image.id, iter([data]), announced_bytes=None)
    import_requests.request_import(service, caller, image.id, DIRECT, request_id="req-1")
    return image


def status(service: Service, image: Image, caller: Caller = OWNER) -> ImageStatus:
    return images.show_image(service, caller, image.id).status


def last_message(service: Service, image_id: ImageID) -> str:
    with service.database.read() as tx:
        return tasks.tasks.list_of_image(tx, image_id, most=10, most_bytes=1 << 20)[-1].message


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = make(tmp_path)
    yield made
    made.close()


def patient(service: Service, port: int) -> Service:
    """Let a service wait for servers for longer than any test."""
    times = {"total_seconds": 6000.0, "silence_seconds": 600.0, "connect_seconds": 600.0}
    return change_service(service, fetch=origins.rules(port, **times))


def test_slow_sources_of_one_project_hold_up_no_other_imports(service: Service) -> None:
    with origins.serving(drip) as origin:
        service = patient(service, origin.port)
        slow = [web_import(service, origin.url("/drip")) for _ in range(10)]
        with working(service):
            wait_for(lambda: running(service, "A") == 2)
            others, here = web_import(service, origin.url("/image"), OTHER), staged_import(service)
            wait_for(lambda: status(service, others, OTHER) is ImageStatus.ACTIVE)
            wait_for(lambda: status(service, here) is ImageStatus.ACTIVE)
            assert running(service, "A") == 2
            assert {status(service, image) for image in slow} == {ImageStatus.QUEUED, ImageStatus.IMPORTING}
    assert download(service, others.id, OTHER) == DATA


def test_deleting_images_of_slow_sources_lets_the_next_begin(service: Service) -> None:
    with origins.serving(drip) as origin:
        service = patient(service, origin.port)
        slow = [web_import(service, origin.url("/drip")) for _ in range(2)]
        with working(service):
            wait_for(lambda: running(service, "A") == 2)
            next_one = web_import(service, origin.url("/image"))
            for image in slow:
                images.delete_image(service, OWNER, image.id)
            wait_for(lambda: status(service, next_one) is ImageStatus.ACTIVE)
            for image in slow:
                wait_for(lambda image=image: last_message(service, image.id) == f"Image {image.id} was deleted during its import")


def silent(_connection: socket.socket, _head: bytes) -> None:
    threading.Event().wait(PATIENCE_SECONDS)


def stopping(connection: socket.socket, head: bytes) -> None:
    connection.sendall(HEAD + b"x" * 1000)
    silent(connection, head)


def stopping_without_length(connection: socket.socket, head: bytes) -> None:
    """An answer that ends with its connection: what is cut off looks whole."""
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1000)
    silent(connection, head)


def refusing(connection: socket.socket, _head: bytes) -> None:
    """A failure that is told only when all others are."""
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("answer", [drip, silent, stopping, stopping_without_length, refusing])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_import_of_a_deleted_image_ends_whatever_it_waits_for(answer: origins.Answer, scheme: str, service: Service) -> None:
    with origins.serving(answer) as origin:  # which knows no TLS: the first bytes of a handshake are never answered
        service = patient(service, origin.port)
        with working(service):
            image = web_import(service, origin.url("/drip", scheme=scheme))
            wait_for(lambda: origin.connections)
            images.delete_image(service, OWNER, image.id)
            deleted = time.monotonic()
            wait_for(lambda: not running(service, "A"))
            assert time.monotonic() - deleted < PATIENCE_SECONDS / 2
    assert last_message(service, image.id) == f"Image {image.id} was deleted during its import"


def test_the_import_of_a_deleted_image_ends_before_there_is_a_connection(service: Service) -> None:
    with socket.create_server((origins.ORIGIN_HOST, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]  # more than a server takes that never accepts
        for each in waiting:
            each.setblocking(False)
            each.connect_ex((origins.ORIGIN_HOST, port))
        service = patient(service, port)
        with working(service):
            image = web_import(service, f"http://{origins.ORIGIN_HOST}:{port}/")
            wait_for(lambda: status(service, image) is ImageStatus.IMPORTING)
            images.delete_image(service, OWNER, image.id)
            wait_for(lambda: not running(service, "A"))
        for each in waiting:
            each.close()


def zeros(mebibytes: int) -> bytes:
    return gzip.compress(bytes(mebibytes << 20), 9)


def test_the_import_of_a_deleted_image_ends_while_zeros_are_unpacked(service: Service) -> None:
    bomb = zeros(64) * 400  # 25 GiB
    service = change_service(service, import_plugins=ImportPlugins(decompress=True))
    with working(service):
        image = staged_import(service, data=bomb)
        wait_for(lambda: status(service, image) is ImageStatus.IMPORTING)
        images.delete_image(service, OWNER, image.id)
        wait_for(lambda: not running(service, "A"))
    assert last_message(service, image.id) == f"Image {image.id} was deleted during its import"


def import_now(service: Service, image: Image) -> tuple[ImageStatus, str]:
    work = import_runs.claim(service)
    assert work is not None
    import_runs.run(service, work)
    return status(service, image), last_message(service, image.id)


def test_a_small_file_that_becomes_a_huge_one_is_refused(service: Service) -> None:
    plugins = ImportPlugins(decompress=True, expansion=Expansion(ratio=100, free_bytes=1 << 20))
    service = change_service(service, import_plugins=plugins)
    assert import_now(service, staged_import(service, data=zeros(32))) == (
        ImageStatus.QUEUED,
        "The compressed image data becomes more than 100 times its size; unpack it and send the disk image",
    )
    hole_first = gzip.compress(bytes(8 << 20) + DATA)  # which is no more than 27 times its size, but 1000 times in the beginning
    image = staged_import(service, data=hole_first)
    assert import_now(service, image)[0] is ImageStatus.ACTIVE


def test_unpacking_beyond_the_quota_ends_as_soon_as_it_is_beyond(service: Service) -> None:
    unpacked: list[int] = []

    class Counting(ImportPlugins):
        def decompress_blocks(self, *given: object, **named: object) -> Iterator[bytes]:
            for block in super().decompress_blocks(*given, **named):  # type: ignore[arg-type]
                unpacked.append(len(block))
                yield block  # type: ignore[misc]

    limits = replace(service.limits, storage_per_project_bytes=5 << 20)
    service = change_service(service, import_plugins=Counting(decompress=True), limits=limits)
    image = staged_import(service, data=zeros(1024))
    state, message = import_now(service, image)
    assert state is ImageStatus.QUEUED
    assert "quota" in message.lower()
    assert sum(unpacked) < 10 << 20


def test_no_data_is_taken_while_an_import_waits(service: Service) -> None:
    with origins.serving(drip) as origin:
        service = patient(service, origin.port)
        image = web_import(service, origin.url("/image"))
        for send in (
            lambda: uploading.upload(service, OWNER, image.id, iter([b"x"]), announced_bytes=1, store_id=None),
            lambda: uploading.stage(service, OWNER, image.id, iter([b"x"]), announced_bytes=1),
        ):
            with pytest.raises(problems.StatusConflict, match="active task"):
                send()
        assert import_now(service, image)[0] is ImageStatus.ACTIVE
    assert download(service, image.id) == DATA


def test_success_forgets_the_stores_that_an_earlier_import_did_not_reach(service: Service) -> None:
    with origins.serving(refusing) as origin:
        rules = origins.rules(origin.port, connect_seconds=0.1)
        failing = change_service(service, fetch=rules)
        image = web_import(failing, origin.url("/"))
        assert import_now(failing, image)[0] is ImageStatus.QUEUED
    assert images.show_image(service, OWNER, image.id).properties["os_glance_failed_import"] == "local"
    uploading.upload(service, OWNER, image.id, iter([DATA]), announced_bytes=None, store_id=None)
    done = images.show_image(service, OWNER, image.id)
    assert (done.status, done.properties["os_glance_failed_import"]) == (ImageStatus.ACTIVE, "")


class Unwritable:
    """A database that takes nothing."""

    def write(self) -> None:
        raise problems.DatabaseUnavailable("away")


def test_failed_progress_report_does_not_end_an_import(service: Service) -> None:
    """A download of hours need not begin anew because the database was away for a moment."""
    staged_import(service)
    work = import_runs.claim(service)
    assert work is not None
    clock = Clock()

    def later() -> datetime:
        clock.passes(seconds=10)
        return clock.now

    interrupted = replace(service, database=Unwritable(), clock=later)  # type: ignore[arg-type]
    assert list(import_steps.report_progress(interrupted, work, [b"a", b"b", b"c"])) == [b"a", b"b", b"c"]
