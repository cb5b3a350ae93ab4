"""Stores and databases that do not belong together, or not any more: nothing that anybody needs is removed, whatever is run.

Time is simulated: the service's clock begins now and is moved on, so that files are as old as it says, or seem older.
"""

import random
import shutil
import sqlite3
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import blake3
import pytest

from partage import problems
from partage.model.ids import ChunkDigest, PackID, StoreID
from partage.operations import images, rebuild_index, store_identities, sweep, verify
from partage.operations.service import NamedStore, Service
from partage.records import contents, holds
from partage.stores import identity, layout
from partage.stores.drivers.posix import PosixStore
from partage.stores.engine import pack
from partage.stores.engine.pack import ChunkEntry, Encoding
from tests.operations.services import LOCAL, OWNER, Clock, download, image_with, make
from tests.services import change_service

NOW = timedelta(0)
DAY = timedelta(days=1)


def noise(seed: int, megabytes: float = 1) -> bytes:
    return random.Random(seed).randbytes(int(megabytes * 1024 * 1024))


def named(folder: Path, name: str = "local", **changes: bool) -> NamedStore:
    return NamedStore(id=StoreID(name), store=PosixStore(folder), type="posix", properties={"data_dir": str(folder)}, **changes)


def service_at(folder: Path, store: Path, clock: Clock) -> Service:
    """Compose a service whose database is in `folder`, and its one store in `store`."""
    store.mkdir(parents=True, exist_ok=True)
    return make(folder, store=PosixStore(store), clock=clock)


def sweep_for_days(service: Service, clock: Clock, grace: timedelta = DAY) -> list[sweep.Swept]:
    """Sweep as often as it takes until nothing is left to do: marked, removed, retired, removed again."""
    swept = []
    for _ in range(5):
        swept.append(sweep.sweep(service, grace=grace))
        clock.passes(days=2)
    return swept


def packs_in(store: Path) -> set[str]:
    return {path.name for path in (store / "packs").rglob("*") if path.is_file()}


def copy_database(folder: Path, to: Path) -> None:
    """Back a database up as an operator does."""
    to.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(folder / "partage.db") as source, sqlite3.connect(to / "partage.db") as target:
        source.backup(target)
    source.close()
    target.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC))


def test_store_of_another_database_survives_its_sweeps(tmp_path: Path, clock: Clock) -> None:
    """A second region, or a typo in the database's URL: the command refuses, and a sweep that came past it removes nothing."""
    store = tmp_path / "store"
    first, second = service_at(tmp_path / "one", store, clock), service_at(tmp_path / "two", store, clock)
    store_identities.check_stores(first)
    made = [image_with(first, noise(seed)) for seed in range(6)]
    clock.passes(days=30)
    before = packs_in(store)
    with pytest.raises(problems.StoreUnavailable, match="belongs to another database"):
        store_identities.check_stores(second)
    swept = sweep_for_days(second, clock, grace=NOW)
    assert packs_in(store) == before
    assert {each.leftovers for each in swept} == {0}
    assert len(swept[0].unknown) == len(before)
    assert [download(first, image.id) for image in made] == [noise(seed) for seed in range(6)]


