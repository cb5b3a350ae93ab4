"""What positions of events tell a project: nothing of other projects' events; and no event is missed for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as listening

from partage import problems
from partage.model.caller import Caller
from partage.model.event import EventRequest, EventType, NewEvent
from partage.model.ids import ImageID, ProjectID
from partage.model.image import NewImage
from partage.model.offer import OfferRequest
from partage.model.share import Direction, ShareQuery
from partage.model.terms import TermsChange
from partage.model.trust import TrustAnswer, TrustKind, TrustSubject
from partage.model.webhook import NewWebhook, Webhook
from partage.operations import images, members, trust
from partage.operations.service import Service
from partage.operations.sharing import endings, event_feed, offers, shares, terms, webhooks
from partage.records import event_keys, events
from partage.records import webhooks as webhook_rows
from tests import postgresql
from tests.operations.services import OWNER, Clock, image_with
from tests.operations.sharing_worlds import DATA, MEMBER, change_notice, service_with
from tests.services import change_service

HOOK = NewWebhook(url="https://hooks.example.org/")
B, X = ProjectID("B"), ProjectID("X")


def read(service: Service, after: str | None = None, caller: Caller = OWNER, **more: Any) -> dict[str, Any]:
    asked = EventRequest(project_id=caller.project_id, limit=100, after=after, **more)
    feed = event_feed.list_events(service, caller, asked)
    return {"after": feed.after, "events": feed.documents(complete=False)}


@contextmanager
def note_statements(service: Service, found: list[Any]) -> Iterator[None]:
    """Append the statements that the block executes."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    engine = service.database._engine  # noqa: SLF001 -- to see what reaches the driver
    listening.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        listening.remove(engine, "before_cursor_execute", note)
        found.append(statements)


def observe_offers(service: Service, clock: Clock, *, refused: bool) -> list[Any]:
    """Offer an image to project B, which refuses it or lets it wait; return all that the owner observes, and the statements."""
    answer = TrustAnswer.REFUSE if refused else TrustAnswer.ASK
    trust.set_rule(service, MEMBER, TrustSubject(TrustKind.PROJECT, "A"), answer)
    service = change_service(service, new_id=iter(f"{number:032x}" for number in range(1000)).__next__)
    seen: list[Any] = []
    hook = create_webhook(service)
    image = image_with(service, DATA)
    both = OfferRequest(image_ids=(image.id,), projects=("B", "X"), terms=TermsChange())
    with note_statements(service, seen):
        seen.append(offers.offer_shares(service, OWNER, both, key=None, render=str))
    seen += [read(service), read(service, latest=True), create_webhook(service)]
    clock.passes(seconds=1)
    for each in (B, X):
        with note_statements(service, seen):
            terms.change_terms(service, OWNER, image.id, each, change_notice("P5D"))
        seen += [read(service, latest=True), shares.show_share(service, OWNER, image.id, each)]
        with note_statements(service, seen):
            endings.end_share(service, OWNER, image.id, each)
        with note_statements(service, seen):
            members.add_member(service, OWNER, image.id, each)
        seen += [read(service), create_webhook(service)]
    listed = shares.list_shares(service, OWNER, ShareQuery(direction=Direction.OUT, limit=10)).shares
    seen += [listed, images.show_image(service, OWNER, image.id), members.list_members(service, OWNER, image.id)]
    images.delete_image(service, OWNER, image.id)
    images.create_image(service, OWNER, NewImage(name="next"))
    return [*seen, read(service), webhooks.show_webhook(service, OWNER, hook.id)]


def create_webhook(service: Service) -> Webhook:
    return replace(webhooks.create_webhook(service, OWNER, HOOK), secret="")


def rename(seen: object) -> str:
    """Write what was observed, each cursor replaced by the number of its first appearance, and offers as not hidden."""
    names: dict[str, str] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: number(each) if key in ("after", "cursor") else visit(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [visit(each) for each in value]
        if isinstance(value, Webhook):
            return replace(value, after=number(value.after), position=0)
        return repr(value).replace("is_hidden=True", "is_hidden=False")

    def number(cursor: str) -> str:
        return names.setdefault(cursor, f"cursor {len(names)}")

    return "\n".join(str(visit(each)) for each in seen)  # type: ignore[attr-defined]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_refused_offer_is_the_same_to_its_sender_as_one_that_waits(database: str, tmp_path: Path) -> None:
    found = []
    for refused in (True, False):
        clock = Clock()
        folder = tmp_path / str(refused)
        if database == "sqlite":
            found.append(rename(observe_offers(service_with(folder, clock), clock, refused=refused)))
            continue
        with postgresql.server() as url:
            service = service_with(folder, clock, url=url)
            found.append(rename(observe_offers(service, clock, refused=refused)))
    assert found[0] == found[1]
    assert "share.terms_changed" in found[0]


def test_positions_of_a_project_do_not_move_with_events_of_others(service_of: Service) -> None:
    images.create_image(service_of, OWNER, NewImage(name="own"))
    hook = create_webhook(service_of)
    before = [read(service_of), read(service_of, latest=True), read(service_of, hook.after)]
    images.create_image(service_of, MEMBER, NewImage(name="foreign"))
    assert [read(service_of), read(service_of, latest=True), read(service_of, hook.after)] == before
    assert create_webhook(service_of).after == hook.after == before[0]["after"] == before[1]["after"] == before[2]["after"]


def test_position_after_the_removal_of_all_events_is_not_gone(service_of: Service, clock: Clock) -> None:
    images.create_image(service_of, OWNER, NewImage(name="old"))
    clock.passes(days=91)
    assert event_feed.remove_old_events(service_of) == 1
    with pytest.raises(problems.EventsGone):
        read(service_of, write_cursor(service_of, 0))
    hook = create_webhook(service_of)
    positions = [read(service_of)["after"], read(service_of, latest=True)["after"], hook.after]
    images.create_image(service_of, OWNER, NewImage(name="new"))
    for each in positions:
        assert [found["data"]["name"] for found in read(service_of, each)["events"]] == ["new"]


def write_cursor(service: Service, position: int) -> str:
    with service.database.read() as tx:
        return event_keys.find_cipher(tx).write(position)


def describe(image: str) -> NewEvent:
    return NewEvent(type=EventType.IMAGE_CREATED, at=Clock.now, image_id=ImageID(image), owner=OWNER.project_id)


def test_webhook_created_beside_an_open_transaction_gets_its_event(on_postgresql: Service) -> None:
    """On PostgreSQL the open transaction has the lower ids and commits after a later one."""
    slow = on_postgresql.database.write()
    tx = slow.__enter__()
    events.add(tx, [describe("slow")])
    with on_postgresql.database.write() as quick:
        events.add(quick, [describe("quick")])
    hook = create_webhook(on_postgresql)
    slow.__exit__(None, None, None)
    names = [each["image_id"] for each in read(on_postgresql, hook.after)["events"]]
    assert names == ["slow", "quick"]
    with on_postgresql.database.read() as reading:
        assert webhook_rows.is_any_due(reading, now=on_postgresql.clock(), last=events.find_last(reading))
