"""Image data in place: it is read from Glance's files, compared when it is read whole, and cut into chunks that replace it."""

from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.model.adoption import AdoptionRequest
from partage.model.ids import ContentID, ImageID, StoreID
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.maintenance import MaintenanceJob
from partage.operations import cutting, downloads, images, maintenance, manifests, unneeded_originals, verify
from partage.operations.imports import request as start_import
from partage.operations.imports import run as imports
from partage.operations.leases import Interrupted
from partage.operations.maintenance import Maintainer
from partage.operations.service import Service
from partage.operations.sharing import adoption
from partage.records import originals
from partage.stores.drivers.posix import PosixStore
from partage.stores.originals.files import OriginalFiles
from partage.worker.maintenance import plan_cut
from tests import glance_world
from tests.glance_world import GlanceWorld
from tests.operations import services
from tests.operations.services import OWNER
from tests.operations.sharing_worlds import ADMIN
from tests.operations.test_taking_over import DATA, PLACES, take


@pytest.fixture
def glance(tmp_path: Path) -> GlanceWorld:
    return glance_world.make_glance(tmp_path / "glance")


@pytest.fixture
def service(tmp_path: Path, glance: GlanceWorld) -> Service:
    return services.make(tmp_path / "own", originals={"fast": OriginalFiles([glance.folder / "images"])})


@pytest.fixture
def image_id(service: Service, glance: GlanceWorld) -> ImageID:
    """An image that was taken over."""
    made = glance.add_image(DATA)
    take(service, glance)
    return ImageID(made)


def damage(glance: GlanceWorld, image_id: ImageID) -> None:
    glance.file_of(image_id).write_bytes(b"x" + DATA[1:])


def read_until_refused(service: Service, image_id: ImageID) -> bytes:
    found = b""
    with pytest.raises(problems.ContentCorrupt, match="does not have the sha512 that Glance recorded"):
        for block in downloads.open_image_data(service, OWNER, image_id).read(0, len(DATA)):
            found += block
    return found


def cut_all(service: Service) -> None:
    for content_id in cutting.list_uncut(service):
        assert cutting.try_cut(service, content_id, lambda _size: None) == ""


def count_packs(folder: Path) -> int:
    return sum(1 for each in (folder / "store" / "packs").rglob("*") if each.is_file())


def content_of(service: Service) -> ContentID:
    return next(cutting.list_uncut(service))


def test_parts_are_read_in_place(service: Service, image_id: ImageID) -> None:
    opened = downloads.open_image_data(service, OWNER, image_id)
    assert b"".join(opened.read(1_000_001, 3_000_000)) == DATA[1_000_001:3_000_000]


