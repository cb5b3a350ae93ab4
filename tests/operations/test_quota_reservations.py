"""Room that is kept for image data under way: as much as is needed, for as long as it is, whoever fails."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import ImageID, ProjectID, StoreID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.limits import Limits
from partage.model.patch import Change, Operation
from partage.model.quota import MEBIBYTE, Usage
from partage.operations import images, quota, recovery, tasks, uploads
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import NamedStore, Service
from partage.records import reservations
from tests import uploading
from tests.memory_store import MemoryStore
from tests.operations.services import OWNER, image_with, make, queued_image, upload
from tests.operations.test_imports import ADMIN
from tests.services import change_service

NEAR, FAR = StoreID("near"), StoreID("far")
DIRECT = ImportRequest(method=ImportMethod.GLANCE_DIRECT)


@dataclass
class Registered:
    """Limits that a test changes, in the place of Keystone's; `remembered` is what is said until somebody asks for fresh ones."""

    now: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("image_size_total", "image_stage_total"), -1))
    remembered: Mapping[str, int] | None = None
    asked: int = 0

    def find_limits(self, project_id: ProjectID, *, fresh: bool = False) -> Mapping[str, int]:
        assert project_id
        self.asked += 1
        if fresh:
            self.remembered = None
        found = self.now if self.remembered is None else self.remembered
        return {"image_count_total": -1, "image_count_uploading": -1, **found}


def limited(folder: Path, size_bytes: int) -> Service:
    stores = {each: NamedStore(id=each, store=MemoryStore(), type="memory", properties={}) for each in (NEAR, FAR)}
    made = make(folder, limits=Limits(storage_per_project_bytes=size_bytes))
    return change_service(made, stores={**made.stores.by_id, **stores})


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return limited(tmp_path, 1000)


def usage(service: Service) -> Usage:
    with service.database.read() as tx:
        return reservations.usage(tx, ProjectID("A"), now=datetime.now(UTC))


def send(service: Service, image: Image, blocks: Iterator[bytes], announced: int | None = None) -> None:
    uploading.upload(service, OWNER, image.id, blocks, announced_bytes=announced, store_id=None)


def stage(service: Service, image: Image, data: bytes, announced: int | None = None) -> None:
    uploading.stage(service, OWNER, image.id, iter([data]), announced_bytes=announced)


def ask(service: Service, image: Image, *stores: StoreID, method: ImportMethod = ImportMethod.GLANCE_DIRECT) -> None:
    caller = ADMIN if method is ImportMethod.COPY_IMAGE else OWNER
    import_requests.request_import(
        service, caller, image.id, ImportRequest(method=method, stores=stores or None), request_id="req-1"
    )


def work(service: Service) -> None:
    while (claimed := import_runs.claim(service)) is not None:
        import_runs.run(service, claimed)


def nothing_is_kept(service: Service) -> bool:
    found = usage(service)
    return found.kept_stored_bytes == found.kept_staged_bytes == found.uploading == 0


def test_announced_size_is_reserved_before_the_first_byte(service: Service) -> None:
    image, other = queued_image(service), queued_image(service)
    seen: list[Usage] = []

    def blocks() -> Iterator[bytes]:
        seen.append(usage(service))
        with pytest.raises(problems.QuotaExceeded, match="room for 400 more bytes"):
            upload(service, other.id, b"y" * 401, announced_bytes=401)
        yield b"x" * 600

    send(service, image, blocks(), 600)
    assert (seen[0].kept_stored_bytes, seen[0].stored_bytes, seen[0].uploading) == (600, 0, 1)
    assert usage(service) == Usage(stored_bytes=600, images=2)


def test_announced_size_above_the_quota_is_refused_without_reading(service: Service) -> None:
    def blocks() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    image = queued_image(service)
    with pytest.raises(problems.QuotaExceeded):
        send(service, image, blocks(), 1001)
    assert images.show_image(service, OWNER, image.id).status is ImageStatus.QUEUED
    assert usage(service) == Usage(images=1)


def test_data_of_unknown_size_is_stopped_at_the_first_block_without_room(service: Service) -> None:
    taken: list[int] = []

    def blocks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield b"x" * 300

    with pytest.raises(problems.QuotaExceeded):
        send(service, queued_image(service), blocks())
    assert taken == [0, 1, 2, 3]
    assert nothing_is_kept(service)


def test_growing_upload_reserves_and_releases_on_refusal(service: Service) -> None:
    first, second = queued_image(service), queued_image(service)

    def other() -> Iterator[bytes]:
        yield b"y" * 500
        assert usage(service).kept_stored_bytes == 1000
        yield b"y"

    def blocks() -> Iterator[bytes]:
        yield b"x" * 500
        with pytest.raises(problems.QuotaExceeded):
            send(service, second, other())
        assert usage(service).kept_stored_bytes == 500
        yield b"x" * 500

    send(service, first, blocks())
    assert usage(service) == Usage(stored_bytes=1000, images=2)


