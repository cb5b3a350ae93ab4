"""A member never reads what became true of an image after its own access had ended."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from partage.model import patch
from partage.model.document import KnownFormats
from partage.model.event import EventRequest
from partage.model.ids import ImageID, ProjectID
from partage.model.share import Direction, ShareQuery
from partage.model.terms import Terms
from partage.operations import images, promises
from partage.operations.service import Service
from partage.operations.sharing import answers, closing, endings, event_feed, retained, shares
from tests.operations.services import OWNER
from tests.operations.sharing_worlds import ADMIN, MEMBER, set_visibility, share
from tests.operations.test_events import read, said
from tests.services import change_service

A, B = ProjectID("A"), ProjectID("B")
NOTHING = Terms()
SECRET = "renamed-after-the-end"
Step = Callable[[Service, ImageID], object]


def rename(service: Service, image_id: ImageID, *more: tuple[str, str]) -> None:
    changes = [("name", SECRET), *more]
    document = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in changes]
    images.update_image(service, OWNER, image_id, patch.parse(document, version="2.1", known=KnownFormats()))


def collect(service: Service, project: ProjectID) -> str:
    """Write all that a project reads of images that are not its own: events, inbox, and lists of images."""
    who = replace(MEMBER, project_id=project)
    feed = event_feed.list_events(service, who, EventRequest(project_id=project, limit=1000))
    rows = shares.list_shares(service, who, ShareQuery(direction=Direction.IN, limit=100)).shares
    return f"{feed.documents(complete=False)} {rows}"


ENDS: dict[str, Step] = {
    "private": lambda s, i: set_visibility(s, i, "private"),
    "removed": lambda s, i: endings.end_share(s, OWNER, i, B),
    "left": lambda s, i: answers.leave_share(s, MEMBER, i, B),
    "private by an administrator": lambda s, i: set_visibility(s, i, "private", ADMIN),
    "private and renamed at once": lambda s, i: rename(s, i, ("visibility", "private")),
    "expired": lambda s, i: set_visibility(later(s), i, "private"),
}
AFTERWARDS: dict[str, Step] = {
    "remove the membership": lambda s, i: endings.end_share(s, OWNER, i, B),
    "remove the membership by an administrator": lambda s, i: endings.end_share(s, ADMIN, i, B),
    "delete": lambda s, i: images.delete_image(s, OWNER, i),
    "delete by an administrator": lambda s, i: images.delete_image(s, ADMIN, i),
    "take down": retained.take_down,
    "deactivate": lambda s, i: images.deactivate_image(s, OWNER, i),
    "deactivate by an administrator": lambda s, i: images.deactivate_image(s, ADMIN, i),
    "close the owner": lambda s, _i: list(closing.close_project(s, A)),
    "close the member": lambda s, _i: list(closing.close_project(s, B)),
    "run jobs": lambda s, _i: promises.remove_expired(s),
}


def later(service: Service, hours: int = 2) -> Service:
    now = service.clock() + timedelta(hours=hours)
    return replace(service, clock=lambda: now)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("afterwards", AFTERWARDS)
def test_member_does_not_read_a_name_given_after_its_access_ended(service: Service, end: str, afterwards: str) -> None:
    terms = Terms(expires_at=service.clock() + timedelta(hours=1)) if end == "expired" else NOTHING
    service = change_service(service, default_terms=terms)
    image = share(service)
    ENDS[end](service, image.id)
    service = later(service) if end == "expired" else service
    before = collect(service, B)
    if end != "private and renamed at once":
        rename(service, image.id)
    assert SECRET not in before
    has_membership = end in ("private", "private by an administrator", "private and renamed at once")
    if has_membership or not afterwards.startswith("remove"):
        AFTERWARDS[afterwards](service, image.id)
    assert SECRET not in collect(service, B)


def test_owner_reads_that_a_membership_of_its_private_image_was_removed(service_of: Service) -> None:
    service = change_service(service_of, default_terms=NOTHING)
    image = share(service)
    set_visibility(service, image.id, "private")
    before = read(service).last
    endings.end_share(service, OWNER, image.id, B)
    assert said(read(service, after=before).events) == ["A share.ended"]
