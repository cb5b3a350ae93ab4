"""What a project has already is not written again when the project uploads it; what others have is, as if it were new."""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from partage.model.caller import Caller
from partage.model.ids import ProjectID, StoreID
from partage.model.image import Image
from partage.operations import images, members, own_chunks
from partage.operations.service import Service
from partage.policies.authority import Authority
from partage.records import tables
from tests import resuming, uploading
from tests.memory_store import MemoryStore
from tests.operations.services import OWNER, download, image_with, make, queued_image, upload
from tests.services import LOCAL, change_service, name_stores
from tests.unit.stores import doubles

MIB = 1 << 20
OTHER = replace(OWNER, project_id=ProjectID("B"))
ADMIN = replace(OWNER, project_id=ProjectID("Z"), is_admin=True, roles=frozenset({"admin", "member", "reader"}))


def noise(seed: int, size: int = 4 * MIB) -> bytes:
    return random.Random(seed).randbytes(size)


DATA = noise(1)


@pytest.fixture
def store() -> doubles.WatchedStore:
    return doubles.WatchedStore(MemoryStore())


@pytest.fixture
def service(tmp_path: Path, store: doubles.WatchedStore) -> Service:
    return make(tmp_path, store)


def measure(store: doubles.WatchedStore, act: Callable[[], Any]) -> tuple[int, int]:
    """Return how many bytes are put, and how many objects are removed, while `act` runs."""
    store.done.clear()
    act()
    return sum(size for _verb, _key, size in store.done), sum(verb == "remove" for verb, _key, _size in store.done)


def test_own_data_is_neither_written_nor_removed_again(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA)
    assert measure(store, lambda: image_with(service, DATA)) == (0, 0)


def test_staged_data_is_not_written_again_either(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA)
    image = queued_image(service)
    stage = lambda: uploading.stage(service, OWNER, image.id, iter([DATA]), announced_bytes=len(DATA))  # noqa: E731
    assert measure(store, stage) == (0, 0)


def test_backup_of_next_day_writes_what_changed(service: Service, store: doubles.WatchedStore) -> None:
    disk = bytearray(noise(2, 48 * MIB))
    image_with(service, bytes(disk))
    for number in range(12):
        at = random.Random(number).randrange(48 * 256) * 4096
        disk[at : at + 4096] = noise(100 + number, 4096)
    written, removed = measure(store, lambda: image_with(service, bytes(disk)))
    assert 0 < written < 5 * MIB
    assert removed == 0
    newest = images.show_image(service, OWNER, image_with(service, bytes(disk)).id)
    assert download(service, newest.id) == disk


def test_data_that_moved_is_found(service: Service, store: doubles.WatchedStore) -> None:
    """It moves further from part to part, in the end by more than a look reaches, as in a disk image of another format."""
    parts = [noise(10 + number, 8 * MIB) for number in range(10)]
    image_with(service, b"".join(parts))
    moved = b"".join(noise(50 + number, 3 * MIB) + part for number, part in enumerate(parts))
    written, removed = measure(store, lambda: image_with(service, moved))
    assert 30 * MIB < written < 36 * MIB
    assert removed == 0


@pytest.mark.parametrize("road", ["deactivate", "delete"])
def test_image_that_can_no_longer_be_read_does_not_count(service: Service, store: doubles.WatchedStore, road: str) -> None:
    image = image_with(service, DATA)
    if road == "deactivate":
        images.deactivate_image(service, ADMIN, image.id)
    else:
        images.delete_image(service, OWNER, image.id)
    written, removed = measure(store, lambda: image_with(service, DATA))
    assert written > len(DATA)
    assert removed == 1


@pytest.mark.parametrize("is_shared", [False, True])
def test_data_of_another_project_is_written_and_removed(service: Service, store: doubles.WatchedStore, is_shared: bool) -> None:
    image = image_with(service, DATA, OTHER)
    if is_shared:
        members.add_member(service, OTHER, image.id, ProjectID("A"))
        members.update_member(service, OWNER, image.id, ProjectID("A"), "accepted")
        assert download(service, image.id) == DATA
    written, removed = measure(store, lambda: image_with(service, DATA))
    assert written > len(DATA)
    assert removed == 1