class History:
    """A database was backed up; then images came and went, and sweeps rewrote and removed packs that the backup names."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.store, self.clock = folder / "store", clock
        service = service_at(folder / "one", self.store, clock)
        store_identities.check_stores(service)
        parts = [noise(seed, 0.5) for seed in range(6)]
        old = [image_with(service, part + noise(100 + number)) for number, part in enumerate(parts)]
        self.expected = {(data := part + noise(200 + number)): image_with(service, data) for number, part in enumerate(parts)}
        self.expected[noise(300)] = image_with(service, noise(300))
        self.deleted_later = image_with(service, noise(301))
        for image in old:  # their packs hold parts of images that stay
            images.delete_image(service, OWNER, image.id)
        copy_database(folder / "one", folder / "restored")
        before = packs_in(self.store)
        new = [image_with(service, noise(400 + number) + part) for number, part in enumerate(parts)]
        for image in (*new[:3], self.deleted_later):
            images.delete_image(service, OWNER, image.id)
        sweep_for_days(service, clock)
        assert packs_in(self.store) - before, "packs were rewritten"
        assert before - packs_in(self.store), "packs were removed"
        service.database.close()
        self.restored = service_at(folder / "restored", self.store, clock)

    def require_all(self) -> None:
        for data, image in self.expected.items():
            assert download(self.restored, image.id) == data


def test_restored_database_finds_every_image_that_the_store_has(tmp_path: Path, clock: Clock) -> None:
    history = History(tmp_path, clock)
    with pytest.raises(problems.StoreUnavailable, match="rebuild-index"):
        store_identities.check_stores(history.restored)
    assert store_identities.check_stores(history.restored, after_restore=True)
    rebuilt = rebuild_index.rebuild_index(history.restored)
    assert rebuilt.packs > 0
    assert rebuilt.chunks > 0
    assert rebuilt.unreadable == ()
    assert rebuilt.lost > 0, "those of the image that was deleted and swept since"
    history.require_all()
    store_identities.check_stores(history.restored)
    sweep_for_days(history.restored, clock)
    sweep_for_days(history.restored, clock, grace=NOW)
    history.require_all()
    faults = [verdict.images for verdict in verify.verify(history.restored) if verdict.fault]
    assert faults == [(history.deleted_later.id,)]


def test_sweep_of_restored_database_removes_nothing_that_it_needs(tmp_path: Path, clock: Clock) -> None:
    """The sweep is run first, past the check, and with all grace periods over: the index is rebuilt after it."""
    history = History(tmp_path, clock)
    swept = sweep_for_days(history.restored, clock, grace=NOW)
    assert swept[0].lost > 0
    assert swept[0].unknown
    rebuild_index.rebuild_index(history.restored)
    history.require_all()
    sweep_for_days(history.restored, clock, grace=NOW)
    history.require_all()


def test_upload_of_lost_bytes_mends_the_image_that_lacks_them(tmp_path: Path, clock: Clock) -> None:
    history = History(tmp_path, clock)
    rebuild_index.rebuild_index(history.restored)
    image_with(history.restored, noise(301))
    assert download(history.restored, history.deleted_later.id) == noise(301)


def test_rebuilding_the_index_of_a_healthy_store_changes_nothing(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    store_identities.check_stores(service)
    image = image_with(service, noise(1))
    before = packs_in(tmp_path / "store")
    assert rebuild_index.rebuild_index(service) == rebuild_index.Rebuilt()
    assert packs_in(tmp_path / "store") == before
    assert download(service, image.id) == noise(1)
    store_identities.check_stores(service)


def test_index_that_lost_every_row_is_rebuilt_from_the_packs(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    made = {seed: image_with(service, noise(seed)) for seed in range(3)}
    with service.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM chunks")
        tx.exec_driver_sql("DELETE FROM packs")
    with pytest.raises(problems.ContentCorrupt):
        download(service, made[0].id)
    assert rebuild_index.rebuild_index(service).packs == len(packs_in(tmp_path / "store"))
    assert [download(service, image.id) for image in made.values()] == [noise(seed) for seed in made]


def test_chunk_is_found_in_a_retired_pack(tmp_path: Path, clock: Clock) -> None:
    """A pack was rewritten and retired, and its copy is damaged or gone: the old one is still there and is used again."""
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    part = noise(1, 0.5)
    old, new = image_with(service, part + noise(2)), image_with(service, part + noise(3))
    images.delete_image(service, OWNER, old.id)
    before = packs_in(store)
    for _ in range(3):
        clock.passes(hours=25)
        swept = sweep.sweep(service, grace=DAY)
        if swept.chunks:
            break
    assert packs_in(store) > before, "rewritten, and not yet removed"
    for name in packs_in(store) - before:
        (store / "packs" / name[:2] / name).unlink()
    with pytest.raises(problems.ContentCorrupt):
        download(service, new.id)
    sweep_for_days(service, clock)
    assert rebuild_index.rebuild_index(service).lost == 0
    assert download(service, new.id) == part + noise(3)


def put_pack(service: Service, name: str, data: bytes = b"left over") -> str:
    key = layout.pack_key(contents.PackID(name * 32))
    service.stores.by_id[LOCAL].store.put(key, [data])
    return key


def test_sweep_removes_own_leftovers_and_lists_foreign_objects(tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    image = image_with(service, noise(1))
    with service.database.write() as tx:
        contents.note_intents(tx, LOCAL, [contents.PackID(name * 32) for name in "abc"], now=clock.now)
    own, foreign = put_pack(service, "a"), put_pack(service, "d")
    drafts = [f"incoming/{name * 32}.0badcafe" for name in "bd"] + ["incoming/what ever", "packs/notes.txt"]
    for draft in drafts:
        (store / draft).write_bytes(b"half")
    swept = sweep.sweep(service, grace=NOW)
    assert swept.leftovers == 0, "they may be on their way"
    clock.passes(hours=2)
    swept = sweep.sweep(service, grace=NOW)
    assert swept.leftovers == 2
    assert sorted(swept.unknown) == sorted(f"local: {key}" for key in (foreign, drafts[1], drafts[2], drafts[3]))
    assert not (store / own).exists()
    assert not (store / drafts[0]).exists()
    assert all((store / key).exists() for key in (foreign, *drafts[1:]))
    assert download(service, image.id) == noise(1)
    with service.database.read() as tx:
        assert set(contents.list_intents(tx, LOCAL)) == {"c" * 32}, "it may still be written"
    clock.passes(days=31)
    sweep.sweep(service, grace=NOW)
    with service.database.read() as tx:
        assert contents.list_intents(tx, LOCAL) == {}


def test_uploads_leave_no_note_of_packs_to_be_written(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    image_with(service, noise(1, 20))
    image_with(service, noise(1, 20))  # known by now: its packs are written and removed again
    images.delete_image(service, OWNER, image_with(service, noise(1, 3) + noise(2)).id)
    sweep_for_days(service, clock)
    with service.database.read() as tx:
        assert contents.list_intents(tx, LOCAL) == {}


def test_nothing_is_removed_while_packs_are_held(tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    images.delete_image(service, OWNER, image_with(service, noise(1)).id)
    before = packs_in(store)
    with service.database.write() as tx:
        holds.add(tx, "hold", "a backup is made", now=clock.now)
    swept = [sweep.sweep(service, grace=NOW) for _ in range(2)]
    assert [each.held_for for each in swept] == ["a backup is made"] * 2
    assert packs_in(store) == before
    clock.passes(minutes=11)  # whoever held them has died
    assert sweep.sweep(service, grace=NOW).held_for is None
    assert packs_in(store) == set()


# Which pairs of a store and a database are taken, and which are refused


def test_empty_store_is_claimed_and_known_afterwards(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    claimed = store_identities.check_stores(service)
    assert identity.read(service.stores.by_id[LOCAL].store) == claimed[LOCAL]
    assert store_identities.check_stores(service) == claimed


def test_one_of_two_databases_claims_an_empty_store(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second claims while the first has looked and not yet written."""
    first, second = service_at(tmp_path / "one", tmp_path / "store", clock), service_at(tmp_path / "two", tmp_path / "store", clock)
    claim = identity.claim

    def claim_late(store: Any, mine: identity.Identity) -> bool:
        monkeypatch.setattr(identity, "claim", claim)
        store_identities.check_stores(second)
        return claim(store, mine)

    monkeypatch.setattr(identity, "claim", claim_late)
    with pytest.raises(problems.StoreUnavailable, match="at the same moment"):
        store_identities.check_stores(first)
    assert store_identities.check_stores(second)
    with pytest.raises(problems.StoreUnavailable, match="belongs to another database"):
        store_identities.check_stores(first)


