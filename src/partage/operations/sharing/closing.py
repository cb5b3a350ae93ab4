"""Close a project: delete what it owns and keep what it has promised to members.

A closing is a series of batches. Each image has a transaction of its own, so that a closing can be interrupted anywhere and run
again, beside requests, other workers and other closings. What a request with a token of the project creates meanwhile is closed by
a later batch, or by the repetition after all cached tokens have expired (`carry_out_due`).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.closing import Closed, ClosedImage, ClosingRequest, ClosingSource, ProjectState
from partage.model.ending import Ending, EndReason
from partage.model.event import OPERATOR, EventType
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image
from partage.model.member import Member
from partage.operations import events, pending_deletes, promises
from partage.operations.imports import abandon
from partage.operations.service import Service
from partage.records import closings, endings, images, members, metadefs, project_references
from partage.records.database import Transaction

_BATCH = 100
_CLAIMED = timedelta(minutes=1)
"""For so long no other process carries out a closing. The claim is renewed with every batch."""
_CLOCKS_DIFFER = timedelta(minutes=1)
"""Added to the time for which tokens are cached."""

_LOG = logging.getLogger(__name__)


def check_closable(service: Service, project_id: ProjectID) -> ProjectState:
    """Return what Keystone says of the project, unless the project is in use.

    Raises:
        Conflict: Keystone has the project, and it is enabled.
        IdentityUnavailable: Keystone does not respond.
    """
    state = _read_state(service, project_id)
    if state is ProjectState.ENABLED:
        raise problems.Conflict(
            f"Project {project_id} exists in Keystone and is enabled; disable or delete it there first, or use --force"
        )
    return state


def preview(service: Service, project_id: ProjectID) -> Iterator[Closed]:
    """Yield batches of what closing the project would do, without changing anything."""
    found: list[Image] = []
    while not found or len(found) == _BATCH:
        with service.database.read() as tx:
            found = images.list_owned(tx, project_id, after=found[-1] if found else None, limit_rows=_BATCH)
            previewed = tuple(_preview_image(service, tx, each) for each in found)
        if not found:
            break
        yield Closed(images=previewed)
    with service.database.read() as tx:
        others = Closed(
            shares=closings.count_received(tx, project_id),
            namespaces=metadefs.count_owned(tx, project_id, public=False),
            records=project_references.count_records(tx, project_id),
        )
    yield others


def close_project(service: Service, project_id: ProjectID) -> Iterator[Closed]:
    """Close the project and yield what each batch has done, until nothing is left. Idempotent, and safe to interrupt."""
    while not (closed := _close_batch(service, project_id)).is_empty:
        yield closed


def count_public_namespaces(service: Service, project_id: ProjectID) -> int:
    """Count the project's public metadata definitions: other projects use them, so that closing keeps them."""
    with service.database.read() as tx:
        return metadefs.count_owned(tx, project_id, public=True)


def request_closing(service: Service, project_id: ProjectID, source: ClosingSource, *, after_tokens: bool = False) -> None:
    """Record that a worker is to close the project: now, or after all cached tokens of the project have expired."""
    now = service.clock()
    due_at = now + _get_token_lifetime(service) if after_tokens else now
    with service.database.write() as tx:
        closings.put(tx, ClosingRequest(project_id=project_id, source=source, requested_at=now, due_at=due_at))


def carry_out_due(service: Service) -> bool:
    """Carry out the closing that is due, if there is one; return whether there was.

    Keystone is asked first. A project that it still has is not closed; only the operator's request closes a disabled one. A closing
    is repeated after all cached tokens of the project have expired.

    Raises:
        IdentityUnavailable: Keystone does not respond; the closing stays due.
    """
    with service.database.read() as tx:
        request = closings.find_due(tx, now=service.clock())
    if request is None:
        return False
    state = _read_state(service, request.project_id)
    if state is ProjectState.ENABLED or (state is ProjectState.DISABLED and request.source is ClosingSource.NOTIFICATION):
        _LOG.warning("Project %s is not closed: Keystone has it, and says that it is %s", request.project_id, state)
        with service.database.write() as tx:
            closings.remove(tx, request.project_id)
        return True
    _carry_out(service, request)
    return True


def _carry_out(service: Service, request: ClosingRequest) -> None:
    """Close a project batch by batch, as long as no other process has claimed the closing."""
    claimed = _claim(service, request)
    while claimed is not None:
        if _close_batch(service, request.project_id).is_empty:
            _finish(service, claimed)
            return
        claimed = _claim(service, claimed)


def _claim(service: Service, request: ClosingRequest) -> ClosingRequest | None:
    claimed = replace(request, due_at=service.clock() + _CLAIMED)
    with service.database.write() as tx:
        return claimed if closings.postpone(tx, request, claimed.due_at) else None


