"""`partage manage backup` and `restore-backup`: back up and restore SQLite and its packs."""

import sys
from pathlib import Path

from partage import problems
from partage.main import manage
from partage.main.composition import readiness
from partage.main.configuration.config import Settings
from partage.model.ids import StoreID
from partage.model.maintenance import MaintenanceJob
from partage.operations import backup
from partage.records.database import Database
from partage.worker import maintenance


def back_up(settings: Settings, folder: Path) -> int:
    """Back up the database and its packs to a folder while the service runs; return 1 when packs are missing.

    Raises:
        Invalid: the database is not SQLite, or the folder cannot be used.
        Unavailable: the database or a store does not respond, or there is no space.
    """
    folder = folder.absolute()
    for store in settings.keeping_stores:
        if store.directory and folder.resolve().is_relative_to(store.directory.resolve()):
            raise problems.Invalid(f"{folder} is inside the store {store.id}; name a directory elsewhere")
    with manage.open_service(settings) as service, maintenance.run_by_hand(service, MaintenanceJob.BACKUP) as report:
        made = backup.back_up(service, folder)
        report.update(packs=made.packs, bytes=made.bytes, missing=len(made.missing))
    print(
        f"Backed up the database and {made.packs} packs to {folder}: {made.bytes} bytes; "
        f"{made.linked} packs are hard links to the store's files"
    )
    if made.linked:
        print("Hard links do not protect from a broken disk: copy the directory to another. Packs never change: copy only new ones")
    if made.missing:
        print(
            f"{len(made.missing)} packs that the database references are missing in their store; run 'partage manage verify':",
            file=sys.stderr,
        )
        for name in made.missing:
            print(f"  {name}", file=sys.stderr)
    return 1 if made.missing else 0


def restore_backup(settings: Settings, folder: Path) -> int:
    """Check a backup and restore it to the configured database and stores, which must be empty.

    Raises:
        Invalid: the backup is damaged, the database is not SQLite, a store is not configured, or a directory is not empty.
        Unavailable: a directory cannot be written.
    """
    database = Database(settings.effective_database_url).file
    if database is None:
        raise problems.Invalid(
            "The configured database is not SQLite; restore it with pg_restore, or with mariadb for MariaDB, see docs/backup.md"
        )
    readiness.prepare_directory(database.parent)
    stores = {StoreID(store.id): store.directory.absolute() for store in settings.keeping_stores if store.directory}
    found = backup.restore(folder.absolute(), database=database, stores=stores)
    print(f"Restored the backup of {found.created_at} to {database} and {len(found.stores)} stores; every file matched its digest")
    if found.missing:
        print(
            f"{len(found.missing)} packs were already missing in the backup; 'partage manage verify' names the images",
            file=sys.stderr,
        )
    return 1 if found.missing else 0
