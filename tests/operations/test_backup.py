"""A backup that is made beside a running service has every image that was there, and a damaged one is never restored."""

import contextlib
import itertools
import random
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import StoreID
from partage.operations import backup, images, rebuild_index, store_identities, sweep, verify
from partage.operations.service import NamedStore, Service
from partage.records import backups, holds
from partage.stores import archive
from tests.memory_store import MemoryStore
from tests.operations.services import LOCAL, OWNER, Clock, download, image_with, make
from tests.services import change_service

NOW = timedelta(0)


def noise(seed: int, megabytes: float = 1) -> bytes:
    return random.Random(seed).randbytes(int(megabytes * 1024 * 1024))


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = make(tmp_path / "live")
    store_identities.check_stores(made)
    return made


def restore(folder: Path, to: Path) -> Service:
    backup.restore(folder, database=to / "partage.db", stores={LOCAL: to / "store"})
    restored = make(to)
    store_identities.check_stores(restored)
    return restored


def prepare(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_restored_backup_has_every_image(service: Service, tmp_path: Path) -> None:
    made = {seed: image_with(service, noise(seed)) for seed in range(3)}
    backed_up = backup.back_up(service, tmp_path / "backup")
    assert (backed_up.packs, backed_up.linked, backed_up.missing) == (3, 3, ())
    image_with(service, noise(4))
    restored = restore(tmp_path / "backup", prepare(tmp_path / "restored"))
    assert [download(restored, image.id) for image in made.values()] == [noise(seed) for seed in made]
    assert all(verdict.fault is None for verdict in verify.verify(restored))
    image_with(restored, noise(5))
    for _ in range(3):
        sweep.sweep(restored, grace=NOW)
    assert [download(restored, image.id) for image in made.values()] == [noise(seed) for seed in made]
    assert rebuild_index.rebuild_index(restored) == rebuild_index.Rebuilt()


def test_checksums_are_readable_by_coreutils(service: Service, tmp_path: Path) -> None:
    image_with(service, noise(1))
    backup.back_up(service, tmp_path / "backup")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / "backup", check=True)


def test_packs_are_copied_where_they_cannot_be_linked(service: Service, tmp_path: Path) -> None:
    store = MemoryStore()
    other = change_service(service, stores={LOCAL: NamedStore(id=LOCAL, store=store, type="memory", properties={})})
    with service.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM store_identities")
    store_identities.check_stores(other)
    image = image_with(other, noise(1, 3))
    backed_up = backup.back_up(other, tmp_path / "backup")
    assert (backed_up.packs, backed_up.linked) == (1, 0)
    restored = restore(tmp_path / "backup", prepare(tmp_path / "restored"))
    assert download(restored, image.id) == noise(1, 3)


def test_links_outlive_the_sweep_of_the_store(service: Service, tmp_path: Path) -> None:
    image = image_with(service, noise(1))
    backup.back_up(service, tmp_path / "backup")
    images.delete_image(service, OWNER, image.id)
    for _ in range(3):
        sweep.sweep(service, grace=NOW)
    assert not list((tmp_path / "live" / "store" / "packs").rglob("?" * 32))
    assert download(restore(tmp_path / "backup", prepare(tmp_path / "restored")), image.id) == noise(1)


