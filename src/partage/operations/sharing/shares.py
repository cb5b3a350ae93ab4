"""Find and list shares. A caller finds those of its own project, as owner or as member."""

from collections.abc import Callable
from dataclasses import replace

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.share import Share, SharePage, SharePosition, ShareQuery
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.policies.images import GET_IMAGE
from partage.records import images, shares
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
        found = shares.page(tx, caller, query, now=now)
        if not service.authority.hides_images:
            return found
        # An operator's rule hides some images: read on until the page is full.
        shown = _filter_visible(service, caller)
        kept = list(filter(shown, found.shares))
        while found.has_more and len(kept) <= query.limit:
            query = replace(query, after=SharePosition.after(found.shares[-1]))
            found = shares.page(tx, caller, query, now=now)
            kept += filter(shown, found.shares)
    return SharePage(kept[: query.limit], has_more=len(kept) > query.limit)


def show_share(service: Service, caller: Caller, image_id: ImageID, member_id: ProjectID) -> Share:
    """Return one share.

    Raises:
        ShareNotFound: no such share, or none that the caller may know of.
        PolicyForbids: the caller may not see it.
    """
    with service.database.read() as tx:
        share = find(service, tx, caller, image_id, member_id)
    service.authority.require(caller, rules.GET_SHARE, authority.share_target(share))
    return share


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
    return find(service, tx, caller, image_id, member_id)


def _filter_visible(service: Service, caller: Caller) -> Callable[[Share], bool]:
    def is_visible(share: Share) -> bool:
        image = replace(share.visible_image(caller.project_id), owner=share.owner_id)
        return service.authority.allows(caller, GET_IMAGE, authority.image_target(caller, image))

    return is_visible
