"""`partage manage`: what an operator does beside the running service. Each verb prints what it did and returns an exit status."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from partage import problems
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.model import metadef
from partage.model.caller import Caller
from partage.model.ids import ImageID, StoreID, UserID
from partage.operations import metadefs, pending_deletes, rebuild_index, store_identities, sweep, verify
from partage.operations.service import Service
from partage.records import schema

_MOST_LISTED = 100


def upgrade_database(settings: Settings) -> int:
    """Create the database's schema, or bring it up to this release's."""
    readiness.prepare_directories(settings)
    with compose.opened(settings) as service:
        schema.upgrade(service.database)
    print("The database has the schema of this release")
    return 0


def verify_content(settings: Settings) -> int:
    """Read every stored byte again; return 1 when some are not what was stored."""
    contents = size_bytes = faults = 0
    with opened(settings) as service:
        for fault in verify.verify_database(service):
            faults += 1
            print(f"Damaged: the database: {fault}", flush=True)
        for verdict in verify.verify(service):
            contents += 1
            size_bytes += verdict.size_bytes
            if verdict.fault is not None:
                faults += 1
                print(f"Damaged: content {verdict.content_id} of image {', '.join(verdict.images)}: {verdict.fault}", flush=True)
    print(f"Read {contents} contents, {size_bytes} bytes: {faults} damaged")
    return 1 if faults else 0


def sweep_content(settings: Settings) -> int:
    """Remove what nothing has named for longer than the grace period."""
    with opened(settings) as service:
        swept = sweep.sweep(service, grace=timedelta(seconds=settings.sweep_grace_seconds))
    print(
        f"Forgot {swept.contents} contents, condemned {swept.condemned} chunks, removed {swept.chunks} chunks, "
        f"{swept.packs} packs ({swept.bytes} bytes) and {swept.leftovers} leftovers of crashes",
    )
    if swept.held_for is not None:
        print(f"Nothing was removed from the stores: {swept.held_for}; sweep again when that has ended")
    if swept.postponed:
        print(f"Left {swept.postponed} packs with unneeded chunks as they are, damaged or for lack of room")
    if swept.unknown:
        print(f"Left {len(swept.unknown)} objects that this database did not write; 'partage manage rebuild-index' enters packs:")
        _list(swept.unknown)
    if swept.lost:
        print(
            f"{swept.lost} chunks that images need are not where the index says; run 'partage manage rebuild-index'",
            file=sys.stderr,
        )
    return 1 if swept.lost else 0


def rebuild(settings: Settings) -> int:
    """Find packs again that the database does not know, after it was restored from a backup; return 1 when chunks are lost."""
    with opened(settings, after_restore=True) as service:
        rebuilt = rebuild_index.rebuild_index(service)
    print(
        f"Entered {rebuilt.packs} packs that the database did not know; {rebuilt.chunks} chunks have a place again, or a first one"
    )
    if rebuilt.unreadable:
        print(f"Left {len(rebuilt.unreadable)} objects that are no packs, or damaged ones:")
        _list(rebuilt.unreadable)
    if rebuilt.lost:
        print(
            f"{rebuilt.lost} chunks that images need are in no pack; 'partage manage verify' names the images. "
            "Restore the packs from a backup and run this again, or upload the images anew",
            file=sys.stderr,
        )
    return 1 if rebuilt.lost else 0


def take_over_store(settings: Settings, store_id: str, owner: str) -> int:
    """Make a store this database's that belongs to another one, or to none that is known.

    Raises:
        StoreUnavailable: the store belongs to another database than `owner`.
        Invalid: no such store is configured.
    """
    with _running(settings) as service:
        named = service.stores.get(StoreID(store_id))
        if named is None:
            raise problems.Invalid(f"There is no store {store_id}; the stores are {', '.join(service.stores)}")
        taken = store_identities.take_over(service, named, owner=owner)
    print(
        f"The store {store_id} belongs to this database now, {taken.database}. A service of another database that uses it answers "
        "503 and does not start any more. Nothing was removed; 'partage manage rebuild-index' enters the packs that are in the "
        "store, and sweeps remove what no image of this database names from then on"
    )
    return 0


def scrub_images(settings: Settings) -> int:
    """Forget the deleted images that have waited long enough."""
    with _running(settings) as service:
        print(f"Scrubbed {pending_deletes.scrub(service)} deleted images; their bytes go with the next sweep")
        return 0


def restore_image(settings: Settings, image_id: str) -> int:
    """Bring a deleted image back that was not scrubbed yet.

    Raises:
        ImageNotFound: no such image waits.
    """
    with _running(settings) as service:
        image = pending_deletes.restore(service, ImageID(image_id))
        print(f"Image {image.id} of project {image.owner} is {image.status} again")
        return 0


def load_metadefs(settings: Settings, directory: Path | None) -> int:
    """Create the namespaces of metadata definitions that JSON files describe; those that are there already stay as they are.

    Raises:
        Invalid: there are no such files, or one of them makes no sense.
    """
    found = directory or _shipped_metadefs()
    files = sorted(found.glob("*.json")) if found.is_dir() else []
    if not files:
        raise problems.Invalid(f"There are no JSON files in {found}; name a directory of metadata definitions with --from")
    with _running(settings) as service:
        created = sum(_load_namespace(service, file) for file in files)
        print(f"Created {created} namespaces; {len(files) - created} of {len(files)} were there already")
        return 0


@contextmanager
def opened(settings: Settings, *, after_restore: bool = False) -> Iterator[Service]:
    """Give a service whose database and stores belong together; close its connections afterwards.

    Raises:
        Unavailable: there is no database, it does not fit this release, or a store is not its own; the sentence says what to do.
    """
    with _running(settings) as service:
        identities = readiness.check_stores(service, after_restore=after_restore)
    with compose.opened(settings, identities=identities) as service:
        yield service


def _list(names: Sequence[str]) -> None:
    for name in names[:_MOST_LISTED]:
        print(f"  {name.encode('unicode_escape').decode()}")  # somebody else may have chosen the name
    if len(names) > _MOST_LISTED:
        print(f"  and {len(names) - _MOST_LISTED} more")


@contextmanager
def _running(settings: Settings) -> Iterator[Service]:
    """Give the service on a database that is there and has this release's schema; close its connections afterwards."""
    readiness.require_data(settings)
    with compose.opened(settings) as service:
        readiness.check_database(service, upgrade=False)
        yield service


def _shipped_metadefs() -> Path:
    """Find the files that the package glance brings along."""
    try:
        files = metadata.files("glance") or []
    except metadata.PackageNotFoundError as error:
        raise problems.Invalid(
            "The package glance, which ships metadata definitions, is not installed; install it or name a directory with --from",
        ) from error
    shipped = next((each for each in files if each.parent.name == "metadefs" and each.suffix == ".json"), None)
    if shipped is None:
        raise problems.Invalid("The installed package glance ships no metadata definitions; name a directory with --from")
    return Path(str(shipped.locate())).parent.resolve()


def _load_namespace(service: Service, file: Path) -> bool:
    operator = Caller(user_id=UserID("operator"), project_id=None, roles=frozenset({"admin", "member", "reader"}), is_admin=True)
    try:
        new = metadef.parse_namespace(json.loads(file.read_text()), now=service.clock())
        metadefs.create_namespace(service, operator, new)
    except problems.MetadefExists:
        return False
    except (problems.Problem, ValueError) as error:
        raise problems.Invalid(f"The metadata definitions in {file} cannot be used: {error}") from error
    return True
