"""Imports: staged data becomes an image's, in one store or several; whatever fails, the image and its task say so."""

import gzip
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.content.digest import Buffer
from partage.model import importing
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, StoreID, UserID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.limits import Limits
from partage.model.task import Task, TaskStatus
from partage.operations import downloads, images, recovery, stores, sweep, tasks, verify
from partage.operations.import_plugins import ImportPlugins
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import NamedStore, Service
from tests import uploading
from tests.memory_store import MemoryStore
from tests.operations.services import LOCAL, OWNER, Clock, download, image_with, make, queued_image
from tests.services import change_service

DATA = random.Random(4).randbytes(700_000)
NEAR, FAR = StoreID("near"), StoreID("far")
DIRECT = ImportRequest(method=ImportMethod.GLANCE_DIRECT)
ADMIN = Caller(
    user_id=UserID("root"), project_id=ProjectID("admins"), roles=frozenset({"admin", "member", "reader"}), is_admin=True
)


class Failing(MemoryStore):
    """A store that cannot be reached, until it can."""

    broken = True

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        if self.broken:
            raise problems.StoreUnavailable("The store is away")
        super().put(key, parts)


def named(store_id: StoreID, **changed: object) -> NamedStore:
    return replace(NamedStore(id=store_id, store=MemoryStore(), type="memory", properties={}), **changed)  # type: ignore[arg-type]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    one = make(tmp_path)
    return change_service(one, stores={**one.stores.by_id, NEAR: named(NEAR, weight=5), FAR: named(FAR)})


def staged_image(service: Service, data: bytes = DATA) -> Image:
    image = queued_image(service)
    blocks = (data[start : start + 65_001] for start in range(0, len(data), 65_001))
    uploading.stage(service, OWNER, image.id, blocks, announced_bytes=None)
    return found(service, image)


def found(service: Service, image: Image) -> Image:
    return images.show_image(service, OWNER, image.id)


def ask(service: Service, image: Image, request: ImportRequest = DIRECT, caller: Caller = OWNER) -> Task | None:
    return import_requests.request_import(service, caller, image.id, request, request_id="req-1")


def work(service: Service) -> int:
    """Do whatever waits, as a worker does; return how many tasks there were."""
    done = 0
    while (claimed := import_runs.claim(service)) is not None:
        import_runs.run(service, claimed)
        done += 1
    return done


def told(service: Service, image: Image) -> tuple[TaskStatus, str]:
    last = tasks.list_image_tasks(service, OWNER, image.id)[-1]
    return last.status, last.message


def stores_of(service: Service, image: Image) -> set[StoreID]:
    return set(found(service, image).stores)


def test_staged_data_is_not_readable_before_import(service: Service) -> None:
    image = staged_image(service)
    assert (image.status, image.size, image.checksum, image.stores) == (ImageStatus.UPLOADING, len(DATA), None, ())
    assert not downloads.open_image_data(service, OWNER, image.id).has_data
    assert ask(service, image) is not None
    assert work(service) == 1
    done = found(service, image)
    assert (done.status, done.stores, done.virtual_size) == (ImageStatus.ACTIVE, (LOCAL,), len(DATA))
    assert done.properties == {importing.TO_STORES: "", importing.FAILED: ""}
    assert download(service, image.id) == DATA
    assert told(service, image) == (TaskStatus.SUCCESS, "Copied 0 MiB")


class Counting(MemoryStore):
    """A store that counts what is put into it."""

    puts = 0

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self.puts += 1
        super().put(key, parts)


@pytest.mark.parametrize(
    ("plugins", "hide_deduplication_timing", "puts"),
    [
        (ImportPlugins(), True, 0),
        (ImportPlugins(decompress=True), True, 1),
        (ImportPlugins(decompress=True), False, 0),
    ],
    ids=["as it was staged", "perhaps unpacked", "no secret"],
)
def test_import_reuses_staged_chunks_unless_a_plugin_may_change_data(
    tmp_path: Path, plugins: ImportPlugins, hide_deduplication_timing: bool, puts: int
) -> None:
    store = Counting()
    service = make(tmp_path, store, import_plugins=plugins, hide_deduplication_timing=hide_deduplication_timing)
    image = staged_image(service)
    ask(service, image)
    store.puts = 0
    work(service)
    assert download(service, image.id) == DATA
    assert store.puts == puts