def test_damaged_file_is_not_sent_to_its_end(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    damage(glance, image_id)
    assert len(read_until_refused(service, image_id)) < len(DATA)


def test_download_in_several_passes_is_compared_too(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    damage(glance, image_id)
    reading = downloads.open_image_data(service, OWNER, image_id).open_reading(0, len(DATA))
    pieces = reading.pieces_from(0)
    first = next(pieces)
    assert isinstance(first, bytes)
    pieces.close()  # type: ignore[attr-defined]
    with pytest.raises(problems.ContentCorrupt):
        list(reading.pieces_from(len(first) // 2))


def test_file_that_was_cut_off_is_corrupt(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    glance.file_of(image_id).write_bytes(DATA[:1000])
    with pytest.raises(problems.ContentCorrupt, match="ends at byte 1000"):
        services.download(service, image_id)


def test_verification_reads_originals(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    assert [each.fault for each in verify.verify(service)] == [None]
    damage(glance, image_id)
    assert "Glance recorded" in str(next(iter(verify.verify(service))).fault)


def test_image_in_place_has_no_manifest(service: Service, image_id: ImageID) -> None:
    with pytest.raises(problems.ManifestAbsent):
        manifests.page_manifest(service, OWNER, image_id, start=0, limit=10)


def test_image_in_place_can_be_adopted(service: Service, image_id: ImageID) -> None:
    adopted, _lineage = adoption.adopt_image(service, OWNER, image_id, AdoptionRequest())
    assert services.download(service, adopted.id) == DATA
    cut_all(service)
    assert services.download(service, adopted.id) == DATA


def test_chunks_replace_the_original(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    cut_all(service)
    glance.file_of(image_id).unlink()
    assert services.download(service, image_id) == DATA
    assert [each.fault for each in verify.verify(service)] == [None]
    assert manifests.page_manifest(service, OWNER, image_id, start=0, limit=10_000).is_last
    progress = cutting.measure_progress(service)
    assert (progress.contents, progress.cut_contents, progress.cut_bytes) == (1, 1, len(DATA))


def test_damaged_original_is_not_cut_until_it_is_repaired(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    damage(glance, image_id)
    assert "Glance recorded" in cutting.try_cut(service, content_of(service), lambda _size: None)
    progress = cutting.measure_progress(service)
    assert (progress.cut_contents, progress.faults) == (0, 1)
    glance.file_of(image_id).write_bytes(DATA)
    cut_all(service)
    assert cutting.measure_progress(service).faults == 0


def test_interrupted_cut_goes_on_without_storing_twice(service: Service, tmp_path: Path, image_id: ImageID) -> None:
    def interrupt_late(size_bytes: int) -> None:
        passed.append(size_bytes)
        if sum(passed) > len(DATA) - 100_000:
            raise Interrupted("stopped")

    passed: list[int] = []
    content_id = content_of(service)
    with pytest.raises(Interrupted):
        cutting.cut(service, content_id, interrupt_late)
    assert services.download(service, image_id) == DATA
    cutting.cut(service, content_id, lambda _size: None)
    packs = count_packs(tmp_path / "own")
    cutting.cut(service, content_id, lambda _size: None)
    assert count_packs(tmp_path / "own") == packs
    assert services.download(service, image_id) == DATA


def test_content_that_another_process_cut_meanwhile_is_cut(service: Service, image_id: ImageID) -> None:
    def cut_beside(_size_bytes: int) -> None:
        passed.append(_size_bytes)
        if len(passed) == 1:
            cutting.cut(service, content_id, lambda _size: None)

    passed: list[int] = []
    content_id = content_of(service)
    assert cutting.try_cut(service, content_id, cut_beside) == ""
    assert cutting.measure_progress(service).faults == 0
    assert services.download(service, image_id) == DATA


def test_file_that_is_read_under_another_name_of_its_store_stays(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    with service.database.write() as tx:
        present = originals.list_of_content(tx, next(cutting.list_uncut(service)))
        former = replace(present[0], content_id=ContentID("swept"), place="file")
        originals.replace_all(tx, former.content_id, [former])
    assert unneeded_originals.list_unneeded(service) == []
    assert glance.file_of(image_id).exists()


def test_content_without_digest_gets_its_digests_when_it_is_cut(service: Service, glance: GlanceWorld) -> None:
    made = ImageID(glance.add_image(DATA, checksum=None, os_hash_algo=None, os_hash_value=None))
    take(service, glance)
    assert services.download(service, made) == DATA
    cut_all(service)
    assert [each.fault for each in verify.verify(service)] == [None]


def test_job_cuts_everything_and_says_so(service: Service, image_id: ImageID) -> None:
    Maintainer(service, plan_cut(1 << 40, lambda _seconds: None), may_go_on=lambda: True).run_if_due()
    state = next(each for each in maintenance.list_states(service) if each.job is MaintenanceJob.CUT)
    assert state.report == {"contents": 1, "failed": 0}
    assert services.download(service, image_id) == DATA


def test_only_unneeded_originals_are_removed(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    assert unneeded_originals.list_unneeded(service) == []
    cutting.cut(service, content_of(service), lambda _size: None)
    other = ImageID(glance.add_image(DATA))
    take(service, glance)
    found = unneeded_originals.list_unneeded(service)
    assert [each.url for each in found] == [f"file://{glance.file_of(image_id)}"]
    assert [unneeded_originals.remove(service, each) for each in found] == [""]
    assert not glance.file_of(image_id).exists()
    assert unneeded_originals.list_unneeded(service) == []
    assert services.download(service, image_id) == services.download(service, other) == DATA


def add_store(service: Service, folder: Path, name: str, **originals: OriginalFiles) -> Service:
    (folder / name).mkdir()
    added = services.builder.name_stores({StoreID(name): PosixStore(folder / name)})
    readers = {**service.stores.originals, **originals}
    return services.builder.change_service(service, stores={**service.stores.by_id, **added}, originals=readers)


def test_copy_to_another_store_cuts_the_content(service: Service, glance: GlanceWorld, image_id: ImageID, tmp_path: Path) -> None:
    service = add_store(service, tmp_path, "second")
    asked = ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(StoreID("second"),))
    start_import.request_import(service, ADMIN, image_id, asked, request_id="req-1")
    claimed = imports.claim(service)
    assert claimed is not None
    imports.run(service, claimed)
    assert set(images.show_image(service, OWNER, image_id).stores) == {"local", "second"}
    glance.file_of(image_id).unlink()
    opened = downloads.open_image_data(service, OWNER, image_id, preferred=[StoreID("second")])
    assert b"".join(opened.read(0, len(DATA))) == DATA
    assert services.download(service, image_id) == DATA


def test_image_in_two_stores_is_cut_into_both(service: Service, glance: GlanceWorld, tmp_path: Path) -> None:
    (glance.folder / "slow").mkdir()
    service = add_store(service, tmp_path, "slow", slow=OriginalFiles([glance.folder / "slow"]))
    places = replace(PLACES, types={"fast": "file", "slow": "file"}, stores={"fast": StoreID("local"), "slow": StoreID("slow")})
    made = ImageID(glance.add_image(DATA))
    second = glance.folder / "slow" / made
    second.write_bytes(DATA)
    location = {"value": f"file://{second}", "meta_data": '{"store": "slow"}', "status": "active"}
    glance.insert("image_locations", image_id=made, deleted=False, **location)
    take(service, glance, places=places)
    assert images.show_image(service, OWNER, made).stores == ("local", "slow")
    glance.file_of(made).write_bytes(b"damaged")
    cut_all(service)
    second.unlink()
    for store in ("local", "slow"):
        opened = downloads.open_image_data(service, OWNER, made, preferred=[StoreID(store)])
        assert b"".join(opened.read(0, len(DATA))) == DATA
    assert [each.fault for each in verify.verify(service)] == [None]


def test_data_of_deleted_image_is_not_cut(service: Service, image_id: ImageID) -> None:
    images.delete_image(service, OWNER, image_id)
    assert list(cutting.list_uncut(service)) == []
    assert cutting.measure_progress(service).contents == 0


def test_second_run_keeps_the_chunks(service: Service, glance: GlanceWorld, image_id: ImageID) -> None:
    cut_all(service)
    glance.change_image(image_id, name="new name")
    take(service, glance)
    with service.database.read() as tx:
        assert originals.list_uncut(tx, after=None, limit_rows=10) == []
    assert services.download(service, image_id) == DATA


def test_original_of_unknown_place_is_named(service: Service, image_id: ImageID) -> None:
    elsewhere = services.builder.change_service(service, originals={"other": OriginalFiles([])})
    with pytest.raises(problems.StoreUnavailable, match="Glance's store fast"):
        services.download(elsewhere, image_id)
    assert StoreID("local") in elsewhere.stores.by_id
