"""`partage manage`: maintenance of the database and the stores. Each command prints its result and returns an exit status."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from partage import problems
from partage.main import definition_files
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.model.ids import ImageID, StoreID
from partage.model.maintenance import MaintenanceJob
from partage.operations import pending_deletes, rebuild_index, store_identities, sweep, verify
from partage.operations.service import Service
from partage.records import schema
from partage.worker import maintenance

_MAX_NAMES = 100


def upgrade_database(settings: Settings) -> int:
    """Create the database schema, or upgrade it to this release."""
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        service.database.require_answer()
        readiness.upgrade_schema(service.database)
    print("The database schema is up to date")
    return 0


def check_schema(settings: Settings) -> int:
    """Print which migrations the database lacks, and change nothing; return 1 if there are any."""
    with compose.open_service(settings) as service:
        file = service.database.file
        if file is not None and not file.exists():
            raise problems.Unavailable(f"There is no database at {file}; 'partage manage upgrade-database' creates it")
        service.database.require_answer()
        found, missing = schema.list_missing(service.database)
    if not missing:
        print(f"The database schema is up to date: {found}")
        return 0
    print(f"The database {'is empty' if found is None else f'has the schema {found}'}; it lacks {len(missing)} migrations:")
    for each in missing:
        print(f"  {each.revision}: {each.purpose}")
    if found is not None:
        offline = [each.revision for each in missing if not each.is_online]
        print(
            f"Stop every process of the older release first: {', '.join(offline)}"
            if offline
            else "Processes of the older release can go on while they run, and afterwards"
        )
    print("Back up the database, then run 'partage manage upgrade-database'")
    return 1


def verify_content(settings: Settings) -> int:
    """Read every stored chunk and compare its digest; return 1 when data is damaged."""
    contents = size_bytes = faults = 0
    interval = settings.maintenance.verify_interval_seconds
    with open_service(settings) as service, maintenance.run_by_hand(service, MaintenanceJob.VERIFY, interval) as report:
        for fault in verify.verify_database(service):
            faults += 1
            print(f"Damaged: the database: {fault}", flush=True)
        for verdict in verify.verify(service):
            contents += 1
            size_bytes += verdict.size_bytes
            if verdict.fault is not None:
                faults += 1
                print(f"Damaged: content {verdict.content_id} of image {', '.join(verdict.images)}: {verdict.fault}", flush=True)
        report.update(contents=contents, bytes=size_bytes, damaged=faults)
    print(f"Verified {contents} contents, {size_bytes} bytes: {faults} damaged")
    return 1 if faults else 0


def sweep_content(settings: Settings) -> int:
    """Remove data that has been unreferenced for longer than the grace period; return 1 when objects failed or are missing."""
    interval = settings.maintenance.sweep_interval_seconds
    with open_service(settings) as service, maintenance.run_by_hand(service, MaintenanceJob.SWEEP, interval) as report:
        swept = sweep.sweep(service, grace=timedelta(seconds=settings.sweep_grace_seconds))
        report.update(maintenance.report_sweep(swept))
    print(
        f"Removed {swept.contents} contents, marked {swept.marked} unreferenced chunks, removed {swept.chunks} chunks, "
        f"{swept.packs} packs ({swept.bytes} bytes) and {swept.leftovers} leftovers of crashes",
    )
    if swept.held_for is not None:
        print(f"Removed nothing from the stores: {swept.held_for}; sweep again afterwards")
    if swept.postponed:
        print(f"Kept {len(swept.postponed)} objects that could not be rewritten or removed; the next sweep tries them again:")
        _print_names(swept.postponed)
    if swept.unknown:
        print(f"Kept {len(swept.unknown)} objects that this database did not write; 'partage manage rebuild-index' indexes packs:")
        _print_names(swept.unknown)
    if swept.lost:
        print(
            f"{swept.lost} referenced chunks are missing at their indexed place; run 'partage manage rebuild-index'",
            file=sys.stderr,
        )
    return 1 if swept.lost or swept.postponed else 0


def rebuild(settings: Settings) -> int:
    """Index packs that the database does not know, after it was restored from a backup; return 1 when chunks are missing."""
    with open_service(settings, after_restore=True) as service:
        rebuilt = rebuild_index.rebuild_index(service)
    print(f"Indexed {rebuilt.packs} packs that the database did not know, and {rebuilt.chunks} chunks")
    if rebuilt.unreadable:
        print(f"Skipped {len(rebuilt.unreadable)} objects that are damaged, not packs, or that the store refuses to read:")
        _print_names(rebuilt.unreadable)
    if rebuilt.lost:
        print(
            f"{rebuilt.lost} referenced chunks are in no pack; 'partage manage verify' names the images. "
            "Restore the packs from a backup and run this command again, or upload the images again",
            file=sys.stderr,
        )
    return 1 if rebuilt.lost or rebuilt.unreadable else 0


def take_over_store(settings: Settings, store_id: str, owner: str) -> int:
    """Reassign a store that belongs to another database, or to none, to this one.

    Raises:
        StoreUnavailable: the store belongs to another database than `owner`.
        Invalid: no such store is configured.
    """
    with _open_checked_database(settings) as service:
        store = service.stores.by_id.get(StoreID(store_id))
        if store is None:
            raise problems.Invalid(f"There is no store {store_id}; the stores are {', '.join(service.stores.by_id)}")
        taken = store_identities.take_over(service, store, owner=owner)
    print(
        f"The store {store_id} now belongs to this database, {taken.database}. A service of another database that uses the store "
        "responds with 503 and does not start. Nothing was removed. Run 'partage manage rebuild-index' to index the packs in the "
        "store; the next sweeps remove data that no image of this database references"
    )
    return 0


def scrub_images(settings: Settings) -> int:
    """Remove deleted images whose `scrub_time_seconds` have passed."""
    with _open_checked_database(settings) as service:
        print(f"Scrubbed {pending_deletes.scrub(service)} deleted images; the next sweep frees their data")
        return 0


def restore_image(settings: Settings, image_id: str) -> int:
    """Restore a deleted image that was not scrubbed yet.

    Raises:
        ImageNotFound: there is no such image among the deleted ones.
    """
    with _open_checked_database(settings) as service:
        image = pending_deletes.restore(service, ImageID(image_id))
        print(f"Restored image {image.id} of project {image.owner}; its status is {image.status}")
        return 0


def load_metadefs(settings: Settings, directory: Path | None) -> int:
    """Create the namespaces of metadata definitions in JSON files; existing namespaces stay unchanged. None: those of glance.

    Raises:
        Invalid: there are no such files, or one of them is invalid.
    """
    found = directory or definition_files.find_glances()
    with _open_checked_database(settings) as service:
        created, count = definition_files.load(service, found)
        print(f"Created {created} namespaces; {count - created} of {count} already exist")
        return 0


@contextmanager
def open_service(settings: Settings, *, after_restore: bool = False) -> Iterator[Service]:
    """Yield a service whose database and stores belong together; close its connections afterwards.

    Raises:
        Unavailable: there is no database, its schema is not of this release, or it does not own a store.
    """
    with _open_checked_database(settings) as service:
        identities = readiness.check_stores(service, after_restore=after_restore)
    with compose.open_service(settings, identities=identities) as service:
        yield service


def _print_names(names: Sequence[str]) -> None:
    for name in names[:_MAX_NAMES]:
        print(f"  {name.encode('unicode_escape').decode()}")  # a name may come from another program
    if len(names) > _MAX_NAMES:
        print(f"  and {len(names) - _MAX_NAMES} more")


@contextmanager
def _open_checked_database(settings: Settings) -> Iterator[Service]:
    """Yield a service whose database exists and has this release's schema; close its connections afterwards."""
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        yield service