@pytest.mark.parametrize("hide_deduplication_timing", [True, False])
def test_copy_writes_known_chunks_again_unless_timing_is_not_hidden(tmp_path: Path, hide_deduplication_timing: bool) -> None:
    one = make(tmp_path, hide_deduplication_timing=hide_deduplication_timing)
    store = Counting()
    service = change_service(one, stores={**one.stores.by_id, NEAR: NamedStore(id=NEAR, store=store, type="memory", properties={})})
    for _ in range(2):
        image = image_with(service, DATA)
        ask(service, image, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,)), ADMIN)
        work(service)
        assert stores_of(service, image) == {LOCAL, NEAR}
    assert store.puts == (2 if hide_deduplication_timing else 1)


def test_staged_data_survives_sweeps_and_is_swept_with_its_image(service: Service) -> None:
    kept, dropped = staged_image(service), staged_image(service, DATA[::-1])
    images.delete_image(service, OWNER, dropped.id)
    for _ in range(2):
        sweep.sweep(service, grace=timedelta(0))
    ask(service, kept)
    work(service)
    assert download(service, kept.id) == DATA
    assert sweep.sweep(service, grace=timedelta(0)).chunks == 0


@pytest.mark.parametrize("all_stores", [True, False])
def test_import_to_several_stores_is_readable_from_each(service: Service, all_stores: bool) -> None:
    image = staged_image(service)
    ask(service, image, replace(DIRECT, all_stores=all_stores, stores=None if all_stores else (NEAR, FAR)))
    work(service)
    assert stores_of(service, image) == ({LOCAL, NEAR, FAR} if all_stores else {NEAR, FAR})
    for store_id in stores_of(service, image):
        alone = replace(found(service, image), stores=(store_id,))
        assert b"".join(downloads.ImageData(service, alone).read(0, len(DATA))) == DATA
    assert not [verdict for verdict in verify.verify(service) if verdict.fault]


def test_a_download_goes_on_from_the_next_store_when_one_fails(service: Service) -> None:
    image = staged_image(service)
    ask(service, image, replace(DIRECT, stores=(NEAR, FAR)))
    work(service)
    near = service.stores.by_id[NEAR].store
    for key in list(near.enumerate("")):
        near.remove(key)
    assert download(service, image.id) == DATA


def test_a_preferred_store_is_read_first_and_must_exist(service: Service) -> None:
    image = staged_image(service)
    ask(service, image, replace(DIRECT, stores=(NEAR, FAR)))
    work(service)
    near = service.stores.by_id[NEAR].store
    for key in list(near.enumerate("")):
        near.remove(key)
    opened = downloads.open_image_data(service, OWNER, image.id, preferred=[FAR])
    assert b"".join(opened.read(0, 1000)) == DATA[:1000]
    with pytest.raises(problems.StoreUnknown):
        downloads.open_image_data(service, OWNER, image.id, preferred=[StoreID("nowhere")])


def away(service: Service) -> Service:
    return change_service(service, stores={**service.stores.by_id, NEAR: replace(service.stores.by_id[NEAR], store=Failing())})


def test_all_stores_must_succeed_and_one_is_down_so_image_is_queued(service: Service) -> None:
    service = away(service)
    image = staged_image(service)
    ask(service, image, replace(DIRECT, stores=(FAR, NEAR)))
    work(service)
    left = found(service, image)
    assert (left.status, left.size, left.content_id, left.stores) == (ImageStatus.QUEUED, None, None, ())
    assert left.properties == {importing.TO_STORES: "", importing.FAILED: "far,near"}
    assert told(service, image) == (TaskStatus.FAILURE, "The store is away")


@pytest.mark.parametrize("order", [(FAR, NEAR), (NEAR, FAR)])
def test_image_is_active_in_the_stores_that_succeeded(service: Service, order: tuple[StoreID, ...]) -> None:
    service = away(service)
    image = staged_image(service)
    ask(service, image, replace(DIRECT, stores=order, all_stores_must_succeed=False))
    work(service)
    left = found(service, image)
    assert (left.status, left.stores) == (ImageStatus.ACTIVE, (FAR,))
    assert left.properties == {importing.TO_STORES: "", importing.FAILED: "near"}
    assert told(service, image) == (TaskStatus.SUCCESS, "near: The store is away")


def test_format_mismatch_leaves_a_queued_image_that_can_be_staged(service: Service) -> None:
    image = staged_image(service, b"QFI\xfb" + b"\0\0\0\x09" + bytes(600))
    ask(service, image)
    work(service)
    assert found(service, image).status is ImageStatus.QUEUED
    status, reason = told(service, image)
    assert status is TaskStatus.FAILURE
    assert "raw" in reason
    uploading.stage(service, OWNER, image.id, iter([DATA]), announced_bytes=len(DATA))
    ask(service, image)
    work(service)
    assert download(service, image.id) == DATA


