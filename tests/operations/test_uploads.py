"""Uploads: whole or not at all, whatever fails, whoever interferes."""

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import update

from partage import problems
from partage.model.ids import ContentID
from partage.model.limits import Limits
from partage.operations import downloads, images, recovery, sweep, uploads, verify
from partage.operations.service import Service
from partage.records import contents, tables
from partage.records import uploads as upload_rows
from tests import uploading
from tests.operations.services import OWNER, download, image_with, make, queued_image, upload
from tests.services import change_service

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path)


def status(service: Service, image_id: object) -> str:
    return str(images.show_image(service, OWNER, image_id).status)  # type: ignore[arg-type]


def send(service: Service, image_id: object, blocks: Iterator[bytes], announced: int | None = None) -> None:
    uploading.upload(service, OWNER, image_id, blocks, announced_bytes=announced, store_id=None)  # type: ignore[arg-type]


def test_uploaded_data_is_read_back(service: Service) -> None:
    image = image_with(service, DATA)
    assert download(service, image.id) == DATA
    opened = downloads.open_image_data(service, OWNER, image.id)
    for start, stop in [(0, 1), (299_999, 300_000), (4095, 4097), (100_000, 250_000)]:
        assert b"".join(opened.read(start, stop)) == DATA[start:stop]


def test_an_empty_upload_makes_an_active_image_of_no_bytes(service: Service) -> None:
    image = image_with(service, b"")
    assert (image.status, image.size, image.checksum) == ("active", 0, "d41d8cd98f00b204e9800998ecf8427e")
    assert download(service, image.id) == b""


class Broken(Exception):
    """What the edge raises in the middle of a body."""


def test_a_body_that_breaks_off_leaves_the_image_queued_and_a_retry_works(service: Service) -> None:
    image = queued_image(service)

    def breaking() -> Iterator[bytes]:
        yield DATA
        raise Broken

    with pytest.raises(Broken):
        send(service, image.id, breaking())
    assert status(service, image.id) == "queued"
    upload(service, image.id, DATA)
    assert download(service, image.id) == DATA


@pytest.mark.parametrize("announced", [0, 299_999, 300_001])
def test_a_size_other_than_announced_leaves_the_image_queued(service: Service, announced: int) -> None:
    image = queued_image(service)
    with pytest.raises(problems.SizeMismatch):
        send(service, image.id, iter([DATA]), announced)
    assert status(service, image.id) == "queued"


def test_more_than_the_size_cap_is_refused_and_leaves_the_image_queued(tmp_path: Path) -> None:
    service = make(tmp_path, limits=Limits(image_size_cap_bytes=len(DATA) - 1))
    image = queued_image(service)
    for announced in (None, len(DATA)):
        with pytest.raises(problems.ImageTooLarge):
            send(service, image.id, iter([DATA]), announced)
        assert status(service, image.id) == "queued"


def test_an_image_deleted_during_its_upload_is_gone(service: Service) -> None:
    image = queued_image(service)

    def deleting() -> Iterator[bytes]:
        yield DATA
        images.delete_image(service, OWNER, image.id)

    with pytest.raises(problems.ImageGone):
        send(service, image.id, deleting())
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, OWNER, image.id)
    sweep.sweep(service, grace=timedelta(0))
    assert list(verify.verify(service)) == []


def test_of_many_uploads_of_one_image_exactly_one_is_taken(service: Service) -> None:
    image = queued_image(service)
    start = Barrier(8)

    def attempt(number: int) -> str:
        start.wait()
        try:
            upload(service, image.id, bytes([number]) * 100_000)
        except problems.StatusConflict:
            return "conflict"
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(attempt, range(8)))
    assert outcomes == ["conflict"] * 7 + ["taken"]
    assert len(set(download(service, image.id))) == 1


def test_parallel_uploads_never_overshoot_the_storage_quota_together(tmp_path: Path) -> None:
    service = make(tmp_path, limits=Limits(storage_per_project_bytes=350_000))
    made = [queued_image(service) for _ in range(8)]
    start = Barrier(8)

    def attempt(number: int) -> str:
        start.wait()
        try:
            upload(service, made[number].id, bytes([number]) * 100_000)
        except problems.QuotaExceeded:
            return "refused"
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(attempt, range(8)))
    assert outcomes == ["refused"] * 5 + ["taken"] * 3
    assert sorted(status(service, image.id) for image in made) == ["active"] * 3 + ["queued"] * 5


def test_an_upload_whose_worker_died_is_queued_again_and_can_be_repeated(service: Service) -> None:
    """Differs from Glance, where such an image stays in saving for ever."""
    image = queued_image(service)
    dead = change_service(service, worker="dead")
    uploads._begin(dead, OWNER, image.id, None)  # noqa: SLF001 -- as far as a process gets that is killed while bytes arrive
    assert status(service, image.id) == "saving"
    assert recovery.recover(service) == 1
    assert status(service, image.id) == "queued"


def test_a_retry_need_not_wait_for_the_recovery(service: Service) -> None:
    image = queued_image(service)
    uploads._begin(change_service(service, worker="dead"), OWNER, image.id, None)  # noqa: SLF001
    upload(service, image.id, DATA)
    assert download(service, image.id) == DATA


def test_a_running_upload_is_left_alone(service: Service) -> None:
    image = queued_image(service)
    uploads._begin(service, OWNER, image.id, None)  # noqa: SLF001
    assert recovery.recover(service) == 0
    with pytest.raises(problems.StatusConflict):
        upload(service, image.id, DATA)


def test_abandoned_upload_cannot_overwrite_its_successor(service: Service) -> None:
    image = queued_image(service)

    def overtaken() -> Iterator[bytes]:
        yield b"old" * 1000
        with service.database.read() as tx:
            token = upload_rows.list_uploads(tx)[0].token
        recovery.requeue(service, image, token)
        upload(service, image.id, DATA)

    with pytest.raises(problems.ImageGone):
        send(service, image.id, overtaken())
    assert status(service, image.id) == "active"
    assert download(service, image.id) == DATA


@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_only_digests_that_the_api_shows_are_computed_and_verified(service: Service, algorithm: str) -> None:
    service = change_service(service, hash_algorithm=algorithm)
    image = image_with(service, DATA)
    digests = {name: hashlib.new(name, DATA).hexdigest() for name in ("md5", algorithm)}
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (digests["md5"], algorithm, digests[algorithm])
    with service.database.read() as tx:
        content = contents.find(tx, image.content_id or ContentID(""))
    assert content is not None
    assert content.digests.by_algorithm == digests
    assert [verdict.fault for verdict in verify.verify(service)] == [None]
    for name, value in digests.items():
        with service.database.write() as tx:
            tx.execute(update(tables.contents).values({name: "0" * len(value)}))
        assert [verdict.fault for verdict in verify.verify(service)] == ["the bytes do not have the digests that were recorded"]
        with service.database.write() as tx:
            tx.execute(update(tables.contents).values({name: value}))