class RefusingStore(PosixStore):
    """A store in which one object can be neither read nor removed, as a disk with a bad block or a file of another user."""

    refused = ""

    def get(self, key: str, start: int, length: int) -> bytes:
        self._refuse(key)
        return super().get(key, start, length)

    def remove(self, key: str) -> None:
        self._refuse(key)
        super().remove(key)

    def _refuse(self, key: str) -> None:
        if key == self.refused:
            raise problems.StoreUnavailable(f"The store could not read {key} (Input/output error)")


def test_rebuild_names_a_pack_that_cannot_be_read_and_goes_on(tmp_path: Path, clock: Clock) -> None:
    history = History(tmp_path, clock)
    store = RefusingStore(history.store)
    with history.restored.database.read() as tx:
        known = {each.id for each in contents.list_packs(tx, LOCAL)}
    unknown = sorted(packs_in(history.store) - known)
    assert len(unknown) > 1
    store.refused = layout.pack_key(PackID(unknown[0]))
    restored = make(tmp_path / "restored", store=store, clock=clock)
    rebuilt = rebuild_index.rebuild_index(restored)
    assert rebuilt.unreadable == (f"local: {store.refused}",)
    assert rebuilt.packs == len(unknown) - 1


def test_sweep_names_packs_that_cannot_be_removed_and_goes_on(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "store").mkdir()
    store = RefusingStore(tmp_path / "store")
    service = make(tmp_path / "one", store=store, clock=clock)
    store_identities.check_stores(service)
    doomed = [image_with(service, noise(seed)) for seed in (1, 2)]
    for image in doomed:
        images.delete_image(service, OWNER, image.id)
    store.refused = layout.pack_key(PackID(min(packs_in(tmp_path / "store"))))
    swept = sweep_for_days(service, clock)
    assert packs_in(tmp_path / "store") == {store.refused.rpartition("/")[2]}
    assert any(store.refused in reason and "Input/output error" in reason for each in swept for reason in each.postponed)
    store.refused = ""
    sweep_for_days(service, clock)
    assert packs_in(tmp_path / "store") == set()


