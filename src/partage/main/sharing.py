"""`partage manage` commands for promises to members: close a project. Each command prints its result and returns an exit status."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.model.closing import Closed, ClosedImage, ClosingSource
from partage.model.ending import Ending
from partage.model.ids import ProjectID
from partage.model.image import Visibility
from partage.operations.service import Service
from partage.operations.sharing import closing

_MAX_IMAGES = 100
_MAX_MEMBERS = 10
_OPEN_TO_ALL = (Visibility.PUBLIC, Visibility.COMMUNITY)


def close_project(settings: Settings, project_id: str, *, dry_run: bool, force: bool) -> int:
    """Delete what the project owns, with all promises kept, and print a summary.

    Raises:
        Conflict: Keystone has the project, and it is enabled.
        IdentityUnavailable: Keystone does not respond.
    """
    project = ProjectID(project_id)
    with _open_database(settings) as service:
        if dry_run:
            _print_summary(closing.preview(service, project), dry_run=True)
        else:
            if not force:
                closing.check_closable(service, project)
            _print_summary(closing.close_project(service, project), dry_run=False)
            if not force:
                closing.request_closing(service, project, ClosingSource.OPERATOR, after_tokens=True)
        kept = closing.count_public_namespaces(service, project)
    if kept:
        print(f"Kept {kept} public namespaces of metadata definitions, because other projects use them")
    return 0


@dataclass
class _Totals:
    """What the batches of a closing add up to."""

    images: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    size_bytes: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    open_to_all: int = 0
    shares: int = 0
    namespaces: int = 0
    records: int = 0

    def add(self, closed: Closed) -> None:
        """Add a batch."""
        for image in closed.images:
            is_retained = bool(image.kept_for)
            self.images[is_retained] += 1
            self.size_bytes[is_retained] += image.size_bytes
            self.open_to_all += image.visibility in _OPEN_TO_ALL and not is_retained
        self.shares += closed.shares
        self.namespaces += closed.namespaces
        self.records += closed.records


def _print_summary(batches: Iterable[Closed], *, dry_run: bool) -> None:
    totals = _Totals()
    for closed in batches:
        for image in closed.images:
            if image.kept_for and totals.images[True] < _MAX_IMAGES:
                print(f"{'Would retain' if dry_run else 'Retained'} {_describe_retained(image)}", flush=True)
            totals.add(Closed(images=(image,)))
        totals.add(Closed(shares=closed.shares, namespaces=closed.namespaces, records=closed.records))
    deleted, left = ("Would have deleted", "Would have left") if dry_run else ("Deleted", "Left")
    print(
        f"{deleted} {totals.images[False]} images ({totals.size_bytes[False]} bytes), "
        f"retained {totals.images[True]} images for members ({totals.size_bytes[True]} bytes)"
    )
    if totals.open_to_all:
        print(f"Of the deleted images, {totals.open_to_all} are public or community: other projects use them without a share")
    print(
        f"{left} {totals.shares} shares of other projects' images, "
        f"removed {totals.namespaces} private namespaces of metadata definitions and {totals.records} other records"
    )


def _describe_retained(image: ClosedImage) -> str:
    name = "" if image.name is None else f" ({image.name.encode('unicode_escape').decode()})"
    return f"image {image.image_id}{name}, {image.size_bytes} bytes, for {_describe_members(image.kept_for)}"


def _describe_members(kept_for: Sequence[Ending]) -> str:
    named = [_describe_member(each) for each in kept_for[:_MAX_MEMBERS]]
    more = len(kept_for) - len(named)
    return ", ".join(named) + (f" and {more} more projects" if more else "")


def _describe_member(ending: Ending) -> str:
    until = "forever" if ending.ends_at is None else f"until {ending.ends_at:%Y-%m-%dT%H:%M:%SZ}"
    return f"project {ending.member_id} {until}"


@contextmanager
def _open_database(settings: Settings) -> Iterator[Service]:
    """Yield a service whose database exists and has this release's schema; close its connections afterwards."""
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        yield service
