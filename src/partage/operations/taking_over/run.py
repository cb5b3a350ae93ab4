"""Takes over a Glance, as often as it is called: each run takes what Glance has changed since the last one.

Glance may serve meanwhile; nothing in it is changed. Images are written a hundred in one transaction. What was changed or deleted
here since the last run stays as it is here, and is reported. No events are recorded: what happened in Glance did not happen here.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from partage import problems
from partage.model.glance import GlanceImage
from partage.model.ids import ContentID, ImageID
from partage.model.image import Image
from partage.operations.service import Service
from partage.operations.taking_over import images as preparing
from partage.operations.taking_over.images import Coming
from partage.operations.taking_over.places import Places
from partage.records import contents, images, members, originals, taken_over
from partage.records.database import Transaction
from partage.records.glance_database import GlanceDatabase
from partage.records.taken_over import Taken, TakenKind

_IMAGES_AT_ONCE = 100
_T = TypeVar("_T")


@dataclass(slots=True)
class ImageReport:
    """What a run did, or would do. Sizes in bytes. `refused`, `kept` and `warnings` have a sentence for each image."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    members: int = 0
    in_place: int = 0
    in_place_bytes: int = 0
    referenced: int = 0
    deleted_ids: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Offered:
    """An image that Glance has, and its fingerprint."""

    coming: Coming
    fingerprint: str


def take_images(service: Service, glance: GlanceDatabase, places: Places, *, dry_run: bool) -> ImageReport:
    """Take over the images of a Glance with members, tags, properties and the places of their bytes.

    With `dry_run` nothing is written.

    Raises:
        Unavailable: a database cannot be read or written.
    """
    report, seen = ImageReport(), set[str]()
    with service.database.read() as tx:
        known = taken_over.find_all(tx, glance.source, TakenKind.IMAGE)
    offered = _offer(service, places, _note_seen(glance.list_images(), seen), known, report)
    for some in _batch(offered):
        _take(service, glance.source, some, known, report, dry_run=dry_run)
    deleted = glance.list_deleted_ids()
    set_of_deleted = frozenset(deleted)
    gone = [ImageID(key) for key in known if key not in seen]
    for some_gone in _batch(gone):
        _remove(service, glance.source, some_gone, known, report, deleted=set_of_deleted, dry_run=dry_run)
    report.deleted_ids = len(deleted)
    if not dry_run:
        for some_deleted in _batch(deleted):
            with service.database.write() as tx:
                images.note_deleted(
                    tx, [each for each in some_deleted if images.find_or_none(tx, each) is None], now=service.clock()
                )
    return report


