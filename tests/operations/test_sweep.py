"""The sweep takes what nothing names and nothing else."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import ProjectID
from partage.model.image import NewImage
from partage.operations import images, sweep, verify
from partage.operations.service import Service
from tests import uploading
from tests.operations.services import OWNER, Clock, download, image_with, make, queued_image, upload

NOW = timedelta(0)
DAY = timedelta(days=1)


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return make(tmp_path, clock=clock)


def noise(seed: int, megabytes: float = 1) -> bytes:
    return random.Random(seed).randbytes(int(megabytes * 1024 * 1024))


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())


def sound(service: Service) -> bool:
    return all(verdict.fault is None for verdict in verify.verify(service))


def test_a_deleted_images_bytes_go_after_the_grace_period_and_not_before(service: Service, clock: Clock, tmp_path: Path) -> None:
    image = image_with(service, noise(1))
    images.delete_image(service, OWNER, image.id)
    sweep.sweep(service, grace=DAY)
    clock.passes(hours=23)
    sweep.sweep(service, grace=DAY)
    assert stored_bytes(tmp_path) > 1_000_000
    clock.passes(hours=2)
    sweep.sweep(service, grace=DAY)
    clock.passes(days=2)
    sweep.sweep(service, grace=DAY)
    assert stored_bytes(tmp_path) == 0


def test_without_grace_one_sweep_frees_everything(service: Service, tmp_path: Path) -> None:
    image = image_with(service, noise(1))
    images.delete_image(service, OWNER, image.id)
    swept = sweep.sweep(service, grace=NOW)
    assert (swept.contents, swept.packs) == (1, 1)
    assert swept.chunks > 1
    assert swept.bytes > 1_000_000
    assert stored_bytes(tmp_path) == 0


def test_without_grace_one_sweep_is_enough_while_time_passes(tmp_path: Path) -> None:
    service = make(tmp_path)
    images.delete_image(service, OWNER, image_with(service, noise(1)).id)
    assert sweep.sweep(service, grace=NOW).packs == 1
    assert stored_bytes(tmp_path) == 0


def test_bytes_that_another_image_shares_stay(service: Service, tmp_path: Path) -> None:
    common, first, second = noise(1), noise(2), noise(3)
    one, two = image_with(service, common + first), image_with(service, common + second)
    images.delete_image(service, OWNER, one.id)
    sweep.sweep(service, grace=NOW)
    assert download(service, two.id) == common + second
    assert sound(service)
    assert stored_bytes(tmp_path) < len(common + second) * 1.1


def test_image_uploaded_again_after_its_chunks_were_marked_is_whole(service: Service) -> None:
    data = noise(1)
    images.delete_image(service, OWNER, image_with(service, data).id)
    sweep.sweep(service, grace=DAY)
    again = image_with(service, data)
    for _ in range(3):
        sweep.sweep(service, grace=NOW)
    assert download(service, again.id) == data


def test_sweep_during_an_upload_removes_none_of_its_chunks(service: Service) -> None:
    """The upload finds its chunks present; the image that had them is deleted and swept before the upload ends."""
    data = noise(1)
    old = image_with(service, data)
    new = queued_image(service)

    def blocks() -> object:
        yield data + noise(2, 6)  # enough for the writer to look its first chunks up
        yield noise(3, 6)
        images.delete_image(service, OWNER, old.id)
        sweep.sweep(service, grace=NOW)
        yield noise(4)

    try:
        uploading.upload(service, OWNER, new.id, blocks(), announced_bytes=None, store_id=None)  # type: ignore[arg-type]
    except problems.StoreUnavailable:
        upload(service, new.id, data)  # the retry works
    assert images.show_image(service, OWNER, new.id).status == "active"
    assert sound(service)


def test_packs_that_no_row_knows_are_left_and_named(service: Service, clock: Clock, tmp_path: Path) -> None:
    """What a crash of this database's own left is removed: tests/operations/test_store_histories.py."""
    store = service.stores.by_id[service.stores.default].store
    key = "packs/aa/" + "a" * 32
    store.put(key, [b"another database's"])
    clock.passes(days=1000)
    swept = sweep.sweep(service, grace=NOW)
    assert (swept.leftovers, swept.unknown) == (0, (f"local: {key}",))
    assert stored_bytes(tmp_path) == len(b"another database's")


def test_sweeping_a_healthy_store_changes_nothing(service: Service, tmp_path: Path) -> None:
    made = [image_with(service, noise(seed)) for seed in range(3)]
    before = stored_bytes(tmp_path)
    swept = sweep.sweep(service, grace=NOW)
    assert (swept.chunks, swept.packs, stored_bytes(tmp_path)) == (0, 0, before)
    assert [download(service, image.id) for image in made] == [noise(seed) for seed in range(3)]


def test_an_id_is_remembered_whatever_is_swept(service: Service, clock: Clock, tmp_path: Path) -> None:
    """T-12: members who trusted an id never meet another image under it, however long ago it was deleted."""
    image = image_with(service, noise(1))
    images.delete_image(service, OWNER, image.id)
    for _ in range(3):
        clock.passes(days=1000)
        sweep.sweep(service, grace=NOW)
    assert stored_bytes(tmp_path) == 0
    service.database.close()
    again = make(tmp_path, clock=clock)
    for caller in (OWNER, replace(OWNER, project_id=ProjectID("B")), replace(OWNER, roles=OWNER.roles | {"admin"}, is_admin=True)):
        with pytest.raises(problems.ImageExists):
            images.create_image(again, caller, NewImage(id=image.id))