def test_more_than_announced_is_a_wrong_size_and_keeps_nothing(service: Service) -> None:
    with pytest.raises(problems.SizeMismatch):
        send(service, queued_image(service), iter([b"x" * 700]), 600)
    assert nothing_is_kept(service)


def test_deleting_an_image_in_the_middle_of_its_upload_frees_its_room(service: Service) -> None:
    for _ in range(10):
        image = queued_image(service)

        def blocks(image: Image = image) -> Iterator[bytes]:
            yield b"x" * 900
            images.delete_image(service, OWNER, image.id)
            assert usage(service) == Usage()
            yield b"x" * 50

        with pytest.raises(problems.ImageGone):
            send(service, image, blocks())
    assert usage(service) == Usage()


def test_the_room_of_a_dead_workers_upload_is_free_again(service: Service) -> None:
    image = queued_image(service)
    uploads._begin(change_service(service, worker="dead"), OWNER, image.id, 900)  # noqa: SLF001
    assert usage(service).kept_stored_bytes == 900
    with pytest.raises(problems.QuotaExceeded):
        upload(service, queued_image(service).id, b"x" * 200, announced_bytes=200)
    assert recovery.recover(service) == 1
    assert nothing_is_kept(service)
    upload(service, image.id, b"x" * 1000, announced_bytes=1000)


def test_bytes_count_once_for_every_store(tmp_path: Path) -> None:
    service = limited(tmp_path, 1000)
    image = image_with(service, b"x" * 400)
    with pytest.raises(problems.QuotaExceeded):
        ask(service, image, NEAR, FAR, method=ImportMethod.COPY_IMAGE)
    assert nothing_is_kept(service)
    ask(service, image, NEAR, method=ImportMethod.COPY_IMAGE)
    assert usage(service).kept_stored_bytes == 400
    work(service)
    assert usage(service) == Usage(stored_bytes=800, images=1)


def test_an_import_has_its_room_from_when_it_is_asked_for(tmp_path: Path) -> None:
    service = limited(tmp_path, 1000)
    image = queued_image(service)
    stage(service, image, b"x" * 300)
    assert usage(service) == Usage(lone_bytes=300, staged_bytes=300, images=1, uploading=1)
    other = image_with(service, b"y" * 200)
    with pytest.raises(problems.QuotaExceeded):
        ask(service, image, StoreID("local"), NEAR, FAR)
    images.delete_image(service, OWNER, other.id)
    ask(service, image, StoreID("local"), NEAR, FAR)
    assert usage(service).kept_stored_bytes == 900
    work(service)
    assert usage(service) == Usage(stored_bytes=900, images=1)


def test_a_failed_import_keeps_nothing(tmp_path: Path) -> None:
    service = limited(tmp_path, 1000)
    image = queued_image(service)
    stage(service, image, b"QFI\xfb" + b"\0\0\0\x09" + bytes(600))
    with service.database.write() as tx:
        tx.exec_driver_sql("UPDATE images SET disk_format = 'qcow2'")
    ask(service, image)
    assert usage(service).kept_stored_bytes == 608
    work(service)
    assert tasks.list_image_tasks(service, OWNER, image.id)[-1].status == "failure"
    assert usage(service) == Usage(images=1)


def test_an_image_is_not_given_to_a_project_without_room(service: Service) -> None:
    image = image_with(service, b"x" * 600)
    to_b = (Change(Operation.REPLACE, ("owner",), "B"),)
    images.update_image(service, ADMIN, image.id, to_b)
    second = image_with(service, b"x" * 600)
    with pytest.raises(problems.QuotaExceeded):
        images.update_image(service, ADMIN, second.id, to_b)
    assert usage(service) == Usage(stored_bytes=600, images=1)


# Unified limits


def parse_keystone_limits(folder: Path, registered: Registered, **limits: object) -> Service:
    return change_service(limited(folder, 0), unified_limits=registered, limits=Limits(**limits))  # type: ignore[arg-type]


def test_a_refusal_by_remembered_limits_is_reconsidered_with_fresh_ones(tmp_path: Path) -> None:
    registered = Registered({"image_size_total": 1}, remembered={"image_size_total": 0})
    service = parse_keystone_limits(tmp_path, registered)
    image = queued_image(service)
    asked = registered.asked
    upload(service, image.id, b"x", announced_bytes=1)
    assert registered.asked == asked + 2
    with pytest.raises(problems.QuotaExceeded):
        upload(service, queued_image(service).id, b"x" * MEBIBYTE, announced_bytes=MEBIBYTE)


