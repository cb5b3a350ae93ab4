"""Locations kept by reference: workers that die on the way, images that are deleted meanwhile, several places, and the sweep."""

import hashlib
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import ImageID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.location import NewLocation, Reference
from partage.model.task import TaskStatus
from partage.operations import downloads, images, locations, pending_deletes, stores, sweep, verify
from partage.operations.imports import locations as location_runs
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import HTTPStore, Service
from partage.records import contents
from partage.records import images as image_rows
from partage.records import tasks as task_rows
from tests.operations.services import LOCAL, OWNER, Clock, download, make, queued_image
from tests.operations.test_imports import ADMIN, work
from tests.services import change_service
from tests.unit.outbound import origins

DATA = random.Random(9).randbytes(3_000_000)
WEB = StoreID("web")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path, http_store=HTTPStore(id=WEB), clock=Clock())


def reaching(service: Service, *all_origins: origins.Origin) -> Service:
    """Let the service fetch from there."""
    return change_service(service, fetch=origins.rules(*(each.port for each in all_origins)))


def given(service: Service, origin: origins.Origin) -> Image:
    image = queued_image(service)
    locations.add_location(service, OWNER, image.id, NewLocation(url=origin.url("/disk")), request_id="req-1")
    return image


def found(service: Service, image: Image) -> Image:
    return images.show_image(service, OWNER, image.id)


def last_task(service: Service, image_id: ImageID) -> tuple[TaskStatus, str]:
    with service.database.read() as tx:
        task = task_rows.list_of_image(tx, image_id, most=10, most_bytes=1 << 20)[-1]
    return task.status, task.message


def referring(service: Service, *urls: str, digest: bool) -> Image:
    """Make an active image of DATA that is at these places."""
    image = queued_image(service)
    known = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(DATA).hexdigest()} if digest else {}
    references = tuple(Reference(url=url, store=WEB) for url in urls)
    made = replace(image, status=ImageStatus.ACTIVE, size=len(DATA), references=references, **known)  # type: ignore[arg-type]
    with service.database.write() as tx:
        image_rows.save(tx, made, was=image)
    return made


def test_a_location_whose_worker_died_is_read_by_another(service: Service) -> None:
    with origins.serving(origins.saying(origins.content(DATA))) as origin:
        service = reaching(service, origin)
        image = given(service, origin)
        dead = change_service(service, worker="dead", running_tasks={})
        assert import_runs.claim(dead) is not None
        assert import_runs.recover(service) == 1
        assert work(service) == 1
        assert (found(service, image).status, download(service, image.id)) == (ImageStatus.ACTIVE, DATA)


def test_worker_death_after_the_last_byte_is_finished_by_another(service: Service) -> None:
    """The digest is known and the task not ended: all of it is done again, and nothing twice."""
    with origins.serving(origins.saying(origins.content(DATA))) as origin:
        service = reaching(service, origin)
        image = given(service, origin)
        dead = change_service(service, worker="dead", running_tasks={})
        claimed = import_runs.claim(dead)
        assert claimed is not None
        begun = import_runs._begin(dead, claimed)  # noqa: SLF001 - the act before the last, without the last
        location_runs.read_location(dead, claimed, begun)
        half_way = found(service, image)
        assert (half_way.status, half_way.size, half_way.references[0].store) == (ImageStatus.IMPORTING, len(DATA), WEB)
        assert not downloads.open_image_data(service, OWNER, image.id).has_data
        import_runs.recover(service)
        assert work(service) == 1
        assert (found(service, image).status, last_task(service, image.id)[0]) == (ImageStatus.ACTIVE, TaskStatus.SUCCESS)


def test_a_location_that_kills_every_worker_is_given_up(service: Service) -> None:
    with origins.serving(origins.saying(origins.content(DATA))) as origin:
        service = reaching(service, origin)
        image = given(service, origin)
        for number in range(import_runs.MOST_ATTEMPTS):
            assert import_runs.claim(change_service(service, worker=f"dead {number}", running_tasks={})) is not None
            import_runs.recover(service)
        assert work(service) == 0
        assert (found(service, image).status, last_task(service, image.id)[0]) == (ImageStatus.QUEUED, TaskStatus.FAILURE)
        assert origin.connections == 0


def test_a_location_is_read_no_further_once_its_image_is_deleted(service: Service) -> None:
    clock = service.clock
    assert isinstance(clock, Clock)
    image: list[Image] = []

    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + bytes(2_000_000))
        images.delete_image(service, OWNER, image[0].id)
        clock.passes(seconds=10)
        connection.sendall(bytes(3_000_000))
        connection.recv(1)  # until the other side hangs up

    with origins.serving(answer) as origin:
        reached = reaching(service, origin)
        image.append(given(reached, origin))
        assert work(reached) == 1
    assert last_task(service, image[0].id) == (TaskStatus.FAILURE, f"Image {image[0].id} was deleted during its import")


