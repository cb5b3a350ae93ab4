"""Members, the Image API's sharing: add, list, show, answer, remove.

Secrecy does not depend on the order of checks, as it does in Glance: `records.members` returns only rows that the caller may see.
"""

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import EventType
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member, MemberStatus
from partage.operations import events, promises, trust, visible
from partage.operations.service import Projects, Service
from partage.policies import authority
from partage.policies import members as rules
from partage.records import endings, members
from partage.records.database import Transaction


def add_member(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Member:
    """Offer a shared image to a project. The offer is pending until that project answers, or its trust rule.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        ImageNotShared, PolicyForbids: the image is not shared, or the caller may not add members.
        MemberExists: the project is a member already.
        TooMany: the image has the maximum number of members.
        BodyInvalid: members are checked, and the project does not exist, or is the owner.
        IdentityUnavailable: members are checked, and Keystone does not answer.
    """
    if service.integrations.projects is not None:
        _check_project(service, service.integrations.projects, caller, image_id, member_id)
    now = service.clock()
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        image.require_shared(_describe_not_shared("create", image_id))
        service.authority.require(caller, rules.ADD_MEMBER, authority.image_target(caller, image))
        member = Member(
            image_id=image.id, member_id=member_id, created_at=now, updated_at=now, terms=service.sharing.default_terms_of(caller)
        )
        member = trust.find_answers(tx, caller, image, [member_id]).apply(member, now=now)
        check_count(service, tx, image)
        members.add(tx, member, image)
        promises.drop_former_notice(service, tx, image, member)
        events.record(tx, *events.describe_offer(service, caller, image, member))
    service.announce(Event.MEMBER_CREATE, member)
    return member


def list_members(service: Service, caller: Caller, image_id: ImageID) -> list[Member]:
    """List the members: all of them for the owner and administrators, the member's own membership for a member.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        ImageNotShared, PolicyForbids: the image is not shared, or the caller may not list its members.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        image.require_shared(f"Not allowed to list members for image {image_id}: Only shared images have members.")
        service.authority.require(caller, rules.GET_MEMBERS, authority.image_target(caller, image))
        return members.list_members(tx, caller, image.id, now=service.clock())


def show_member(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Member:
    """Return one membership.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        MemberNotFound: there is no such member, the caller may not see it, or the image is not shared.
    """
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        try:
            image.require_shared("Only shared images have members.")
            service.authority.require(caller, rules.GET_MEMBER, authority.image_target(caller, image))
        except problems.Forbidden as problem:
            # Source: Glance returns 404 here, where every other call on members returns 403.
            raise problems.MemberNotFound(problem.sentence()) from problem
        return members.find(tx, caller, image.id, member_id, now=service.clock())


def update_member(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID, status: str) -> Member:
    """Answer an offer, or change the answer. Only the member's project and administrators can, not the owner.

    A member that rejects a share whose notice runs gives up the notice: its access ends at once.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        MemberNotFound: there is no such member, or the caller may not see it.
        ImageNotShared, PolicyForbids: the image is not shared, or the caller is not this member.
        BodyInvalid: there is no such status.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        promises.settle_ended(service, tx, image.id)
        ended = promises.find_ended_share(service, tx, caller, image, member_id) if status == MemberStatus.REJECTED else None
        if ended is None:
            image.require_shared(_describe_not_shared("update", image_id))
        member = ended or members.find(tx, caller, image.id, member_id, now=service.clock())
        service.authority.require(caller, rules.MODIFY_MEMBER, authority.member_target(image, member_id))
        answered = member.become(status, now=service.clock())
        if ended is None:
            members.set_status(tx, answered)
            promises.settle_former_notice(service, tx, caller, image, answered, was=member)
            events.record(tx, events.describe_answer(service, caller, image, member_id, answered.status))
        else:
            # A member that leaves gives up a new offer too; here it does so without having seen one.
            members.remove_hidden(tx, image.id, member_id)
            members.set_status(tx, answered)
            endings.remove(tx, image.id, member_id)
            events.record(tx, events.describe_share(service, caller, EventType.SHARE_LEFT, image, member_id))
    service.announce(Event.MEMBER_UPDATE, answered)
    return answered


def remove_member(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> None:
    """End the share with a project. The project's next request does not find the image, unless the share has notice.

    Raises:
        ImageNotFound: there is no such image, or the caller may not see it.
        MemberNotFound: there is no such member, or the caller may not see it.
        ImageNotShared, PolicyForbids: the image is not shared, or the caller may not remove members.
        ImageGuarded: the member uses the image and would lose access within the cool-down.
    """
    with service.database.write() as tx:
        image = visible.find_for_change(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
        image.require_shared(_describe_not_shared("delete", image_id))
        member = members.find(tx, caller, image.id, member_id, now=service.clock())
        service.authority.require(caller, rules.DELETE_MEMBER, authority.image_target(caller, image))
        promises.end_member_share(service, tx, caller, image, member)
        members.remove(tx, member)
    service.announce(Event.MEMBER_DELETE, member)


def _check_project(service: Service, projects: Projects, caller: Caller, image_id: ImageID, member_id: ProjectID) -> None:
    """Check the project before the transaction, which must not wait for Keystone, and only for callers who may add members."""
    with service.database.read() as tx:
        image = visible.find(service, tx, caller, image_id, absent=visible.IMAGE_NOT_FOUND)
    image.require_shared(_describe_not_shared("create", image_id))
    service.authority.require(caller, rules.ADD_MEMBER, authority.image_target(caller, image))
    if member_id == image.owner:
        raise problems.BodyInvalid(f"The project {member_id} owns image {image_id}; an image is shared with other projects")
    if not projects.has(member_id, asked_by=caller.project_id):
        raise problems.BodyInvalid(
            f"There is no project with the id {member_id[:64]}; a member is named by its id, which its own users see with "
            "openstack token issue"
        )


def _describe_not_shared(verb: str, image_id: ImageID) -> str:
    return f"Not allowed to {verb} members for image {image_id}: only shared images have members."


def check_count(service: Service, tx: Transaction, image: Image) -> None:
    """Check the limit of members for one more, while the image's row is locked, so that concurrent calls cannot exceed it.

    Expired shares do not count: their rows are removed.

    Raises:
        TooMany: the image has the maximum number of members.
    """
    promises.settle_ended(service, tx, image.id)
    try:
        service.limits.check_members(members.count(tx, image.id) + 1)
    except problems.TooMany as problem:
        raise problems.TooMany(f"Image member limit exceeded for image {image.id}: {problem.sentence()}:") from problem
