"""A takedown is shown as such: to the image's owner and to the member, for a bounded time, and to nobody else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ending import TAKEDOWN_SHOWN, EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.member import MemberStatus
from partage.model.share import Direction, Share, SharePosition, ShareQuery
from partage.operations import images, members, pending_deletes, promises
from partage.operations.service import Service
from partage.operations.sharing import endings, retained, shares
from partage.records import takedowns
from tests.operations.services import OWNER, Clock
from tests.operations.sharing_worlds import ADMIN, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.services import change_service

B = ProjectID("B")
Take = Callable[[Service, ImageID], Any]


def take_private(service: Service, image_id: ImageID) -> None:
    set_visibility(service, image_id, "private", ADMIN)


TAKEN: dict[str, Take] = {
    "delete": lambda service, image_id: images.delete_image(service, ADMIN, image_id),
    "deactivate": lambda service, image_id: images.deactivate_image(service, ADMIN, image_id),
    "private": take_private,
    "remove": lambda service, image_id: members.remove_member(service, ADMIN, image_id, B),
    "end share": lambda service, image_id: endings.end_share(service, ADMIN, image_id, B),
    "operator": retained.take_down,
}
every_takedown = pytest.mark.parametrize("taken", TAKEN.values(), ids=TAKEN)


@pytest.fixture(params=["P0D", "forever"])
def service(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock, request.param)


def list_shares_of(service: Service, who: Caller, direction: Direction, **more: Any) -> list[Share]:
    return list(shares.list_shares(service, who, ShareQuery(direction=direction, limit=100, **more)).shares)


def reasons(found: list[Share]) -> list[str | None]:
    return [None if each.ending is None else each.ending.reason.value for each in found]


def is_shown_to_both(service: Service, image: Image) -> bool:
    sides = ((OWNER, Direction.OUT), (MEMBER, Direction.IN))
    rows = [reasons(list_shares_of(service, who, direction, image_id=image.id)) for who, direction in sides]
    single = []
    for who, _direction in sides:
        try:
            single.append(reasons([shares.show_share(service, who, image.id, B)]))
        except problems.ShareNotFound:
            single.append([])
    return [*rows, *single] == [["taken-down"]] * 4


@every_takedown
def test_takedown_is_shown_to_owner_and_member(service: Service, clock: Clock, taken: Take) -> None:
    image = share(service)
    taken(service, image.id)
    assert is_shown_to_both(service, image)
    shown = shares.show_share(service, MEMBER, image.id, B)
    assert shown.ending is not None
    assert (shown.ending.began_at, shown.ending.ends_at) == (clock.now, clock.now)
    assert (shown.owner_id, shown.status, shown.image.name, shown.image.size) == ("A", "accepted", image.name, image.size)
    status = dict.fromkeys(("delete", "operator"), ImageStatus.DELETED) | {"deactivate": ImageStatus.DEACTIVATED}
    wanted = status.get(next(name for name, each in TAKEN.items() if each is taken), ImageStatus.ACTIVE)
    assert shown.visible_image(B).status is wanted


@every_takedown
def test_takedown_is_shown_to_nobody_else(service: Service, taken: Take) -> None:
    image = share(service)
    taken(service, image.id)
    for direction in Direction:
        assert list_shares_of(service, OTHER, direction) == []
    with pytest.raises(problems.ShareNotFound) as failed:
        shares.show_share(service, OTHER, image.id, B)
    with pytest.raises(problems.ShareNotFound) as never:
        shares.show_share(service, OTHER, ImageID("never"), B)
    assert failed.value.sentence() == never.value.sentence().replace("never", image.id)


@every_takedown
def test_takedown_is_shown_for_a_bounded_time(service: Service, clock: Clock, taken: Take) -> None:
    image = share(service)
    taken(service, image.id)
    clock.now += TAKEDOWN_SHOWN
    assert not is_shown_to_both(service, image)
    promises.remove_expired(service)
    clock.now -= TAKEDOWN_SHOWN
    assert not is_shown_to_both(service, image)


@every_takedown
def test_takedown_gives_no_access(service: Service, taken: Take) -> None:
    image = share(service)
    taken(service, image.id)
    with pytest.raises((problems.NotFound, problems.Conflict)):
        endings.cancel_ending(service, OWNER, image.id, B)
    if taken is not TAKEN["deactivate"]:
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, MEMBER, image.id)


def test_takedown_of_a_retained_image_is_shown(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, "forever")
    image = share(service)
    images.delete_image(service, OWNER, image.id)
    images.delete_image(service, ADMIN, image.id)
    assert is_shown_to_both(service, image)


def test_pending_and_rejected_offers_are_not_shown_as_taken_down(service: Service) -> None:
    for image in (offer(service, "B"), share(service, "rejected")):
        images.delete_image(service, ADMIN, image.id)
        assert list_shares_of(service, OWNER, Direction.OUT, image_id=image.id) == []


def test_own_ending_is_no_takedown(service: Service) -> None:
    image = share(service)
    images.deactivate_image(service, OWNER, image.id)
    assert "taken-down" not in reasons(list_shares_of(service, MEMBER, Direction.IN))


def test_reactivated_or_shared_image_is_not_shown_as_taken_down(service: Service) -> None:
    image = share(service)
    images.deactivate_image(service, ADMIN, image.id)
    images.reactivate_image(service, ADMIN, image.id)
    take_private(service, image.id)
    set_visibility(service, image.id, "shared", ADMIN)
    assert reasons(list_shares_of(service, MEMBER, Direction.IN)) == [None]
    members.remove_member(service, OWNER, image.id, B)
    assert "taken-down" not in reasons(list_shares_of(service, OWNER, Direction.OUT))


def test_new_offer_replaces_the_takedown(service: Service) -> None:
    image = share(service)
    members.remove_member(service, ADMIN, image.id, B)
    members.add_member(service, OWNER, image.id, B)
    (row,) = list_shares_of(service, MEMBER, Direction.IN)
    assert (row.status, row.ending) == (MemberStatus.PENDING, None)
    members.remove_member(service, OWNER, image.id, B)
    assert list_shares_of(service, MEMBER, Direction.IN) == []


def test_restored_image_is_not_shown_as_taken_down(service: Service) -> None:
    delayed = change_service(service, delayed_delete=True)
    image = share(delayed)
    images.delete_image(delayed, ADMIN, image.id)
    pending_deletes.restore(delayed, image.id)
    assert reasons(list_shares_of(delayed, MEMBER, Direction.IN)) == [None]
    images.delete_image(delayed, OWNER, image.id)
    assert "taken-down" not in reasons(list_shares_of(delayed, OWNER, Direction.OUT))


def test_pages_have_shares_and_takedowns_in_one_order(service: Service, clock: Clock) -> None:
    made = []
    for number in range(7):
        clock.passes(seconds=1)
        made.append(share(service).id)
        if number % 2:
            images.delete_image(service, ADMIN, made[-1])
    found: list[Share] = []
    query = ShareQuery(direction=Direction.IN, limit=2)
    while True:
        page = shares.list_shares(service, MEMBER, query)
        assert len(page.shares) <= 2
        found += page.shares
        if not page.has_more:
            break
        query = replace(query, after=SharePosition.after(page.shares[-1]))
    assert [each.image.id for each in found] == made[::-1]
    assert reasons(found) == [None, "taken-down"] * 3 + [None]


def test_filters_of_lists_hold_for_takedowns(service: Service) -> None:
    image = share(service)
    images.delete_image(service, ADMIN, image.id)
    for wanted in ({"status": MemberStatus.ACCEPTED}, {"image_id": image.id}, {"project_id": ProjectID("A")}):
        assert reasons(list_shares_of(service, MEMBER, Direction.IN, **wanted)) == ["taken-down"]
    for other in ({"status": MemberStatus.PENDING}, {"image_id": ImageID("x")}, {"project_id": B}):
        assert list_shares_of(service, MEMBER, Direction.IN, **other) == []


def test_takedowns_of_an_owner_are_bounded(service: Service, clock: Clock) -> None:
    image = share(service)
    with service.database.write() as tx:
        (member,) = promises.members.list_all(tx, image.id)
        for number in range(takedowns.MOST_OF_OWNER + 5):
            clock.passes(seconds=1)
            gone = replace(image, id=ImageID(f"gone-{number}"))
            takedowns.add(tx, gone, [replace(member, image_id=gone.id)], EndReason.DELETED, now=clock.now)
    found = shares.list_shares(service, MEMBER, ShareQuery(direction=Direction.IN, limit=2000)).shares
    assert len([each for each in found if each.ending is not None]) == takedowns.MOST_OF_OWNER
