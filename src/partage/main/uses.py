"""`partage manage uses`: count the recorded uses, and compare them with Nova and Cinder. Returns an exit status."""

import sys

from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.sharing import open_database
from partage.model.use import UseKind
from partage.operations.sharing import reconciliation
from partage.operations.sharing.reconciliation import Reconciled


def list_uses(settings: Settings) -> int:
    """Print how many servers and volumes are recorded as uses of each image, and of how many projects."""
    total = images = 0
    last = None
    with open_database(settings) as service:
        for each in reconciliation.list_recorded(service):
            print(f"Image {each.image_id}: {each.uses} {each.kind}s of {each.projects} projects")
            total, images, last = total + each.uses, images + (each.image_id != last), each.image_id
    print(f"{total} uses of {images} images are recorded")
    return 0


def reconcile(settings: Settings, *, dry_run: bool) -> int:
    """Compare the recorded uses with Nova and Cinder, and print a summary; return 1 when a list was incomplete.

    Raises:
        IdentityUnavailable: Keystone does not return its catalog.
    """
    with open_database(settings) as service:
        done = reconciliation.reconcile(service, compose.build_cloud(settings.identity), dry_run=dry_run)
    _print_summary(done, dry_run=dry_run)
    for problem in done.failures:
        print(f"partage: {' '.join(str(problem).split())}", file=sys.stderr)
    if done.failures:
        print("No use was removed, because a list is incomplete; run the command again", file=sys.stderr)
    return 1 if done.failures else 0


def _print_summary(done: Reconciled, *, dry_run: bool) -> None:
    added, removed, cleared = ("Would record", "would remove", "Would know") if dry_run else ("Recorded", "removed", "Knows")
    servers, volumes = done.listed[UseKind.SERVER], done.listed[UseKind.VOLUME]
    print(f"Listed {servers} servers and {volumes} volumes in {done.regions} regions")
    print(f"{added} {done.added} uses that were missing, {removed} {done.removed} uses of servers and volumes that have ended")
    if done.cleared:
        print(f"{cleared} all uses of {done.cleared} images and projects that had too many")
    if done.exceeded:
        print(f"{done.exceeded} images and projects have more uses than limits.uses; the projects count as users")
    for kind in done.missing:
        print(f"The catalog has no service of {kind}s; recorded uses of {kind}s stay as they are")
