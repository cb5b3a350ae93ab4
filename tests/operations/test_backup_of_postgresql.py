"""docs/backup.md on a real PostgreSQL: what it says is done here, command by command."""

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.operations import backup, images, rebuild_index, store_identities, sweep, verify
from partage.operations.service import Service
from partage.records import schema
from partage.records.database import Database
from tests import postgresql
from tests.operations.services import OWNER, Clock, download, image_with, make

DAY = timedelta(days=1)


def noise(seed: int, megabytes: float = 1) -> bytes:
    return random.Random(seed).randbytes(int(megabytes * 1024 * 1024))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgresql.server() as found:
        yield found


def client(program: str, url: str, *arguments: object) -> None:
    """Run a program of PostgreSQL's as the operator does."""
    folder = postgresql.programs()
    assert folder is not None
    host = url.partition("?host=")[2]
    subprocess.run([folder / program, "-h", host, "-U", "partage", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def named(url: str, database: str) -> str:
    return url.replace("/postgres?", f"/{database}?")


def service_at(url: str, folder: Path, clock: Clock) -> Service:
    made = make(folder, clock=clock)
    made.database.close()
    database = Database(url)
    schema.upgrade(database)
    return replace(made, database=database)


def copy_store(store: Path, to: Path) -> None:
    subprocess.run(["cp", "--archive", "--link", store, to], check=True)


def test_database_and_store_are_restored_from_a_dump_and_a_later_copy(url: str, tmp_path: Path) -> None:
    """The dump comes first, then the copy of the store. Between them images are uploaded and deleted, and a sweep runs."""
    clock = Clock(datetime.now(UTC))
    client("createdb", url, "first")
    service = service_at(named(url, "first"), tmp_path / "live", clock)
    store_identities.check_stores(service)
    kept = {seed: image_with(service, noise(seed)) for seed in range(3)}
    doomed = image_with(service, noise(10) + noise(0))
    client("pg_dump", url, "--format=custom", f"--file={tmp_path}/partage.dump", "first")
    images.delete_image(service, OWNER, doomed.id)
    image_with(service, noise(11))
    sweep.sweep(service, grace=DAY)
    clock.passes(hours=20)
    sweep.sweep(service, grace=DAY)
    copy_store(tmp_path / "live" / "store", tmp_path / "copy")
    service.database.close()

    client("createdb", url, "second")
    client("pg_restore", url, "--dbname=second", f"{tmp_path}/partage.dump")
    (tmp_path / "new").mkdir()
    copy_store(tmp_path / "copy", tmp_path / "new" / "store")
    restored = service_at(named(url, "second"), tmp_path / "new", clock)
    store_identities.check_stores(restored, after_restore=True)
    rebuilt = rebuild_index.rebuild_index(restored)
    assert rebuilt.packs == 1, "that of the image that was uploaded after the dump"
    assert rebuilt.lost == 0
    store_identities.check_stores(restored)
    for _ in range(5):
        sweep.sweep(restored, grace=DAY)
        clock.passes(days=2)
    assert [download(restored, image.id) for image in kept.values()] == [noise(seed) for seed in kept]
    assert download(restored, doomed.id) == noise(10) + noise(0)
    assert all(verdict.fault is None for verdict in verify.verify(restored))
    restored.database.close()


def test_database_is_restored_beside_a_store_that_went_on(url: str, tmp_path: Path) -> None:
    """Only the database was lost. Sweeps have rewritten and removed packs that its dump names."""
    clock = Clock(datetime.now(UTC))
    client("createdb", url, "third")
    service = service_at(named(url, "third"), tmp_path, clock)
    store_identities.check_stores(service)
    part = noise(1, 0.5)
    old, kept = image_with(service, part + noise(2)), image_with(service, part + noise(3))
    images.delete_image(service, OWNER, old.id)
    client("pg_dump", url, "--format=custom", f"--file={tmp_path}/partage.dump", "third")
    before = sorted(path.name for path in (tmp_path / "store" / "packs").rglob("?" * 32))
    for _ in range(5):
        sweep.sweep(service, grace=DAY)
        clock.passes(days=2)
    assert sorted(path.name for path in (tmp_path / "store" / "packs").rglob("?" * 32)) != before
    service.database.close()

    client("dropdb", url, "third")
    client("createdb", url, "third")
    client("pg_restore", url, "--dbname=third", f"{tmp_path}/partage.dump")
    restored = service_at(named(url, "third"), tmp_path, clock)
    with pytest.raises(problems.StoreUnavailable, match="rebuild-index"):
        store_identities.check_stores(restored)
    store_identities.check_stores(restored, after_restore=True)
    assert rebuild_index.rebuild_index(restored).lost == 0
    store_identities.check_stores(restored)
    for _ in range(5):
        sweep.sweep(restored, grace=DAY)
        clock.passes(days=2)
    assert download(restored, kept.id) == part + noise(3)
    restored.database.close()


def test_backup_command_refuses_postgresql_and_says_where_to_read(url: str, tmp_path: Path) -> None:
    client("createdb", url, "fourth")
    service = service_at(named(url, "fourth"), tmp_path, Clock(datetime.now(UTC)))
    with pytest.raises(problems.Invalid, match=r"docs/backup\.md"):
        backup.back_up(service, tmp_path / "backup")
    assert not os.path.lexists(tmp_path / "backup")
    service.database.close()
