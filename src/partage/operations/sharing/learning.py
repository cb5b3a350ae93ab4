"""Learn uses from what other services notify or list. Messages may be lost, repeated, late, or in another order.

None of that shortens a promise. A use is removed only by a message that was sent after it was seen, or by the deletion of the
server or volume, which is final. A wrong order can keep a use for too long: until the next message of the same server.
"""

from datetime import datetime, timedelta
from enum import Enum, auto

from partage.model.event import SERVICE
from partage.model.ids import ImageID, ProjectID
from partage.model.use import Use, UseKey, UseKind
from partage.model.use_news import UseChange, UseNews
from partage.operations import promises
from partage.operations.service import Service
from partage.records import images, uses

KEPT = timedelta(days=7)
"""For so long a deleted server or volume is remembered, so that a late message does not record it again."""


class Outcome(Enum):
    """What became of a use that was seen.

    It is recorded now; it was before; it is of no image here, or of a deleted server or volume; the project has too many.
    """

    RECORDED = auto()
    KNOWN = auto()
    IGNORED = auto()
    EXCEEDED = auto()


def learn(service: Service, news: UseNews) -> None:
    """Record or remove uses by what a notification says. Twice is the same as once.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    now = service.clock()
    at = min(news.at or now, now)  # a clock that is ahead must not keep a use for ever
    if news.change is UseChange.ENDED:
        with service.database.write() as tx:
            uses.note_ended(tx, news.kind, news.use_id, now=now)
        _remove_ended(service, news.kind, news.use_id)
        return
    if news.image_id is None:
        return
    key = UseKey(image_id=news.image_id, project_id=news.project_id, kind=news.kind, use_id=news.use_id)
    add(service, key, seen=at)
    if news.change is UseChange.REBUILT:
        _remove_others(service, key, at)


def add(service: Service, key: UseKey, *, seen: datetime) -> Outcome:
    """Record a use that was seen at that time.

    A deletion may be noted while this transaction runs, and not find the use that it adds. So each looks for the other after its
    own commit: here for the deletion, there for the uses.

    Where a project has as many uses as are recorded, it counts as a user until the image is deleted, or until `clear_exceeded`.
    """
    outcome = _add(service, key, seen=seen)
    if outcome not in {Outcome.RECORDED, Outcome.KNOWN}:
        return outcome
    with service.database.read() as tx:
        has_ended = uses.has_ended(tx, key.kind, key.use_id)
    if not has_ended:
        return outcome
    remove(service, key, seen_until=seen)  # a use that the project itself has recorded since stays
    return Outcome.IGNORED


def _add(service: Service, key: UseKey, *, seen: datetime) -> Outcome:
    with service.database.write() as tx:
        if images.find_for_work(tx, key.image_id) is None or uses.has_ended(tx, key.kind, key.use_id):
            return Outcome.IGNORED
        was = uses.find(tx, key)
        most = service.limits.uses
        outcome = Outcome.RECORDED if was is None else Outcome.KNOWN
        if was is None and 0 <= most <= uses.count(tx, key.image_id, key.project_id):
            outcome = Outcome.EXCEEDED
            uses.note_exceeded(tx, key.image_id, key.project_id, now=seen)
        else:
            uses.put(tx, Use(key, seen if was is None else was.recorded_at, seen))
        promises.follow_uses(service, tx, SERVICE, key.image_id, key.project_id, now=service.clock())
    return outcome


def remove(service: Service, key: UseKey, *, seen_until: datetime | None) -> bool:
    """Remove a use that was seen last at that time or before, None is ever; return whether there was one."""
    now = service.clock()
    with service.database.write() as tx:
        images.lock(tx, key.image_id)
        if not uses.remove(tx, key, seen_until=seen_until):
            return False
        uses.note_use(tx, key.image_id, key.project_id, now=now)
        promises.follow_uses(service, tx, SERVICE, key.image_id, key.project_id, now=now)
    return True


def clear_exceeded(service: Service, image_id: ImageID, project_id: ProjectID, *, before: datetime) -> bool:
    """Note that all uses of a project are recorded, unless one could not be since; return whether that is new."""
    with service.database.write() as tx:
        images.lock(tx, image_id)
        if not uses.clear_exceeded(tx, image_id, project_id, before=before):
            return False
        promises.follow_uses(service, tx, SERVICE, image_id, project_id, now=service.clock())
    return True


def remove_remembered(service: Service) -> int:
    """Forget deleted servers and volumes of which no message is on its way any more; return how many."""
    with service.database.write() as tx:
        return uses.remove_ended(tx, before=service.clock() - KEPT)


def _remove_ended(service: Service, kind: UseKind, use_id: str) -> None:
    """Remove all uses of a deleted server or volume, whenever they were seen: hosts' clocks differ, and its end is final."""
    with service.database.read() as tx:
        keys = uses.list_keys(tx, kind, use_id)
    for key in keys:
        remove(service, key, seen_until=None)


def _remove_others(service: Service, kept: UseKey, at: datetime) -> None:
    """Remove the server's uses of the images that it had before it was rebuilt."""
    with service.database.read() as tx:
        keys = uses.list_keys(tx, kept.kind, kept.use_id)
    for key in keys:
        if key.project_id == kept.project_id and key.image_id != kept.image_id:
            remove(service, key, seen_until=at)
