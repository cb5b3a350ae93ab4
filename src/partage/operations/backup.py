"""Back up a running service's SQLite database and its packs; restore a backup.

The order makes it consistent. First packs are held, so that no sweep removes any; then the database is copied in one transaction;
then every pack that the copy names is linked or copied. A pack is durable before its row exists, so each is found. Data that is
written meanwhile is not in the backup.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import partage
from partage import problems
from partage.model.ids import StoreID
from partage.operations.holding import hold_packs
from partage.operations.service import Service
from partage.records import backups
from partage.stores import archive, identity, layout
from partage.stores.archive import Archive, Copied
from partage.stores.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """The result of a backup. `missing`, as "store: key": packs with a row that are not in their store."""

    packs: int
    linked: int
    bytes: int
    missing: tuple[str, ...]


def back_up(service: Service, folder: Path) -> BackedUp:
    """Make a backup in a folder that is empty or not there yet.

    Raises:
        Invalid: the database is not SQLite, or the folder cannot be used.
        StoreUnavailable, StoreFull, DatabaseUnavailable: it could not be finished; the folder contains no usable backup.
    """
    if service.database.dialect != "sqlite":
        raise problems.Invalid(
            "partage manage backup copies SQLite databases; docs/backup.md says how PostgreSQL and MariaDB are backed up"
        )
    archive.prepare(folder)
    copy = folder / archive.DATABASE
    files: dict[str, Copied] = {}
    missing: list[str] = []
    with hold_packs(service, "a backup is made") as hold:
        backups.copy(service.database, copy)
        known = backups.list_identities(copy)
        for store_id, pack_ids in backups.list_packs(copy).items():
            for pack_id in pack_ids:
                hold.renew_if_due()
                key = layout.pack_key(pack_id)
                try:
                    name = archive.name_of(known[store_id][0], key)
                    files[name] = archive.add_object(folder, name, service.stores.by_id[store_id].store, key)
                except (KeyError, problems.ContentCorrupt):  # the store is not configured, has no identity, or has lost the pack
                    missing.append(f"{store_id}: {key}")
    packs = len(files)
    for here in known.values():
        name = archive.name_of(here[0], layout.IDENTITY)
        files[name] = archive.add_bytes(folder, name, identity.encode(Identity(*here)))
    files[archive.DATABASE] = Copied(archive.digest_of(copy), copy.stat().st_size, is_link=False)
    made = Archive(
        created_at=service.clock().isoformat(),
        release=partage.__version__,
        database=next((database for _store, database, _count in known.values()), ""),
        stores={here[0]: store_id for store_id, here in known.items()},
        sums={name: copied.sha256 for name, copied in files.items()},
        missing=tuple(missing),
    )
    archive.finish(folder, made)
    return BackedUp(
        packs=packs,
        linked=sum(copied.is_link for copied in files.values()),
        bytes=sum(copied.size_bytes for copied in files.values()),
        missing=made.missing,
    )


def restore(folder: Path, *, database: Path, stores: Mapping[StoreID, Path]) -> Archive:
    """Check a backup, then restore it to the places of the database and the stores; return its description.

    The database comes last, so that no service starts on a half-restored state.

    Raises:
        Invalid: the backup is damaged, a store of it has no place, or a place is not empty. Nothing was written.
        StoreUnavailable: it could not be written.
    """
    found = archive.read(folder)
    _require_sound(folder, found)
    unplaced = sorted(name for name in found.stores.values() if StoreID(name) not in stores)
    if unplaced:
        raise problems.Invalid(
            f"The backup has the stores {', '.join(unplaced)}, which are not configured; name a configuration that has them"
        )
    for taken in (database, database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-journal")):
        if taken.exists():
            raise problems.Invalid(f"{taken} is there already; name another place, or move it away")
    places = {store: stores[StoreID(name)] for store, name in found.stores.items()}
    for place in places.values():
        archive.prepare(place)
    for name in sorted(found.sums.keys() - {archive.DATABASE}):
        store, key = archive.parts_of(name)
        _copy(folder, found, name, places[store] / key)
    for place in places.values():
        archive.sync_tree(place)
    draft = database.with_name(f"{database.name}.restored")
    _copy(folder, found, archive.DATABASE, draft)
    draft.rename(database)
    archive.sync_folder(database.parent)
    return found


def _copy(folder: Path, found: Archive, name: str, target: Path) -> None:
    if archive.copy_file(folder / name, target) != found.sums[name]:
        raise problems.StoreUnavailable(f"{folder / name} changed while it was copied; restore anew, into another place")


def _require_sound(folder: Path, found: Archive) -> None:
    """Check every byte of a backup.

    Raises:
        Invalid: something is not what was backed up.
    """
    fault = archive.find_fault(folder, found) or backups.find_fault(folder / archive.DATABASE) or _find_gap(folder, found)
    if fault is not None:
        raise problems.Invalid(f"The backup in {folder} is damaged: {fault}; nothing was restored")


def _find_gap(folder: Path, found: Archive) -> str | None:
    """Return a pack of the database that is not in the backup and was not missing when it was made."""
    known = backups.list_identities(folder / archive.DATABASE)
    for store_id, pack_ids in backups.list_packs(folder / archive.DATABASE).items():
        for key in map(layout.pack_key, pack_ids):
            is_there = store_id in known and archive.name_of(known[store_id][0], key) in found.sums
            if not is_there and f"{store_id}: {key}" not in found.missing:
                return f"{key} of the store {store_id} is not in it"
    return None
