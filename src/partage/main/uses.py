"""`partage manage uses`: count the recorded uses, and compare them with Nova and Cinder. Returns an exit status."""

import sys

from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.sharing import open_database, require_identity
from partage.model import wording
from partage.model.use import UseKind
from partage.operations.sharing import reconciliation
from partage.operations.sharing.reconciliation import Reconciled


def list_uses(settings: Settings) -> int:
    """Print how many servers and volumes are recorded as uses of each image, and of how many projects."""
    total = images = 0
    last = None
    with open_database(settings) as service:
        for each in reconciliation.list_recorded(service):
            print(f"Image {each.image_id}: {wording.count(each.uses, each.kind)} of {wording.count(each.projects, 'project')}")
            total, images, last = total + each.uses, images + (each.image_id != last), each.image_id
    print(f"{wording.count(total, 'use')} of {wording.count(images, 'image')} {wording.be(total)} recorded")
    return 0


def reconcile(settings: Settings, *, dry_run: bool) -> int:
    """Compare the recorded uses with Nova and Cinder, and print a summary; return 1 when a list was incomplete.

    Raises:
        IdentityUnavailable: Keystone does not return its catalog.
        Invalid: the account that asks Keystone is not configured.
    """
    require_identity(settings, "for its catalog")
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
    listed = f"{wording.count(servers, 'server')} and {wording.count(volumes, 'volume')}"
    print(f"Listed {listed} in {wording.count(done.regions, 'region')}")
    missing, ended = wording.count(done.added, "missing use"), wording.count(done.removed, "use of servers and volumes")
    print(f"{added} {missing}, {removed} {ended} that ended")
    if done.cleared:
        print(f"{cleared} all uses of {wording.count(done.cleared, 'pair of an image and a project')} that had too many")
    if done.exceeded:
        pairs = wording.count(done.exceeded, "pair of an image and a project")
        print(f"Recorded only the first limits.uses uses of {pairs}; such a project counts as a user")
    for kind in done.missing:
        print(f"The catalog has no service of {kind}s; recorded uses of {kind}s stay as they are")