def test_caller_who_may_not_download_learns_nothing(service: Service, store: doubles.WatchedStore, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"download_image": "role:downloader"\n')
    limited = change_service(service, authority=Authority(file))
    image_with(limited, DATA)
    downloader = replace(OWNER, roles=OWNER.roles | {"downloader"})
    for caller, expected in ((OWNER, 1), (downloader, 0)):
        image = queued_image(limited)
        written, removed = measure(store, lambda image=image, caller=caller: upload(limited, image.id, DATA, caller=caller))
        assert (written > 0, removed) == (expected > 0, expected)


def test_administrator_who_uploads_for_a_project_learns_nothing(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA)
    image = queued_image(service)
    written, removed = measure(store, lambda: upload(service, image.id, DATA, caller=ADMIN))
    assert written > len(DATA)
    assert removed == 1


def test_own_image_in_another_store_does_not_count(service: Service, store: doubles.WatchedStore) -> None:
    """Else the time would show whether others have its data in this store."""
    image_with(service, DATA, OTHER)
    far = StoreID("far")
    both = change_service(service, stores={**service.stores.by_id, **name_stores({far: MemoryStore()})}, default_store=far)
    image_with(both, DATA)
    both = change_service(both, default_store=LOCAL)
    written, removed = measure(store, lambda: image_with(both, DATA))
    assert written > len(DATA)
    assert removed == 1


def test_only_some_recent_images_are_looked_at(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA)
    for number in range(own_chunks.MOST_IMAGES):
        image_with(service, noise(200 + number, 8192))
    written, removed = measure(store, lambda: image_with(service, DATA))
    assert written > len(DATA)
    assert removed == 1


def test_image_with_most_chunks_in_common_is_followed(service: Service, store: doubles.WatchedStore) -> None:
    """Backups of other servers are newer. What is followed costs a bounded number of reads."""
    disk = noise(3, 160 * MIB)
    image_with(service, disk)
    for number in range(own_chunks.MOST_FOLLOWED + 2):
        image_with(service, noise(300 + number, MIB) + disk[: 3 * MIB])
    assert measure(store, lambda: image_with(service, disk)) == (0, 0)


def test_damaged_manifest_does_not_fail_an_upload(service: Service) -> None:
    image = image_with(service, DATA)
    with service.database.write() as tx:
        tx.execute(update(tables.manifests).where(tables.manifests.c.content_id == image.content_id).values(encoded=b"damaged"))
    assert download(service, image_with(service, DATA).id) == DATA


def test_nothing_is_looked_for_when_timing_is_not_hidden(tmp_path: Path, store: doubles.WatchedStore) -> None:
    service = make(tmp_path, store, hide_deduplication_timing=False)
    image_with(service, DATA, OTHER)
    assert own_chunks.open_own_chunks(service, OWNER, queued_image(service), service.stores.find(LOCAL)) is None
    assert measure(store, lambda: image_with(service, DATA)) == (0, 0)


def test_work_does_not_depend_on_what_others_have(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chunks are looked for, whether the store knows them or not."""
    image_with(service, noise(4))
    asked: list[dict[bytes, int]] = []
    original = own_chunks.FollowedImages.find

    def find(self: own_chunks.FollowedImages, offsets: Any) -> Any:
        asked.append(dict(offsets))
        return original(self, offsets)

    monkeypatch.setattr(own_chunks.FollowedImages, "find", find)
    image = image_with(service, DATA)
    images.delete_image(service, OWNER, image.id)
    first = list(asked)
    asked.clear()
    image_with(service, DATA, OTHER)
    asked.clear()
    image_with(service, DATA)
    assert first
    assert asked == first


BORDER_BYTES = 2 * MIB + 700_001
"""Where the first request of a resumable upload ends."""

FEW_BYTES = 3 * 384 * 1024
"""Chunks at a border are not cut as in one stream; a chunk has 384 KiB at most."""


def send_in_two(service: Service, data: bytes) -> Image:
    image = queued_image(service)
    resuming.begin(service, OWNER, image.id, [data[:BORDER_BYTES]])
    resuming.add(service, OWNER, image.id, BORDER_BYTES, [data[BORDER_BYTES:]])
    return image


def test_parts_of_own_data_are_not_written_again(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA)
    written, removed = measure(store, lambda: send_in_two(service, DATA))
    assert 0 < written < FEW_BYTES
    assert removed == 0


def test_completion_writes_only_what_was_cut_at_a_border(service: Service, store: doubles.WatchedStore) -> None:
    image = send_in_two(service, DATA)
    written, removed = measure(store, lambda: resuming.complete(service, OWNER, image.id, len(DATA)))
    assert 0 < written < FEW_BYTES
    assert removed == 0
    assert download(service, image.id) == DATA


def test_chunk_at_a_border_that_others_have_is_written_again(service: Service, store: doubles.WatchedStore) -> None:
    image_with(service, DATA, OTHER)
    image = send_in_two(service, DATA)
    written, removed = measure(store, lambda: resuming.complete(service, OWNER, image.id, len(DATA)))
    assert 0 < written < FEW_BYTES
    assert removed == 1


def test_no_digest_of_a_part_is_computed(service: Service) -> None:
    send_in_two(service, DATA)
    with service.database.read() as tx:
        found = tx.execute(select(tables.contents.c.md5, tables.contents.c.sha512)).all()
    assert found == [("", ""), ("", "")]


def caller_of(project: str) -> Caller:
    return replace(OWNER, project_id=ProjectID(project))


def test_many_projects_do_not_find_each_other(service: Service, store: doubles.WatchedStore) -> None:
    made: list[Image] = [image_with(service, DATA, caller_of(project)) for project in ("C", "D")]
    assert len({image.content_id for image in made}) == 2
    for project in ("C", "D"):
        assert measure(store, lambda project=project: image_with(service, DATA, caller_of(project))) == (0, 0)
    assert measure(store, lambda: image_with(service, DATA, caller_of("E")))[1] == 1


def test_client_estimates_a_transfer_with_as_many_images() -> None:
    """The client has no module of the service, so it has the number too."""
    source = Path(__file__).parents[2] / "client" / "src" / "partageclient" / "missing_chunks.py"
    assert re.findall(r"^MOST_IMAGES = (\d+)$", source.read_text(), re.MULTILINE) == [str(own_chunks.MOST_IMAGES)]
