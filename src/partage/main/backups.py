"""`partage manage backup` and `restore-backup`: what an operator does so that a lost disk is no lost cloud."""

import sys
from pathlib import Path

from partage import problems
from partage.main import manage
from partage.main.composition import readiness
from partage.main.configuration.config import Settings
from partage.model.ids import StoreID
from partage.operations import backup
from partage.records.database import Database


def back_up(settings: Settings, folder: Path) -> int:
    """Copy the database and the packs that it needs into a folder, beside the running service; return 1 when packs are missing.

    Raises:
        Invalid: the database is not SQLite, or the folder cannot be used.
        Unavailable: the database or a store does not answer, or there is no room.
    """
    folder = folder.absolute()
    for store in settings.keeping_stores:
        if folder.resolve().is_relative_to(store.directory.resolve()):
            raise problems.Invalid(f"{folder} is inside the store {store.id}; name a directory elsewhere")
    with manage.opened(settings) as service:
        made = backup.back_up(service, folder)
    print(
        f"Backed up the database and {made.packs} packs to {folder}: {made.bytes} bytes; "
        f"{made.linked} packs are links to the store's own files"
    )
    if made.linked:
        print(
            "Links share the store's disk: copy the directory to another one. Packs never change: copy those that are not there yet"
        )
    if made.missing:
        print(
            f"{len(made.missing)} packs are in the database and not in their store; run 'partage manage verify':", file=sys.stderr
        )
        for name in made.missing:
            print(f"  {name}", file=sys.stderr)
    return 1 if made.missing else 0


def restore_backup(settings: Settings, folder: Path) -> int:
    """Check a backup, and restore it to where the settings have the database and the stores; nothing may be there.

    Raises:
        Invalid: the backup is damaged, the database is not SQLite, a store has no place, or a place is not empty.
        Unavailable: it cannot be written.
    """
    database = Database(settings.effective_database_url).file
    if database is None:
        raise problems.Invalid("The settings name a PostgreSQL database; docs/backup.md says how that is restored")
    readiness.prepare_directory(database.parent)
    stores = {StoreID(store.id): store.directory.absolute() for store in settings.keeping_stores}
    found = backup.restore(folder.absolute(), database=database, stores=stores)
    print(f"Restored the backup of {found.created_at} to {database} and {len(found.stores)} stores; every file had its digest")
    if found.missing:
        print(
            f"{len(found.missing)} packs were missing when it was made; 'partage manage verify' names the images", file=sys.stderr
        )
    return 1 if found.missing else 0
