"""`partage manage`: what an operator does beside the running service. Each verb prints what it did and returns an exit status."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path

from partage import problems
from partage.main import compose, readiness
from partage.main.config import Settings
from partage.model import metadef
from partage.model.caller import Caller
from partage.model.ids import ImageID, UserID
from partage.operations import metadefs, pending_deletes, sweep, verify
from partage.operations.service import Service
from partage.records import schema


def upgrade_database(settings: Settings) -> int:
    """Create the database's schema, or bring it up to this release's."""
    readiness.prepare_directories(settings)
    with compose.opened(settings) as service:
        schema.upgrade(service.database)
    print("The database has the schema of this release")
    return 0


def verify_content(settings: Settings) -> int:
    """Read every stored byte again; return 1 when some are not what was stored."""
    with _running(settings) as service:
        contents = size_bytes = faults = 0
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
    with _running(settings) as service:
        swept = sweep.sweep(service, grace=timedelta(seconds=settings.sweep_grace_seconds))
        print(
            f"Forgot {swept.contents} contents, condemned {swept.condemned} chunks, removed {swept.chunks} chunks, "
            f"{swept.packs} packs ({swept.bytes} bytes) and {swept.leftovers} leftovers of crashes",
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