def test_administrator_copies_to_stores_and_deletes_from_one(service: Service) -> None:
    image = image_with(service, DATA)
    copy = ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,))
    with pytest.raises(problems.PolicyForbids):
        ask(service, image, copy)
    ask(service, image, copy, ADMIN)
    work(service)
    assert found(service, image).stores == (LOCAL, NEAR)
    with pytest.raises(problems.Invalid, match="already present at store 'near'"):
        ask(service, image, copy, ADMIN)
    stores.delete_from_store(service, ADMIN, LOCAL, image.id)
    for _ in range(2):
        sweep.sweep(service, grace=timedelta(0))
    assert not list(service.stores.by_id[LOCAL].store.enumerate("packs/"))
    assert download(service, image.id) == DATA
    with pytest.raises(problems.StatusForbids):
        stores.delete_from_store(service, ADMIN, NEAR, image.id)


def test_copy_to_all_stores_makes_no_task_when_every_store_has_it(service: Service) -> None:
    image = image_with(service, DATA)
    everywhere = ImportRequest(method=ImportMethod.COPY_IMAGE, all_stores=True)
    assert ask(service, image, everywhere, ADMIN) is not None
    work(service)
    assert ask(service, image, everywhere, ADMIN) is None
    assert work(service) == 0


def test_a_copy_that_fails_leaves_the_image_as_it_was(service: Service) -> None:
    service = away(service)
    image = image_with(service, DATA)
    ask(service, image, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,)), ADMIN)
    work(service)
    left = found(service, image)
    assert (left.status, left.stores, left.properties[importing.FAILED]) == (ImageStatus.ACTIVE, (LOCAL,), "near")
    assert download(service, image.id) == DATA


@pytest.mark.parametrize(
    ("prepare", "request_", "words"),
    [
        (queued_image, DIRECT, "needs to be staged"),
        (staged_image, ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri="http://example.org/"), "'queued' state"),
        (staged_image, ImportRequest(method=ImportMethod.COPY_IMAGE), "Only images with status active"),
        (staged_image, replace(DIRECT, stores=(StoreID("nowhere"),)), "nowhere not found"),
    ],
)
def test_an_import_that_does_not_fit_the_image_makes_no_task(
    service: Service, prepare: Callable[[Service], Image], request_: ImportRequest, words: str
) -> None:
    image = prepare(service)
    with pytest.raises(problems.StatusConflict, match=words):
        ask(service, image, request_)
    assert tasks.list_image_tasks(service, OWNER, image.id) == []
    assert found(service, image) == image


def test_a_second_import_waits_for_the_first(service: Service) -> None:
    image = staged_image(service)
    ask(service, image)
    with pytest.raises(problems.StatusConflict, match="active task"):
        ask(service, image)
    assert work(service) == 1


def test_an_image_deleted_before_its_import_ends_the_task_with_a_reason(service: Service) -> None:
    image = staged_image(service)
    task = ask(service, image)
    images.delete_image(service, OWNER, image.id)
    work(service)
    assert task is not None
    ended = tasks.show_task(service, ADMIN, task.id)
    assert (ended.status, ended.message) == (TaskStatus.FAILURE, f"Image {image.id} was deleted during its import")


def test_the_import_of_a_worker_that_died_is_taken_up_by_another(service: Service) -> None:
    image = staged_image(service)
    ask(service, image)
    dead = change_service(service, worker="dead", running_tasks={})
    assert import_runs.claim(dead) is not None
    assert import_runs.claim(service) is None
    assert import_runs.recover(service) == 1
    assert work(service) == 1
    assert download(service, image.id) == DATA


def test_import_that_kills_three_workers_fails_with_a_reason(service: Service) -> None:
    image = staged_image(service)
    ask(service, image)
    for number in range(import_runs.MOST_ATTEMPTS):
        assert import_runs.claim(change_service(service, worker=f"dead {number}", running_tasks={})) is not None
        import_runs.recover(service)
    assert work(service) == 0
    assert found(service, image).status is ImageStatus.QUEUED
    assert told(service, image) == (TaskStatus.FAILURE, "Each of the 3 workers that tried the import died on the way")


def test_worker_declared_dead_changes_nothing(service: Service) -> None:
    image = staged_image(service)
    ask(service, image)
    slow = change_service(service, worker="slow", running_tasks={})
    lost = import_runs.claim(slow)
    assert lost is not None
    import_runs.recover(service)
    import_runs.run(slow, lost)
    assert told(service, image)[0] is TaskStatus.PENDING
    assert work(service) == 1
    before = found(service, image)
    import_runs.run(slow, lost)
    assert found(service, image) == before