def test_sweep_names_leftovers_that_cannot_be_removed_and_goes_on(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").mkdir()
    store = RefusingStore(tmp_path / "store")
    service = make(tmp_path / "one", store=store, clock=clock)
    store_identities.check_stores(service)
    with service.database.write() as tx:
        contents.note_intents(tx, LOCAL, [contents.PackID(name * 32) for name in "ab"], now=clock.now)
    store.refused, other = put_pack(service, "a"), put_pack(service, "b")
    swept = sweep_for_days(service, clock)
    assert list(store.enumerate(layout.PACKS)) == [store.refused]
    assert all(other not in reason for each in swept for reason in each.postponed)
    kept = [reason for each in swept for reason in each.postponed]
    assert kept
    assert all(reason.startswith(f"local: {store.refused}: ") and "Input/output error" in reason for reason in kept)
    assert f"sweep of local, {store.refused}: StoreUnavailable" in caplog.text
    store.refused = ""
    assert sum(each.leftovers for each in sweep_for_days(service, clock)) == 1


def test_sweep_of_a_store_that_does_not_answer_ends_with_its_reason(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    checked = store_identities.check_stores(service)
    images.delete_image(service, OWNER, image_with(service, noise(1)).id)
    away = make(tmp_path / "one", store=PosixStore(tmp_path / "store", identity=checked[LOCAL]), clock=clock)
    sweep_for_days(away, clock, grace=NOW)
    images.delete_image(service, OWNER, image_with(service, noise(2)).id)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    (tmp_path / "store").mkdir()
    with pytest.raises(problems.StoreUnavailable):
        sweep_for_days(away, clock)


def test_store_that_is_not_mounted_is_refused(tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    store_identities.check_stores(service)
    store.rename(tmp_path / "elsewhere")
    store.mkdir()
    with pytest.raises(problems.StoreUnavailable, match=r"Is it mounted\?"):
        store_identities.check_stores(service)
    assert list(store.iterdir()) == []
    store.rmdir()
    with pytest.raises(problems.StoreUnavailable):
        store_identities.check_stores(service)
    (tmp_path / "elsewhere").rename(store)
    store_identities.check_stores(service)


def test_store_from_before_identities_is_adopted_when_its_packs_are_there(tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    image = image_with(service, noise(1))
    store.rename(tmp_path / "elsewhere")
    store.mkdir()
    with pytest.raises(problems.StoreUnavailable, match="has 0 of the 1 packs"):
        store_identities.check_stores(service)
    other = service_at(tmp_path / "two", tmp_path / "elsewhere", clock)
    with pytest.raises(problems.StoreUnavailable, match="the database knows nothing in it"):
        store_identities.check_stores(other)
    shutil.rmtree(store)
    (tmp_path / "elsewhere").rename(store)
    assert LOCAL in store_identities.check_stores(service)
    assert download(service, image.id) == noise(1)


def test_two_names_for_one_directory_are_refused(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    second = named(tmp_path / "link", "second")
    both = change_service(service, stores={**service.stores.by_id, second.id: second})
    with pytest.raises(problems.StoreUnavailable, match="two stores cannot be one directory"):
        store_identities.check_stores(both)
    with pytest.raises(problems.StoreUnavailable, match="call it local again"):
        store_identities.check_stores(change_service(service, stores={second.id: second}))


def test_another_store_under_a_known_name_is_refused(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    second = named(tmp_path / "other", "second")
    (tmp_path / "other").mkdir()
    store_identities.check_stores(change_service(service, stores={**service.stores.by_id, second.id: second}))
    exchanged = {LOCAL: named(tmp_path / "other"), second.id: named(tmp_path / "store", "second")}
    with pytest.raises(problems.StoreUnavailable):
        store_identities.check_stores(change_service(service, stores=exchanged))


def test_store_is_taken_over_only_from_the_database_that_is_named(tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    first, second = service_at(tmp_path / "one", store, clock), service_at(tmp_path / "two", store, clock)
    owner = store_identities.check_stores(first)[LOCAL].database
    image_with(first, noise(1))
    for wrong in (store_identities.NOBODY, "0" * 32):
        with pytest.raises(problems.StoreUnavailable, match=f"belongs to the database {owner}"):
            store_identities.take_over(second, second.stores.by_id[LOCAL], owner=wrong)
    store_identities.take_over(second, second.stores.by_id[LOCAL], owner=owner)
    store_identities.check_stores(second)
    with pytest.raises(problems.StoreUnavailable, match="belongs to another database"):
        store_identities.check_stores(first)


def test_lost_store_identity_is_written_again_by_the_named_command(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    store_identities.check_stores(service)
    (tmp_path / "store" / "identity").unlink()
    with pytest.raises(problems.StoreUnavailable, match="take-over-store local --from nobody"):
        store_identities.check_stores(service)
    store_identities.take_over(service, service.stores.by_id[LOCAL], owner=store_identities.NOBODY)
    store_identities.check_stores(service)


def test_claim_that_was_cut_short_is_completed(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    claimed = store_identities.check_stores(service)
    with service.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM store_identities")
    assert store_identities.check_stores(service) == claimed


def test_read_only_store_is_never_written(tmp_path: Path, clock: Clock) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    read_only = {LOCAL: named(tmp_path / "store", read_only=True)}
    assert store_identities.check_stores(change_service(service, stores=read_only)) == {}
    assert list((tmp_path / "store").iterdir()) == []
    with pytest.raises(problems.StoreReadOnly):
        store_identities.take_over(service, read_only[LOCAL], owner=store_identities.NOBODY)


@pytest.mark.parametrize("encoded", [b"", b"{}", b"[]", b'{"partage_store": 2}', b"\xff", b"x" * 5000])
def test_invalid_store_identity_stops_the_command(tmp_path: Path, clock: Clock, encoded: bytes) -> None:
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    (tmp_path / "store" / "identity").write_bytes(encoded)
    with pytest.raises(problems.StoreUnavailable, match=r"damaged|newer release"):
        store_identities.check_stores(service)


DAMAGED_IDENTITIES = {
    "empty": "",
    "zeros": "\0" * 120,
    "a list": "[]",
    "a count that no database holds": '{"partage_store":1,"store":"STORE","database":"DATABASE","generation":9223372036854775807}',
    "a count beyond all integers": '{"partage_store":1,"store":"STORE","database":"DATABASE","generation":99999999999999999999999}',
    "a negative count": '{"partage_store":1,"store":"STORE","database":"DATABASE","generation":-5}',
    "a fraction": '{"partage_store":1,"store":"STORE","database":"DATABASE","generation":1.5}',
    "no count": '{"partage_store":1,"store":"STORE","database":"DATABASE"}',
    "an id that is a number": '{"partage_store":1,"store":5,"database":"DATABASE","generation":0}',
    "an id with escape sequences": '{"partage_store":1,"store":"STORE","database":"\\u001b[2J'
    '0123456789012345678901234567","generation":0}',
}


@pytest.mark.parametrize("damage", DAMAGED_IDENTITIES)
def test_damaged_identity_stops_every_command_until_taken_over(damage: str, tmp_path: Path, clock: Clock) -> None:
    store = tmp_path / "store"
    service = service_at(tmp_path / "one", store, clock)
    here = store_identities.check_stores(service)[LOCAL]
    image = image_with(service, noise(1))
    text = DAMAGED_IDENTITIES[damage].replace("STORE", here.store).replace("DATABASE", here.database)
    (store / "identity").write_text(text)
    for act in (store_identities.check_stores, rebuild_index.rebuild_index):
        with pytest.raises(problems.StoreUnavailable, match=r"is damaged.*take-over-store STORE --from nobody"):
            act(service)
    (store / "identity").unlink()
    store_identities.take_over(service, service.stores.by_id[LOCAL], owner=store_identities.NOBODY)
    assert store_identities.check_stores(service)
    assert download(service, image.id) == noise(1)


FOREIGN_ENTRIES = {
    "begins beyond all integers": ChunkEntry(ChunkDigest(b"a" * 32), 2**64 - 1, 5, 5, Encoding.PLAIN),
    "begins in the head": ChunkEntry(ChunkDigest(b"a" * 32), 0, 5, 5, Encoding.PLAIN),
    "ends in the index": ChunkEntry(ChunkDigest(b"a" * 32), 33, 5, 5, Encoding.PLAIN),
    "is longer than the pack": ChunkEntry(ChunkDigest(b"a" * 32), 32, 2**32 - 1, 5, Encoding.PLAIN),
    "is longer than a column": ChunkEntry(ChunkDigest(b"a" * 32), 32, 5, 2**32 - 1, Encoding.ZSTD),
    "is nothing": ChunkEntry(ChunkDigest(b"a" * 32), 32, 0, 0, Encoding.PLAIN),
}


@pytest.mark.parametrize("entry", FOREIGN_ENTRIES)
def test_rebuild_names_pack_with_impossible_index_and_goes_on(entry: str, tmp_path: Path, clock: Clock) -> None:
    """Its checksum is right: what is impossible was written so. It is named, and the packs after it are entered."""
    history = History(tmp_path, clock)
    write_pack(history.store, PackID("00" * 16), FOREIGN_ENTRIES[entry])
    rebuilt = rebuild_index.rebuild_index(history.restored)
    assert rebuilt.unreadable == (f"local: packs/00/{'00' * 16}",)
    assert rebuilt.packs > 0
    history.require_all()


def write_pack(store: Path, pack_id: PackID, entry: ChunkEntry) -> None:
    """Write a pack of five bytes whose index has one entry, whatever that says."""
    head = struct.pack("<4sH10x16s", b"PTGP", pack.VERSION, bytes.fromhex(pack_id))
    index = struct.pack("<32sQIIB7x", entry.digest, entry.offset, entry.stored_bytes, entry.length_bytes, entry.encoding)
    foot = struct.pack("<QI4s", len(head) + 5, 1, b"PTGE")
    path = store / layout.pack_key(pack_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"bytes" + index + foot + blake3.blake3(head + index + foot).digest())


def test_store_whose_images_were_all_deleted_is_claimed(tmp_path: Path, clock: Clock) -> None:
    """A database from before there were identities knows its packs, retired ones too: they prove that the store is its own."""
    service = service_at(tmp_path / "one", tmp_path / "store", clock)
    image = image_with(service, noise(1))
    images.delete_image(service, OWNER, image.id)
    for _ in range(2):
        sweep.sweep(service, grace=DAY)
        clock.passes(days=2)
    with service.database.read() as tx:
        packs = contents.list_packs(tx, LOCAL)
    assert all(each.retired_at is not None for each in packs)
    assert packs
    assert packs_in(tmp_path / "store")
    assert store_identities.check_stores(service)