def broken(after: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA) + DATA[:after]


def from_byte(answer: Callable[[int], bytes]) -> origins.Answer:
    """Answer a range from its first byte on."""

    def serve(connection: socket.socket, head: bytes) -> None:
        asked = [line for line in head.decode().split("\r\n") if line.startswith("Range: bytes=")]
        first = int(asked[0].removeprefix("Range: bytes=").partition("-")[0]) if asked else 0
        connection.sendall(answer(first))

    return serve


def part_of_data(first: int) -> bytes:
    if not first:
        return origins.content(DATA)
    return origins.content(DATA[first:], f"Content-Range: bytes {first}-{len(DATA) - 1}/{len(DATA)}", status="206 Partial Content")


def test_another_place_goes_on_where_one_breaks_off_if_there_is_a_digest(service: Service) -> None:
    with origins.serving(origins.saying(broken(1_500_000))) as bad, origins.serving(from_byte(part_of_data)) as good:
        service = reaching(service, bad, good)
        image = referring(service, bad.url(), good.url(), digest=True)
        assert download(service, image.id) == DATA
        assert b"Range: bytes=1" in good.requests[-1]
        undigested = referring(service, bad.url(), good.url(), digest=False)
        with pytest.raises(problems.StoreUnavailable):
            download(service, undigested.id)
        part = downloads.open_image_data(service, OWNER, image.id).read(100, 2_900_000)
        with pytest.raises(problems.StoreUnavailable):
            b"".join(part)


def test_another_place_is_asked_where_one_gives_nothing(service: Service) -> None:
    with origins.serving(origins.saying(b"")) as bad, origins.serving(from_byte(part_of_data)) as good:
        service = reaching(service, bad, good)
        for digest in (True, False):
            assert download(service, referring(service, bad.url(), good.url(), digest=digest).id) == DATA


@pytest.mark.parametrize(
    "answer",
    [
        origins.content(DATA[100:200], "Content-Range: bytes 99-198/3000000", status="206 Partial Content"),
        origins.content(DATA[100:200], "Content-Range: bytes 100-199/2999999", status="206 Partial Content"),
        origins.content(DATA[100:199], "Content-Range: bytes 100-199/3000000", status="206 Partial Content"),
        origins.content(DATA[100:200], "Content-Range: 100-199", status="206 Partial Content"),
        origins.content(DATA[100:200], status="206 Partial Content"),
        origins.content(DATA[100:200]),
        origins.content(b"", status="416 Range Not Satisfiable"),
    ],
)
def test_a_part_of_something_else_is_not_taken(answer: bytes, service: Service) -> None:
    with origins.serving(origins.saying(answer)) as origin:
        service = reaching(service, origin)
        image = referring(service, origin.url(), digest=False)
        with pytest.raises(problems.StoreUnavailable):
            b"".join(downloads.open_image_data(service, OWNER, image.id).read(100, 200))


def test_a_deleted_image_comes_back_with_its_places(service: Service) -> None:
    with origins.serving(from_byte(part_of_data)) as origin:
        service = change_service(reaching(service, origin), delayed_delete=True)
        image = referring(service, origin.url(), digest=True)
        images.delete_image(service, OWNER, image.id)
        with pytest.raises(problems.ImageNotFound):
            found(service, image)
        pending_deletes.restore(service, image.id)
        assert found(service, image).references == image.references
        assert download(service, image.id) == DATA


def test_what_an_image_leaves_for_the_web_is_swept(service: Service) -> None:
    with origins.serving(from_byte(part_of_data)) as origin:
        service = reaching(service, origin)
        image = referring(service, origin.url(), digest=False)
        import_requests.request_import(
            service, ADMIN, image.id, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(LOCAL,)), request_id="req-1"
        )
        work(service)
        copied = found(service, image)
        assert (copied.stores, copied.os_hash_value) == ((LOCAL,), hashlib.sha512(DATA).hexdigest())
        assert [verdict.fault for verdict in verify.verify(service)] == [None]
        stores.delete_from_store(service, ADMIN, LOCAL, image.id)
        assert isinstance(service.clock, Clock)
        for _ in range(3):
            service.clock.passes(days=2)
            sweep.sweep(service, grace=timedelta(days=1))
        with service.database.read() as tx:
            assert (contents.page_contents(tx), list(contents.walk_chunks(tx, LOCAL))) == ([], [])
        assert list(verify.verify(service)) == []
        assert download(service, image.id) == DATA