def test_unclaimed_task_fails_after_two_hours(tmp_path: Path) -> None:
    clock = Clock()
    service = make(tmp_path, clock=clock)
    image = staged_image(service)
    ask(service, image)
    clock.passes(hours=1, minutes=59)
    assert import_runs.recover(service) == 0
    clock.passes(minutes=2)
    assert import_runs.recover(service) == 1
    assert found(service, image).status is ImageStatus.QUEUED
    assert told(service, image)[0] is TaskStatus.FAILURE


def test_a_stage_that_breaks_off_leaves_a_queued_image(service: Service) -> None:
    image = queued_image(service)

    def breaking() -> Iterator[bytes]:
        yield DATA
        raise problems.ClientGone("gone")

    with pytest.raises(problems.ClientGone):
        uploading.stage(service, OWNER, image.id, breaking(), announced_bytes=None)
    assert found(service, image).status is ImageStatus.QUEUED


def test_a_stage_whose_worker_died_is_queued_again(service: Service) -> None:
    image = queued_image(service)
    elsewhere = change_service(service, worker="dead")
    with pytest.raises(problems.ImageGone):
        uploading.stage(elsewhere, OWNER, image.id, dying(service, image.id), announced_bytes=None)
    assert found(service, image).status is ImageStatus.QUEUED


def dying(service: Service, image_id: ImageID) -> Iterator[bytes]:
    """Bytes on whose way the worker is taken for dead; the rest of its work must come to nothing."""
    yield DATA
    assert recovery.recover(service, image_id) == 1


def test_staged_data_counts_against_the_quota_once(tmp_path: Path) -> None:
    service = make(tmp_path, limits=Limits(storage_per_project_bytes=len(DATA) + 10))
    image = staged_image(service)
    with pytest.raises(problems.QuotaExceeded):
        staged_image(service, DATA[:11])
    ask(service, image)
    work(service)
    assert found(service, image).status is ImageStatus.ACTIVE


def test_compressed_data_is_unpacked_on_its_way(service: Service) -> None:
    service = change_service(service, import_plugins=ImportPlugins(decompress=True))
    image = staged_image(service, gzip.compress(DATA))
    ask(service, image)
    work(service)
    assert download(service, image.id) == DATA


def test_an_archive_that_unpacks_to_more_than_is_allowed_is_refused(tmp_path: Path) -> None:
    service = make(tmp_path, import_plugins=ImportPlugins(decompress=True), limits=Limits(image_size_cap_bytes=1_000_000))
    image = staged_image(service, gzip.compress(bytes(50_000_000)))
    ask(service, image)
    work(service)
    assert found(service, image).status is ImageStatus.QUEUED
    assert "too large once it is unpacked" in told(service, image)[1]


def test_imported_data_is_converted_and_the_image_says_so(service: Service, tmp_path: Path) -> None:
    service = change_service(service, import_plugins=ImportPlugins(convert_to="qcow2", work_directory=tmp_path))
    image = staged_image(service, DATA + bytes(1_000_000 - len(DATA) % 512))
    ask(service, image, replace(DIRECT, stores=(LOCAL, NEAR)))
    work(service)
    done = found(service, image)
    assert (done.status, done.disk_format, set(done.stores)) == (ImageStatus.ACTIVE, "qcow2", {LOCAL, NEAR}), told(service, image)
    assert download(service, image.id).startswith(b"QFI\xfb")
    assert done.virtual_size is not None
    assert done.virtual_size >= len(DATA)
    assert not list(tmp_path.glob("partage-convert-*"))


def test_data_that_is_unsafe_is_never_given_to_the_converter(service: Service, tmp_path: Path) -> None:
    service = change_service(service, import_plugins=ImportPlugins(convert_to="qcow2", work_directory=tmp_path / "absent"))
    with_a_backing_file = b"QFI\xfb" + (3).to_bytes(4) + (512).to_bytes(8) + (8).to_bytes(4) + (16).to_bytes(4) + bytes(1000)
    image = staged_image(service, with_a_backing_file)
    ask(service, image)
    work(service)
    assert found(service, image).status is ImageStatus.QUEUED
    assert "safety" in told(service, image)[1]


@pytest.mark.parametrize(("roles", "expected"), [({"member", "reader"}, "yes"), ({"member", "reader", "trusted"}, None)])
def test_properties_are_injected_but_for_ignored_roles(service: Service, roles: set[str], expected: str | None) -> None:
    plugins = ImportPlugins(inject={"checked": "yes", "os_glance_x": "no"}, ignored_roles=("trusted",))
    service = change_service(service, import_plugins=plugins)
    image = staged_image(service)
    ask(service, image, caller=replace(OWNER, roles=frozenset(roles)))
    work(service)
    properties = found(service, image).properties
    assert (properties.get("checked"), properties.get("os_glance_x")) == (expected, None)