def _finish(service: Service, request: ClosingRequest) -> None:
    """Forget a closing, or postpone it once until all cached tokens of the project have expired."""
    repeated_at = request.requested_at + _get_token_lifetime(service)
    with service.database.write() as tx:
        if service.clock() < repeated_at:
            closings.postpone(tx, request, repeated_at)
        else:
            closings.remove(tx, request.project_id)
    _LOG.info("Project %s was closed", request.project_id)


def _get_token_lifetime(service: Service) -> timedelta:
    return service.integrations.tokens_cached + _CLOCKS_DIFFER


def _read_state(service: Service, project_id: ProjectID) -> ProjectState:
    recipients = service.integrations.recipients
    if recipients is None:
        raise problems.IdentityUnavailable("This service has no connection to Keystone, which knows whether the project exists")
    return recipients.read_state(project_id)


def _close_batch(service: Service, project_id: ProjectID) -> Closed:
    while owned := _list_owned(service, project_id):
        closed = [_close_image(service, project_id, each) for each in owned]
        if any(closed):  # otherwise another process has closed them meanwhile
            return Closed(images=tuple(each for each in closed if each is not None))
    others = Closed(shares=_leave_shares(service, project_id), namespaces=_remove_namespaces(service, project_id))
    return Closed(records=_remove_records(service, project_id)) if others.is_empty else others


def _list_owned(service: Service, project_id: ProjectID) -> list[ImageID]:
    with service.database.read() as tx:
        return [each.id for each in images.list_owned(tx, project_id, limit_rows=_BATCH)]


def _close_image(service: Service, project_id: ProjectID, image_id: ImageID) -> ClosedImage | None:
    """Delete an image as its owner would, protected or not; None if it does not belong to the project any more."""
    # An administrator who deletes the image of another project ends every promise.
    owner = Caller(user_id=UserID(""), project_id=project_id, roles=frozenset())
    with service.database.write() as tx:
        found = images.find_for_work(tx, image_id)
        if found is None or found.owner != project_id:
            return None
        image, task = abandon.end_import(service, tx, found, f"Image {image_id} was deleted: its project was closed")
        promises.end_all_shares(service, tx, owner, image, EndReason.PROJECT_CLOSED, by=OPERATOR)
        deleted = pending_deletes.remove_image(service, tx, image, now=service.clock())
        kept_for = promises.list_kept(service, tx, image)
        events.record(tx, events.describe_image(service, OPERATOR, EventType.IMAGE_DELETED, deleted))
    if task is not None:
        service.announce(Event.TASK_FAILURE, task)
    service.announce(Event.IMAGE_DELETE, deleted)
    return _describe(image, kept_for)


def _preview_image(service: Service, tx: Transaction, image: Image) -> ClosedImage:
    return _describe(image, promises.preview_endings(service, tx, image, EndReason.PROJECT_CLOSED))


def _describe(image: Image, kept_for: Sequence[Ending]) -> ClosedImage:
    return ClosedImage(
        image_id=image.id, name=image.name, visibility=image.visibility, size_bytes=image.size or 0, kept_for=tuple(kept_for)
    )


def _leave_shares(service: Service, project_id: ProjectID) -> int:
    """Give up a batch of shares with the project: offers, accepted ones, and notices that run for it; return how many."""
    left: list[Member] = []
    with service.database.write() as tx:
        received = closings.list_received_image_ids(tx, project_id, limit_rows=_BATCH)
        for image_id in received:
            image = images.find_for_work(tx, image_id)
            promises.settle_ended(service, tx, image_id)
            has_access = _has_access(service, tx, project_id, image_id)
            member = members.take(tx, image_id, project_id)
            left += [] if member is None else [member]
            had_notice = endings.remove(tx, image_id, project_id)
            if image is not None and (member is not None or had_notice):
                left_share = events.describe_share(service, OPERATOR, EventType.SHARE_LEFT, image, project_id)
                events.record(tx, replace(left_share, is_hidden=not has_access))
    for each in left:
        service.announce(Event.MEMBER_DELETE, each)
    return len(received)


def _has_access(service: Service, tx: Transaction, project_id: ProjectID, image_id: ImageID) -> bool:
    """Whether the project sees the image: not through an offer that its rules refused, or a membership of a private image."""
    try:
        images.find(tx, Caller(user_id=UserID(""), project_id=project_id, roles=frozenset()), image_id, now=service.clock())
    except problems.ImageNotFound:
        return False
    return True


def _remove_namespaces(service: Service, project_id: ProjectID) -> int:
    """Delete a batch of the project's private metadata definitions, protected or not; return how many."""
    with service.database.write() as tx:
        found = metadefs.list_private(tx, project_id, limit_rows=_BATCH)
        for each in found:
            metadefs.remove(tx, each.name)
    for each in found:
        service.announce(Event.NAMESPACE_DELETE, each)
    return len(found)


def _remove_records(service: Service, project_id: ProjectID) -> int:
    with service.database.read() as tx:
        if not project_references.count_records(tx, project_id):  # other transactions do not wait for this search
            return 0
    with service.database.write() as tx:
        return project_references.remove_records(tx, project_id, limit_rows=_BATCH)
