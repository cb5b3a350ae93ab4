"""Claim a share with a code.

Failed claims are limited for each project and each address, in the database, so that all processes of all hosts count together. A
claim is counted before it is tried, so that concurrent claims cannot exceed the limit, and no longer counted once it succeeds.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.claim_code import WINDOW, ClaimCode, CodeText
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.member import Member, MemberStatus
from partage.model.share import Share
from partage.operations import events, promises
from partage.operations import members as memberships
from partage.operations.service import Service
from partage.operations.sharing import shares
from partage.policies import authority
from partage.policies import sharing as rules
from partage.policies.images import GET_IMAGE
from partage.records import claim_codes, claim_failures, images, members
from partage.records.database import Transaction

_NO_CODE = "There is no such claim code, or it can no longer be used; ask the image's owner for a new one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A claimed share. `is_new`: the project was no member before, so the claim took one of the code's uses."""

    share: Share
    is_new: bool


def claim_share(service: Service, caller: Caller, code: str, address: str) -> Claimed:
    """Make the caller's project an accepted member, on the terms of the code.

    A project that is a member already keeps its terms, and takes no use of the code; a waiting offer is accepted. So a claim can be
    repeated, even if it took the last use. `address` is the client's.

    Raises:
        PolicyForbids: the caller may not answer offers of its project.
        ClaimsExceeded: the project or the address has had too many failed claims.
        ClaimCodeNotFound: the code is wrong, revoked, used up or expired, or its image is not shared any more. One message for all.
        RecipientRefused: the image is the project's own.
        TooMany: the image has the maximum number of members.
    """
    project_id = caller.project_id
    service.authority.require(caller, rules.CLAIM_SHARE, {**authority.project_target(project_id), "member_id": project_id})
    if project_id is None:
        raise problems.PolicyForbids(rule=rules.CLAIM_SHARE)
    sources = _count(service, project_id, address)
    with service.database.write() as tx:
        now = service.clock()
        found = _find(tx, code, now)
        images.lock(tx, found.image_id)
        found = _find(tx, code, now)  # before the lock another request may have changed the image or the code
        promises.settle_ended(service, tx, found.image_id)
        claimed, event = _claim(service, tx, caller, found, now)
        claim_failures.subtract(tx, sources)
        if event is not None:
            _record(service, tx, caller, claimed)
    if event is not None:
        service.announce(event, claimed.share.membership())
    return claimed


def _record(service: Service, tx: Transaction, caller: Caller, claimed: Claimed) -> None:
    image, member = claimed.share.image, claimed.share.membership()
    offer = replace(member, status=MemberStatus.PENDING)
    offered = events.describe_offer(service, caller, image, offer) if claimed.is_new else []
    events.record(tx, *offered, events.describe_answer(service, caller, image, member.member_id, member.status))


def _count(service: Service, project_id: ProjectID, address: str) -> list[str]:
    """Count the claim for its project and its address; return both as they are counted.

    Raises:
        ClaimsExceeded: one of them has too many failed claims. Such a claim only reads.
    """
    chosen = service.sharing.claims
    named = {f"project {project_id}": chosen.failures_per_project, f"address {address}": chosen.failures_per_address}
    limits = {source: limit for source, limit in named.items() if limit}
    now = service.clock()
    with service.database.read() as tx:
        for source, limit in limits.items():
            count, ends_at = claim_failures.find(tx, source, now=now, window=WINDOW)
            if count >= limit:
                raise _refuse(ends_at, now)
    with service.database.write() as tx:
        counted = [(*claim_failures.add(tx, source, now=now, window=WINDOW), limit) for source, limit in limits.items()]
    for count, ends_at, limit in counted:
        if count > limit:
            raise _refuse(ends_at, now)
    return [*limits]


def _refuse(ends_at: datetime, now: datetime) -> problems.ClaimsExceeded:
    return problems.ClaimsExceeded(retry_seconds=math.ceil((ends_at - now).total_seconds()))


def _find(tx: Transaction, code: str, now: datetime) -> ClaimCode:
    text = CodeText.parse(code)
    found = None if text is None else claim_codes.find_claimable(tx, text.id, now=now)
    if text is None or found is None or not found.matches(text):
        raise problems.ClaimCodeNotFound(_NO_CODE)
    return found


def _claim(service: Service, tx: Transaction, caller: Caller, code: ClaimCode, now: datetime) -> tuple[Claimed, Event | None]:
    """Accept the share that there is, or make one; return it, and the event to announce."""
    image = images.find_for_work(tx, code.image_id)
    project_id = caller.project_id
    if image is None or project_id is None or not _may_see(service, caller, image):
        raise problems.ClaimCodeNotFound(_NO_CODE)
    if image.owner == project_id:
        raise problems.RecipientRefused(f"Project {project_id} owns image {image.id}; the code is for other projects")
    # The owner must not be able to tell a refused offer from one that waits: a claim accepts both.
    members.show_hidden(tx, image.id, project_id, now=now)
    was = _find_share(service, tx, caller, image.id, project_id)
    if was is not None and was.is_current:
        if was.status is MemberStatus.ACCEPTED:
            return Claimed(share=was, is_new=False), None
        answered = was.membership().become(MemberStatus.ACCEPTED, now=now)
        members.set_status(tx, answered)
        promises.drop_former_notice(service, tx, image, answered)
        return Claimed(share=shares.find(service, tx, caller, image.id, project_id), is_new=False), Event.MEMBER_UPDATE
    if not claim_codes.take_use(tx, code.id):
        raise problems.ClaimCodeNotFound(_NO_CODE)
    member = Member(
        image_id=image.id,
        member_id=project_id,
        created_at=now,
        updated_at=now,
        status=MemberStatus.ACCEPTED,
        terms=code.terms,
        answered_at=now,
    )
    memberships.check_count(service, tx, image)
    members.add(tx, member, image)
    promises.drop_former_notice(service, tx, image, member)
    return Claimed(share=shares.find(service, tx, caller, image.id, project_id), is_new=True), Event.MEMBER_CREATE


def _may_see(service: Service, caller: Caller, image: Image) -> bool:
    return service.authority.allows(caller, GET_IMAGE, authority.image_target(caller, image))


def _find_share(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, project_id: ProjectID) -> Share | None:
    try:
        return shares.find(service, tx, caller, image_id, project_id)
    except problems.ShareNotFound:
        return None