@contextlib.contextmanager
def repeating(*acts: Callable[[int], object]) -> Iterator[None]:
    """Do each act again and again on a thread of its own, with a number that grows, until the block ends."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def repeat(act: Callable[[int], object]) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            try:
                act(number)
            except problems.StoreUnavailable:
                continue  # an upload whose chunk a sweep without grace has taken
            except BaseException as error:  # noqa: BLE001 - carried out of the thread
                failures.append(error)

    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_backup_beside_uploads_deletes_and_sweeps_is_consistent(service: Service, tmp_path: Path) -> None:
    """Sweeps without grace remove whatever they may, while backups are made: every image of each backup is whole."""
    common = noise(1, 0.5)

    def come_and_go(number: int) -> None:
        image = image_with(service, common + noise(10 + number, 0.5))
        if number % 2:
            images.delete_image(service, OWNER, image.id)

    with repeating(come_and_go, lambda _number: sweep.sweep(service, grace=NOW)):
        made = [backup.back_up(service, tmp_path / f"backup-{number}") for number in range(4)]
    assert [each.missing for each in made] == [()] * 4
    for number in range(4):
        restored = restore(tmp_path / f"backup-{number}", prepare(tmp_path / f"restored-{number}"))
        assert [verdict.fault for verdict in verify.verify(restored) if verdict.fault] == []


def test_sweep_waits_for_a_backup_until_its_time_limit(service: Service, tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC))
    ticking = replace(service, clock=clock)
    for seed in range(3):
        image_with(service, noise(seed))

    class Slow(MemoryStore):
        """Takes eleven minutes for a pack."""

        def get(self, key: str, start: int, length: int) -> bytes:
            clock.passes(minutes=11)
            return super().get(key, start, length)

    slow = Slow()
    for key in service.stores.by_id[LOCAL].store.enumerate("packs/"):
        size = service.stores.by_id[LOCAL].store.stat(key)
        assert size is not None
        slow.put(key, [service.stores.by_id[LOCAL].store.get(key, 0, size.size_bytes)])
    ticking = change_service(ticking, stores={LOCAL: NamedStore(id=LOCAL, store=slow, type="memory", properties={})})
    with pytest.raises(problems.StoreUnavailable, match="start again"):
        backup.back_up(ticking, tmp_path / "backup")
    with service.database.read() as tx:
        assert holds.find_reason(tx, now=service.clock()) is None
    with pytest.raises(problems.Invalid, match="was not finished"):
        restore(tmp_path / "backup", prepare(tmp_path / "restored"))


def test_missing_pack_is_named_and_the_rest_is_backed_up(service: Service, tmp_path: Path) -> None:
    lost, kept = image_with(service, noise(1)), image_with(service, noise(2))
    packs = sorted((tmp_path / "live" / "store" / "packs").rglob("?" * 32), key=lambda path: path.stat().st_mtime)
    packs[0].unlink()
    backed_up = backup.back_up(service, tmp_path / "backup")
    assert backed_up.missing == (f"local: packs/{packs[0].name[:2]}/{packs[0].name}",)
    restored = restore(tmp_path / "backup", prepare(tmp_path / "restored"))
    assert download(restored, kept.id) == noise(2)
    with pytest.raises(problems.ContentCorrupt):
        download(restored, lost.id)


def test_folder_that_is_not_empty_is_refused(service: Service, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "mine").write_text("mine")
    with pytest.raises(problems.Invalid, match="is not empty"):
        backup.back_up(service, tmp_path / "backup")
    assert [path.name for path in (tmp_path / "backup").iterdir()] == ["mine"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # it may be a link to the store's own file
    path.write_bytes(data)


def a_pack(folder: Path) -> Path:
    return next(iter((folder / "stores").rglob("?" * 32 + "/packs/*/*")))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "pack changed": lambda folder: flip(a_pack(folder)),
    "pack gone": lambda folder: a_pack(folder).unlink(),
    "database changed": lambda folder: flip(folder / "partage.db"),
    "identity changed": lambda folder: flip(next((folder / "stores").glob("*/identity"))),
    "sums changed": lambda folder: flip(folder / "SHA256SUMS"),
    "line taken out": lambda folder: (folder / "SHA256SUMS").write_text(
        "".join(line for line in (folder / "SHA256SUMS").read_text().splitlines(keepends=True) if a_pack(folder).name not in line)
    ),
    "not finished": lambda folder: (folder / "backup.json").unlink(),
    "no manifest": lambda folder: (folder / "backup.json").write_text("{}"),
    "another kind of file": lambda folder: (folder / "backup.json").write_text("[1]"),
    "newer": lambda folder: (folder / "backup.json").write_text('{"partage_backup": 2}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_backup_is_refused_and_nothing_is_written(service: Service, tmp_path: Path, damage: str) -> None:
    image_with(service, noise(1))
    backup.back_up(service, tmp_path / "backup")
    DAMAGES[damage](tmp_path / "backup")
    target = prepare(tmp_path / "restored")
    with pytest.raises(problems.Invalid):
        restore(tmp_path / "backup", target)
    assert list(target.iterdir()) == []


@contextlib.contextmanager
def refused_in(target: Path, words: str) -> Iterator[None]:
    before = sorted(target.rglob("*"))
    with pytest.raises(problems.Invalid, match=words):
        yield
    assert sorted(target.rglob("*")) == before


def test_place_that_is_taken_is_refused(service: Service, tmp_path: Path) -> None:
    image_with(service, noise(1))
    backup.back_up(service, tmp_path / "backup")
    target = prepare(tmp_path / "restored")
    (target / "partage.db").write_bytes(b"")
    with refused_in(target, "is there already"):
        restore(tmp_path / "backup", target)
    (target / "partage.db").unlink()
    (target / "store").mkdir()
    (target / "store" / "identity").write_bytes(b"")
    with refused_in(target, "is not empty"):
        restore(tmp_path / "backup", target)
    shutil.rmtree(target / "store")
    with refused_in(target, "are not configured"):
        backup.restore(tmp_path / "backup", database=target / "partage.db", stores={StoreID("other"): target / "store"})


def test_copy_of_the_database_is_whole_and_alone(service: Service, tmp_path: Path) -> None:
    image_with(service, noise(1))
    backup.back_up(service, tmp_path / "backup")
    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == ["SHA256SUMS", "backup.json", "partage.db", "stores"]
    assert backups.find_fault(tmp_path / "backup" / "partage.db") is None
    assert archive.find_fault(tmp_path / "backup", archive.read(tmp_path / "backup")) is None
