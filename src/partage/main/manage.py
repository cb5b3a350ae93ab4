"""`partage manage`: what an operator does beside the running service. Each verb prints what it did and returns an exit status."""

from datetime import timedelta

from partage.main import compose, readiness
from partage.main.config import Settings
from partage.operations import sweep, verify
from partage.records import schema


def upgrade_database(settings: Settings) -> int:
    """Create the database's schema, or bring it up to this release's."""
    readiness.prepare_directories(settings)
    service = compose.service(settings)
    schema.upgrade(service.database)
    service.database.close()
    print("The database has the schema of this release")
    return 0


def verify_content(settings: Settings) -> int:
    """Read every stored byte again; return 1 when some are not what was stored."""
    readiness.require_data(settings)
    service = compose.service(settings)
    readiness.check_database(service, upgrade=False)
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
    readiness.require_data(settings)
    service = compose.service(settings)
    readiness.check_database(service, upgrade=False)
    swept = sweep.sweep(service, grace=timedelta(seconds=settings.sweep_grace_seconds))
    print(
        f"Forgot {swept.contents} contents, condemned {swept.condemned} chunks, removed {swept.chunks} chunks, "
        f"{swept.packs} packs ({swept.bytes} bytes) and {swept.leftovers} leftovers of crashes",
    )
    return 0
