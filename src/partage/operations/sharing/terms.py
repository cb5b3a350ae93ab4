"""The terms of shares: the operator's bounds, and changes by the owner."""

from dataclasses import replace
from datetime import datetime

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.member import MemberStatus
from partage.model.share import Share
from partage.model.terms import Terms, TermsChange
from partage.operations import events
from partage.operations.service import Service
from partage.operations.sharing import shares
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import members


def change_terms(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID, change: TermsChange) -> Share:
    """Change the terms of a share. What a member has accepted can only be extended.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not change it.
        ShareConflict: the owner has ended the share.
        TermsRefused: the operator does not allow such terms, or the member has accepted better ones.
    """
    with service.database.write() as tx:
        share = shares.find_for_change(service, tx, caller, image_id, member_id)
        service.authority.require(caller, rules.CHANGE_TERMS, authority.share_target(share))
        if share.ending is not None and not share.is_new_offer:
            raise problems.ShareConflict("The share is ending, and its terms are settled; cancel the ending first")
        terms = change.apply(share.terms)
        if terms == share.terms:
            return share
        check_terms(service, caller, terms, was=share.terms)
        if share.status is MemberStatus.ACCEPTED:
            terms.require_extended(share.terms)
        changed = replace(share, terms=terms, updated_at=service.clock())
        members.set_terms(tx, changed.membership())
        events.record(tx, events.describe_terms(service, caller, share.image, changed.membership()))
    service.announce(Event.MEMBER_UPDATE, changed.membership())
    return changed


def check_terms(service: Service, caller: Caller, terms: Terms, *, was: Terms | None = None) -> None:
    """Check terms against the operator's bounds. A notice that does not change is valid.

    Raises:
        TermsRefused: the notice is too short or too long, or the share would have expired already.
    """
    if was is None or terms.notice != was.notice:
        service.sharing.check_notice(caller, terms.notice)
    if was is None or terms.expires_at != was.expires_at:
        _check_expiry(terms.expires_at, service.clock())


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise problems.TermsRefused("expires_at is in the past; a share expires later than it is offered")
