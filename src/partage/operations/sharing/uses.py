"""Record and release uses of images, and show them: to a project its own, to an image's owner counts and dates of each project.

A use belongs to a project. The project's members record its uses, and services of the cloud do so for any project.
"""

from dataclasses import replace

from partage import problems
from partage.model.caller import ANONYMOUS, Caller
from partage.model.event import SERVICE
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.use import ProjectUses, Use, UseKey, UseQuery
from partage.operations import promises, visible
from partage.operations.events import By
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.policies.images import GET_IMAGE
from partage.records import endings, images, uses
from partage.records.database import Transaction


def record_use(service: Service, caller: Caller, key: UseKey) -> Use:
    """Record a use of an image that the project can see, or note that it was seen again. Twice is the same as once.

    Raises:
        PolicyForbids: the caller may not record uses of this project. This does not depend on the image.
        ImageNotFound: there is no such image, or the project cannot see it.
        TooMany: the project has as many uses of the image as are recorded.
    """
    service.authority.require(caller, rules.RECORD_USE, authority.project_target(key.project_id))
    with service.database.write() as tx:
        _find_for(service, tx, caller, key.project_id, key.image_id)
        images.lock(tx, key.image_id)
        endings.lock(tx, key.image_id, key.project_id)
        # At one moment: a notice that the project still has now does not run out before the use has moved its end.
        now = service.clock()
        service = replace(service, clock=lambda: now)
        # Before the locks another request may have ended the share or deleted the image, and a job the notice.
        _find_for(service, tx, caller, key.project_id, key.image_id)
        was = uses.find(tx, key)
        if was is None:
            service.limits.check_uses(uses.count(tx, key.image_id, key.project_id) + 1)
        use = Use(key, now if was is None else was.recorded_at, now)
        uses.put(tx, use)
        promises.follow_uses(service, tx, _actor(caller, key), key.image_id, key.project_id, now=now)
    return use


def release_use(service: Service, caller: Caller, key: UseKey) -> None:
    """Release a use, also after the project's access has ended. Without such a use nothing changes.

    Raises:
        PolicyForbids: the caller may not release uses of this project. This does not depend on the image.
    """
    service.authority.require(caller, rules.RELEASE_USE, authority.project_target(key.project_id))
    with service.database.write() as tx:
        images.lock(tx, key.image_id)
        now = service.clock()
        if uses.remove(tx, key, seen_until=now):
            uses.note_use(tx, key.image_id, key.project_id, now=now)
            promises.follow_uses(service, tx, _actor(caller, key), key.image_id, key.project_id, now=now)


def list_uses(service: Service, caller: Caller, query: UseQuery) -> list[Use]:
    """List the uses of an image by one project: at most one more than a page has.

    Raises:
        PolicyForbids: the caller may not see the uses of this project. This does not depend on the image.
        ImageNotFound: there is no such image, or the project cannot see it.
    """
    service.authority.require(caller, rules.LIST_USES, authority.project_target(query.project_id))
    with service.database.read() as tx:
        _find_for(service, tx, caller, query.project_id, query.image_id)
        return uses.list_of_project(tx, query.image_id, query.project_id, limit_rows=query.limit + 1, after=query.after)


def count_uses(
    service: Service, caller: Caller, image_id: ImageID, *, limit: int, after: ProjectID | None = None
) -> tuple[list[ProjectUses], int]:
    """List what is known of each member's uses of an image, for its owner: at most one more than a page has.

    Projects that use it and are no members, because it is or was public or community, or because their share is over, are only
    counted. A project that has deleted the image is its owner as long as it is retained.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        PolicyForbids: the caller is not its owner.
    """
    with service.database.read() as tx:
        owner, target = _find_owner(service, tx, caller, image_id)
        service.authority.require(caller, rules.COUNT_USES, target)
        now = service.clock()
        listed = uses.list_for_owner(tx, image_id, owner, now=now, limit_rows=limit + 1, after=after)
        return listed, uses.count_others(tx, image_id, owner, now=now)


def _actor(caller: Caller, key: UseKey) -> By:
    """Return who changes the uses of a project: its own user, an administrator, or a service of the cloud."""
    return caller if caller.is_admin or caller.project_id == key.project_id else SERVICE


def _find_for(service: Service, tx: Transaction, caller: Caller, project_id: ProjectID, image_id: ImageID) -> Image:
    """Return the image if a project can see it, which is the caller's, or one for which the caller acts.

    Raises:
        ImageNotFound: there is no such image, or the project cannot see it.
    """
    if project_id == caller.project_id:
        return visible.find(service, tx, caller, image_id)
    member = Caller(user_id=ANONYMOUS.user_id, project_id=project_id, roles=ANONYMOUS.roles)
    try:
        return images.find(tx, member, image_id, now=service.clock())
    except problems.ImageNotFound as problem:
        raise problems.ImageNotFound(visible.NO_IMAGE.format(image_id)) from problem


def _find_owner(service: Service, tx: Transaction, caller: Caller, image_id: ImageID) -> tuple[ProjectID | None, authority.Target]:
    """Return the owner of an image, also if it has deleted the image, while that is retained; and the target of rules.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
    """
    try:
        image = visible.find(service, tx, caller, image_id)
    except problems.ImageNotFound:
        owner = endings.find_retained(tx, caller, image_id, now=service.clock())
        target = authority.project_target(owner)
        if owner is None or not service.authority.allows(caller, GET_IMAGE, target):
            raise
        return owner, target
    owner = image.former_owner or image.owner
    return owner, authority.image_target(caller, replace(image, owner=owner))