def test_the_operators_own_limits_do_not_count_beside_unified_ones(tmp_path: Path) -> None:
    service = parse_keystone_limits(tmp_path, Registered(), storage_per_project_bytes=1, images_per_project=1)
    image_with(service, b"x" * 100)
    image_with(service, b"x" * 100)


def test_staged_data_has_a_limit_of_its_own(tmp_path: Path) -> None:
    registered = Registered({"image_size_total": 5, "image_stage_total": 1})
    service = parse_keystone_limits(tmp_path, registered)
    first, second = queued_image(service), queued_image(service)
    stage(service, first, b"x" * MEBIBYTE)
    with pytest.raises(problems.QuotaExceeded):
        stage(service, second, b"y")
    upload(service, second.id, b"y" * 100)
    with pytest.raises(problems.QuotaExceeded):
        ask(service, image_with(service, b"z"), NEAR, method=ImportMethod.COPY_IMAGE)
    ask(service, first)
    work(service)
    stage(service, queued_image(service), b"y" * MEBIBYTE)


def test_images_with_data_under_way_are_counted_staged_ones_included(tmp_path: Path) -> None:
    registered = Registered({"image_size_total": -1, "image_stage_total": -1, "image_count_uploading": 1})
    service = parse_keystone_limits(tmp_path, registered)
    first, second = queued_image(service), queued_image(service)
    stage(service, first, b"x")
    for refused in (stage, lambda *each: upload(each[0], each[1].id, each[2])):
        with pytest.raises(problems.QuotaExceeded, match="maximum of 1 running uploads"):
            refused(service, second, b"y")
    fetched = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri="http://example.org/image")
    with pytest.raises(problems.QuotaExceeded, match="running uploads"):
        import_requests.request_import(service, OWNER, second.id, fetched, request_id="req-1")
    ask(service, first)
    work(service)
    import_requests.request_import(service, OWNER, second.id, fetched, request_id="req-1")
    with pytest.raises(problems.QuotaExceeded, match="running uploads"):
        upload(service, queued_image(service).id, b"z")


class Away:
    """Keystone when it does not answer."""

    def find_limits(self, project_id: ProjectID, *, fresh: bool = False) -> Mapping[str, int]:
        raise problems.IdentityUnavailable(f"no limits for {project_id}, fresh: {fresh}")


def test_nothing_begins_when_the_limits_cannot_be_had(tmp_path: Path) -> None:
    service = make(tmp_path)
    image, staged = queued_image(service), queued_image(service)
    stage(service, staged, b"x")
    cut_off = change_service(service, unified_limits=Away())
    for act in (
        lambda: upload(cut_off, image.id, b"x"),
        lambda: stage(cut_off, image, b"x"),
        lambda: ask(cut_off, staged),
        lambda: quota.usage(cut_off, OWNER),
        lambda: images.update_image(cut_off, ADMIN, image.id, (Change(Operation.REPLACE, ("owner",), "B"),)),
    ):
        with pytest.raises(problems.IdentityUnavailable):
            act()
    assert usage(service) == Usage(lone_bytes=1, staged_bytes=1, images=2, uploading=1)
    assert images.show_image(service, OWNER, ImageID(image.id)).status is ImageStatus.QUEUED
    images.update_image(cut_off, OWNER, image.id, (Change(Operation.REPLACE, ("name",), "still works"),))


def test_of_one_upload_that_may_exceed_only_one_does(tmp_path: Path) -> None:
    registered = Registered({"image_size_total": 1, "image_stage_total": 0})
    service = parse_keystone_limits(tmp_path, registered, one_upload_may_exceed=True)
    upload(service, queued_image(service).id, b"x" * MEBIBYTE)
    late = queued_image(service)

    def blocks() -> Iterator[bytes]:
        yield b"x" * 500
        with pytest.raises(problems.QuotaExceeded):
            upload(service, late.id, b"y")
        yield b"x" * 500

    send(service, queued_image(service), blocks())
    assert usage(service).stored_bytes == MEBIBYTE + 1000
    with pytest.raises(problems.QuotaExceeded):
        upload(service, late.id, b"")


def test_refusal_releases_the_reservation_at_once(service: Service) -> None:
    """Otherwise uploads that do not fit together could refuse each other to the last one."""
    begun = uploads._begin(service, OWNER, queued_image(service).id, None)  # noqa: SLF001
    arriving = quota.meter_blocks(service, begun.room, iter([b"x" * 900, b"x" * 200]))
    next(arriving)
    assert usage(service).kept_stored_bytes == 900
    with pytest.raises(problems.QuotaExceeded):
        next(arriving)
    assert usage(service).kept_stored_bytes == 0