def _batch(given: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(given)
    while some := list(islice(rest, _IMAGES_AT_ONCE)):
        yield some


def _note_seen(given: Iterator[GlanceImage], seen: set[str]) -> Iterator[GlanceImage]:
    for each in given:
        seen.add(each.id)
        yield each


def _offer(
    service: Service, places: Places, given: Iterator[GlanceImage], known: dict[str, Taken], report: ImageReport
) -> Iterator[_Offered]:
    """Yield the images that are new or were changed in Glance, and can be taken over; report the others."""
    for each in given:
        fingerprint = preparing.describe(each, places)
        if each.id in known and known[each.id].fingerprint == fingerprint:
            report.unchanged += 1
            continue
        try:
            coming = preparing.prepare(service, places, each)
        except problems.Invalid as problem:
            report.refused[each.id] = problem.sentence()
            continue
        yield _Offered(coming, fingerprint)


def _take(
    service: Service,
    source: str,
    some: Sequence[_Offered],
    known: dict[str, Taken],
    report: ImageReport,
    *,
    dry_run: bool,
) -> None:
    transaction = service.database.read if dry_run else service.database.write
    with transaction() as tx:
        for each in some:
            image = each.coming.image
            present = images.find_or_none(tx, image.id) if dry_run else images.find_for_work(tx, image.id)
            reason = _find_obstacle(tx, source, image, present, known.get(image.id))
            if reason:
                report.kept[image.id] = reason
                continue
            _count(report, each.coming, is_new=present is None)
            if not dry_run:
                _write(service, tx, each.coming, present)
                taken_over.note(tx, source, TakenKind.IMAGE, image.id, Taken(each.fingerprint, image.updated_at))
                members_here = Taken(_describe_members(tx, image.id), image.updated_at)
                taken_over.note(tx, source, TakenKind.MEMBERS, image.id, members_here)


def _find_obstacle(tx: Transaction, source: str, image: Image, present: Image | None, taken: Taken | None) -> str:
    """Say why an image is not written; empty if it may be."""
    if present is None:
        return "it was deleted here, and its id is not used again" if images.was_deleted(tx, image.id) else ""
    if taken is None:
        return "an image of this id is here that was not taken over from this Glance"
    if preparing.is_changed_here(present, taken.written_at):
        return "it was changed here since it was taken over"
    given = taken_over.find(tx, source, TakenKind.MEMBERS, image.id)  # a change of members does not change their image
    if given is not None and given.fingerprint != _describe_members(tx, image.id):
        return "its members were changed here since it was taken over"
    return ""


def _describe_members(tx: Transaction, image_id: ImageID) -> str:
    return preparing.compute_fingerprint(sorted((each.member_id, each.status) for each in members.list_all(tx, image_id)))


def _count(report: ImageReport, coming: Coming, *, is_new: bool) -> None:
    report.new += is_new
    report.changed += not is_new
    report.members += len(coming.members)
    report.referenced += bool(coming.image.references)
    if coming.content is not None:
        report.in_place += 1
        report.in_place_bytes += coming.content.size_bytes
    if coming.warnings:
        report.warnings[coming.image.id] = "; ".join(coming.warnings)


def _write(service: Service, tx: Transaction, coming: Coming, present: Image | None) -> None:
    content_id = _find_content(tx, coming, present)
    is_known = content_id is not None
    if coming.content is not None and content_id is None:
        content_id = ContentID(service.new_id())
        contents.add_in_place(tx, content_id, coming.content, now=service.clock())
    attached = preparing.attach(coming, content_id)
    if content_id is not None and not (is_known and _is_cut(tx, content_id)):
        originals.replace_all(tx, content_id, tuple(attached.originals.values()))
    if present is None:
        images.add(tx, attached.image)
    else:
        images.save(tx, attached.image, was=present)
    _write_members(tx, attached, present)


def _find_content(tx: Transaction, coming: Coming, present: Image | None) -> ContentID | None:
    """Return the content that the image has here, if Glance has the same bytes: bytes of an active image never change."""
    if coming.content is None or present is None or present.content_id is None:
        return None
    same = ("size", "checksum", "os_hash_algo", "os_hash_value", "stores")
    is_same = all(getattr(present, name) == getattr(coming.image, name) for name in same)
    return present.content_id if is_same and contents.lock(tx, present.content_id) else None


def _is_cut(tx: Transaction, content_id: ContentID) -> bool:
    return any(each.cut_at is not None for each in originals.list_of_content(tx, content_id))


def _write_members(tx: Transaction, coming: Coming, present: Image | None) -> None:
    wanted = {each.member_id: each for each in coming.members}
    here = {} if present is None else {each.member_id: each for each in members.list_all(tx, present.id)}
    for member_id, member in here.items():
        if member_id not in wanted:
            members.remove(tx, member)
        elif member.status is not wanted[member_id].status:
            members.set_status(tx, wanted[member_id])
    for member_id, member in wanted.items():
        if member_id not in here:
            members.add(tx, member, coming.image)


def _remove(
    service: Service,
    source: str,
    gone: Sequence[ImageID],
    known: dict[str, Taken],
    report: ImageReport,
    *,
    deleted: Collection[ImageID],
    dry_run: bool,
) -> None:
    """Delete the images that Glance had at an earlier run and has deleted, unless they were changed here.

    One of which Glance has no row stays: perhaps this is the database of another Glance, at the same address.
    """
    transaction = service.database.read if dry_run else service.database.write
    with transaction() as tx:
        for image_id in gone:
            present = images.find_or_none(tx, image_id) if dry_run else images.find_for_work(tx, image_id)
            if present is not None and preparing.is_changed_here(present, known[image_id].written_at):
                report.kept[image_id] = "it was deleted in Glance, and changed here since it was taken over"
                continue
            if present is not None and image_id not in deleted:
                report.kept[image_id] = (
                    "Glance's database has no row of it, not even as deleted; delete it here, if this is the Glance it came from"
                )
                continue
            report.removed += present is not None
            if dry_run:
                continue
            if present is not None:
                images.remove(tx, present)
                _forget_originals(tx, present)
            for kind in (TakenKind.IMAGE, TakenKind.MEMBERS):
                taken_over.remove(tx, source, kind, image_id)


def _forget_originals(tx: Transaction, removed: Image) -> None:
    """Forget where the bytes of an image are that Glance has deleted, with its bytes."""
    if removed.content_id is not None and not images.list_by_content(tx, removed.content_id):
        originals.replace_all(tx, removed.content_id, ())
