"""Events that other projects cause have a budget of their own, in lists and in the queues of webhooks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from partage.model.event import Actor, EventRequest, EventRetention, EventType, NewEvent
from partage.model.ids import ImageID, ProjectID
from partage.model.image import NewImage
from partage.model.member import MemberStatus
from partage.model.offer import OfferRequest
from partage.model.terms import TermsChange
from partage.model.webhook import WebhookStatus
from partage.operations import images
from partage.operations.service import Service
from partage.operations.sharing import answers, event_feed, offers
from partage.operations.sharing.event_feed import list_events, remove_old_events
from tests.operations.services import OWNER, Clock, make
from tests.operations.sharing_worlds import MEMBER
from tests.operations.test_deliveries import allow, create, deliver, hook, show
from tests.services import change_service
from tests.webhook_receiver import Receiver, receive

FLOOD = 12
FEW = EventRetention(rows_per_project=6, rows_by_others=4)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, clock: Clock, receiver: Receiver) -> Service:
    return allow(make(tmp_path, clock=clock), receiver, event_retention=FEW)


def flood(service: Service, times: int = FLOOD) -> list[str]:
    """Let a foreign project offer images to the member's project; return their ids."""
    found = []
    for _ in range(times):
        image = images.create_image(service, OWNER, NewImage(name="flood"))
        request = OfferRequest(image_ids=(image.id,), projects=("B",), terms=TermsChange())
        offers.offer_shares(service, OWNER, request, key=None, render=str)
        found.append(str(image.id))
    return found


def names(service: Service, after: str | None = None) -> list[str]:
    feed = list_events(service, MEMBER, EventRequest(project_id=MEMBER.project_id, limit=100, after=after))
    return [str(each.data.get("name") or each.type) for each in feed.page.events]


def is_complete(service: Service, after: str | None = None) -> bool:
    return list_events(service, MEMBER, EventRequest(project_id=MEMBER.project_id, limit=2, after=after)).is_complete


def test_offers_of_others_do_not_push_out_own_events(service_of: Service) -> None:
    service = change_service(service_of, event_retention=FEW)
    create(service, "one", "two", caller=MEMBER)
    start = list_events(service, MEMBER, EventRequest(project_id=MEMBER.project_id, limit=1)).after
    flood(service)
    assert is_complete(service, start)
    assert remove_old_events(service) >= FLOOD - FEW.rows_by_others
    assert names(service) == ["one", "two", *["share.offered"] * FEW.rows_by_others]
    assert names(service, start) == ["two", *["share.offered"] * FEW.rows_by_others]
    assert not is_complete(service, start)
    latest = list_events(service, MEMBER, EventRequest(project_id=MEMBER.project_id, limit=1, latest=True))
    assert latest.is_complete
    create(service, "three", caller=MEMBER)
    assert (names(service, latest.after), is_complete(service, latest.after)) == (["three"], True)


def test_answers_of_members_do_not_push_out_the_owners_events(service: Service) -> None:
    image = flood(service, 1)[0]
    for status in [MemberStatus.ACCEPTED, MemberStatus.REJECTED] * FLOOD:
        answers.answer_share(service, MEMBER, ImageID(image), ProjectID("B"), status)
    remove_old_events(service)
    feed = list_events(service, OWNER, EventRequest(project_id=OWNER.project_id, limit=100))
    assert [each.type for each in feed.page.events] == [
        "image.created", "share.offered", *["share.accepted", "share.rejected"] * (FEW.rows_by_others // 2)
    ]  # fmt: skip


def test_webhook_delivers_own_events_in_spite_of_a_flood(service: Service, receiver: Receiver, clock: Clock) -> None:
    webhook = hook(service, receiver, caller=MEMBER)
    create(service, "one", caller=MEMBER)
    flood(service)
    create(service, "two", caller=MEMBER)
    remove_old_events(service)
    deliver(service)
    types = ["partage.image.created", *["partage.share.offered"] * FEW.rows_by_others, "partage.image.created"]
    assert receiver.types == types
    found = show(service, webhook)
    assert (found.status, found.last_error, found.missed_at) == (WebhookStatus.ACTIVE, None, clock.now)


def test_surplus_of_several_batches_is_removed_in_one_run(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "_REMOVED_AT_ONCE", 3)
    flood(service)
    remove_old_events(service)
    assert names(service) == ["share.offered"] * FEW.rows_by_others


@pytest.mark.parametrize(
    ("actor", "for_owner", "for_member"),
    [
        (Actor(project_id=ProjectID("A"), is_operator=True), False, True),
        (Actor(project_id=ProjectID("B"), is_operator=True), True, False),
        (Actor(project_id=ProjectID("Z"), is_operator=True), False, True),
        (Actor(is_operator=True), False, True),
        (Actor(), False, True),
    ],
    ids=["owner", "member", "administrator", "operator", "service"],
)
def test_an_event_counts_for_who_can_cause_it(actor: Actor, *, for_owner: bool, for_member: bool) -> None:
    offered = NewEvent(
        type=EventType.SHARE_OFFERED,
        at=Clock.now,
        image_id=ImageID("i"),
        owner=ProjectID("A"),
        member_id=ProjectID("B"),
        actor=actor,
    )
    assert [offered.is_caused_by_others(each) for each in offered.recipients] == [for_owner, for_member]
    moved = replace(offered, type=EventType.SHARE_ENDING_CHANGED)
    assert moved.is_caused_by_others(ProjectID("A")) is (for_owner or actor.project_id != "A")
    of_image = replace(offered, type=EventType.IMAGE_UPDATED, member_id=None)
    assert not of_image.is_caused_by_others(ProjectID("A"))
