"""`partage manage` commands for promises to members. Each command prints its result and returns an exit status."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from partage import problems
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.model import wording
from partage.model.closing import Closed, ClosedImage, ClosingSource
from partage.model.ending import Ending
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Visibility
from partage.model.retention import RetainedImage, TakeDown
from partage.operations.service import Service
from partage.operations.sharing import closing, retained

_MAX_IMAGES = 100
_MAX_MEMBERS = 10
_OPEN_TO_ALL = (Visibility.PUBLIC, Visibility.COMMUNITY)


def close_project(settings: Settings, project_id: str, *, dry_run: bool, force: bool) -> int:
    """Delete what the project owns, with all promises kept, and print a summary.

    Raises:
        Conflict: Keystone has the project, and it is enabled.
        IdentityUnavailable: Keystone does not respond.
        Invalid: the account that asks Keystone is not configured.
    """
    project = ProjectID(project_id)
    with open_database(settings) as service:
        if dry_run:
            _print_summary(closing.preview(service, project), dry_run=True)
        else:
            if not force:
                require_identity(settings, "whether the project exists")
                closing.check_closable(service, project)
            _print_summary(closing.close_project(service, project), dry_run=False)
            if not force:
                closing.request_closing(service, project, ClosingSource.OPERATOR, after_tokens=True)
        kept = closing.count_public_namespaces(service, project)
    if kept:
        print(f"Kept {wording.count(kept, 'public namespace of metadata definitions')}, because other projects use them")
    return 0


def list_retained(settings: Settings, *, as_json: bool) -> int:
    """Print the retained images, for whom and until when they are retained, and how many bytes they have."""
    count = size_bytes = 0
    projects: set[ProjectID] = set()
    with open_database(settings) as service:
        if as_json:
            print('{"images": [', end="")
        for image in retained.list_retained(service):
            if as_json:
                print(("," if count else "") + "\n" + json.dumps(_build_document(image)), end="", flush=True)
            else:
                print(f"Image {_describe_image(image)}, of project {image.former_owner}, for {_describe_members(image.kept_for)}")
            count, size_bytes = count + 1, size_bytes + image.size_bytes
            projects.update(each.member_id for each in image.kept_for)
    if as_json:
        totals = {"images": count, "bytes": size_bytes, "projects": len(projects)}
        print(f'\n], "totals": {json.dumps(totals)}}}')
    else:
        kept_for = wording.count(len(projects), "project")
        print(f"{wording.count(count, 'image')} ({size_bytes} bytes) {wording.be(count)} retained for {kept_for}")
    return 0


def take_down(settings: Settings, image_id: str, *, is_confirmed: bool) -> int:
    """Print whom the end of an image hits, and delete it against every promise if that is confirmed; 1 if it is not.

    Raises:
        ImageNotFound: there is no such image.
    """
    with open_database(settings) as service:
        if not is_confirmed:
            _print_hits(retained.preview_take_down(service, ImageID(image_id)))
            print("Nothing was changed; add --yes to delete the image for all of them", file=sys.stderr)
            return 1
        _print_hits(retained.take_down(service, ImageID(image_id)))
    print("Deleted the image for all of them; the next sweep frees its data")
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
        f"{deleted} {wording.count(totals.images[False], 'image')} ({totals.size_bytes[False]} bytes), "
        f"retained {wording.count(totals.images[True], 'image')} for members ({totals.size_bytes[True]} bytes)"
    )
    if totals.open_to_all:
        are_open = f"{totals.open_to_all} {wording.be(totals.open_to_all)} public or community"
        print(f"Of the deleted images, {are_open}: other projects use them without a share")
    print(
        f"{left} {wording.count(totals.shares, 'share')} of other projects' images, "
        f"removed {wording.count(totals.namespaces, 'private namespace of metadata definitions')} "
        f"and {wording.count(totals.records, 'other record')}"
    )


def _print_hits(taken: TakeDown) -> None:
    image = taken.image
    name = "" if image.name is None else f" ({_escape(image.name)})"
    owner = image.former_owner or image.owner
    print(f"Image {image.id}{name} of project {owner}: {image.status}, {image.visibility}, {image.size or 0} bytes")
    if image.visibility in _OPEN_TO_ALL:
        print(f"  every project can use it, because it is {image.visibility}")
    if image.is_retained:
        print("  its owner has deleted it already")
    for member in taken.members:
        print(f"  project {member.member_id}: {member.status}, with a notice of {member.terms.notice}")
    for ending in taken.endings:
        print(f"  {_describe_member(ending)}: the notice runs")
    for each in taken.uses:
        if each.has_uses:
            counted = ", ".join(wording.count(number, kind) for kind, number in sorted(each.counts.items()))
            print(f"  project {each.project_id} uses it: {counted}{'' if each.is_complete else ' or more'}")


def _build_document(image: RetainedImage) -> dict[str, object]:
    kept = [
        {
            "project_id": each.member_id,
            "reason": each.reason.value,
            "began_at": _format_time(each.began_at),
            "ends_at": None if each.ends_at is None else _format_time(each.ends_at),
            "notice": str(each.terms.notice),
        }
        for each in image.kept_for
    ]
    return {
        "image_id": image.image_id,
        "name": image.name,
        "owner_id": image.former_owner,
        "bytes": image.size_bytes,
        "retained_for": kept,
    }


def _describe_retained(image: ClosedImage) -> str:
    return f"image {_describe_image(image)}, for {_describe_members(image.kept_for)}"


def _describe_image(image: ClosedImage | RetainedImage) -> str:
    name = "" if image.name is None else f" ({_escape(image.name)})"
    return f"{image.image_id}{name}, {image.size_bytes} bytes"


def _escape(name: str) -> str:
    """Escape characters that a terminal would obey."""
    return name.encode("unicode_escape").decode()


def _describe_members(kept_for: Sequence[Ending]) -> str:
    named = [_describe_member(each) for each in kept_for[:_MAX_MEMBERS]]
    more = len(kept_for) - len(named)
    return ", ".join(named) + (f" and {more} more projects" if more else "")


def _describe_member(ending: Ending) -> str:
    if ending.ends_at is None:
        until = "while it is used" if ending.terms.notice.while_used else "forever"
    else:
        until = f"until {_format_time(ending.ends_at)}"
    return f"project {ending.member_id} {until}"


def _format_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def require_identity(settings: Settings, wanted: str) -> None:
    """Check that the account is configured with which Keystone is asked.

    Raises:
        Invalid: it is not.
    """
    if not settings.identity.password.get_secret_value():
        raise problems.Invalid(
            f"Keystone has to be asked {wanted}, and identity.password is not set; set identity.url, identity.username and "
            "identity.password in the configuration file or the environment"
        )


@contextmanager
def open_database(settings: Settings) -> Iterator[Service]:
    """Yield a service whose database exists and has this release's schema; close its connections afterwards.

    Raises:
        DatabaseUnavailable: there is no such database, or it has another schema.
    """
    readiness.require_data(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        yield service
