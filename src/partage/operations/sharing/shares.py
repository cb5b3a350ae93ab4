"""Find and list shares. A caller finds those of its own project, as owner or as member."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.image import ImageStatus
from partage.model.share import Share, SharePage, SharePosition, ShareQuery
from partage.operations import promises
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.policies.images import GET_IMAGE
from partage.records import images, shares, takedowns
from partage.records.database import Transaction


def list_shares(service: Service, caller: Caller, query: ShareQuery) -> SharePage:
    """Return a page of the shares that the caller's project has received, or of those that it has offered.

    Raises:
        PolicyForbids: the caller may list none.
    """
    service.authority.require(caller, rules.LIST_SHARES, authority.project_target(caller.project_id))
    if query.limit == 0:
        return SharePage([], has_more=False)
    now = service.clock()
    with service.database.read() as tx:
        found = _read_page(tx, caller, query, now)
        if not service.authority.hides_images:
            return found
        # An operator's rule hides some images: read on until the page is full.
        shown = _filter_visible(service, caller)
        kept = list(filter(shown, found.shares))
        while found.has_more and len(kept) <= query.limit:
            query = replace(query, after=SharePosition.after(found.shares[-1]))
            found = _read_page(tx, caller, query, now)
            kept += filter(shown, found.shares)
    return SharePage(kept[: query.limit], has_more=len(kept) > query.limit)


def show_share(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share:
    """Return one share.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not see it.
    """
    with service.database.read() as tx:
        taken = takedowns.find(tx, caller, image_id, member_id, now=service.clock())
        try:
            share = find(service, tx, caller, image_id, member_id)
        except problems.ShareNotFound:
            if taken is None or not _filter_visible(service, caller)(taken):
                raise
            share = taken
    service.authority.require(caller, rules.GET_SHARE, authority.share_target(share))
    return share if taken is None else _add_takedown(share, taken)


def find(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share:
    """Return one share that the caller may know of, and whose image the rule `get_image` lets it see.

    Raises:
        ShareNotFound: there is none.
    """
    share = shares.find(tx, caller, image_id, member_id, now=service.clock())
    if not _filter_visible(service, caller)(share):
        raise problems.ShareNotFound(shares.NO_SHARE.format(image_id, member_id))
    return share


def find_for_change(service: Service, tx: Transaction, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share:
    """Return one share, with its image locked until the transaction ends.

    The share is read twice: only a caller that may know of it locks the image, and another may have changed it before the lock.

    Raises:
        ShareNotFound: as `find`.
    """
    find(service, tx, caller, image_id, member_id)
    images.lock(tx, image_id)
    promises.settle_ended(service, tx, image_id)
    return find(service, tx, caller, image_id, member_id)


def _read_page(tx: Transaction, caller: Caller, query: ShareQuery, now: datetime) -> SharePage:
    """Read a page of shares, and those that an administrator has taken down, in one order."""
    found = shares.page(tx, caller, query, now=now)
    taken = {SharePosition.after(each): each for each in takedowns.page(tx, caller, query, now=now)}
    if not taken:
        return found
    rows = {SharePosition.after(each): each for each in found.shares}
    merged = taken | {key: _add_takedown(each, taken[key]) if key in taken else each for key, each in rows.items()}
    ordered = [merged[key] for key in sorted(merged, key=_order, reverse=True)]
    return SharePage(ordered[: query.limit], has_more=found.has_more or len(ordered) > query.limit)


def _order(position: SharePosition) -> tuple[datetime, str, str]:
    return position.image_created_at, position.image_id, position.member_id


def _add_takedown(share: Share, taken: Share) -> Share:
    """Return a share with its takedown: that of an image which an administrator has deactivated is current all the same."""
    is_withheld = share.is_current and share.ending is None and share.image.status is ImageStatus.DEACTIVATED
    return replace(share, ending=taken.ending) if is_withheld else share


def _filter_visible(service: Service, caller: Caller) -> Callable[[Share], bool]:
    def is_visible(share: Share) -> bool:
        image = replace(share.visible_image(caller.project_id), owner=share.owner_id)
        return service.authority.allows(caller, GET_IMAGE, authority.image_target(caller, image))

    return is_visible
