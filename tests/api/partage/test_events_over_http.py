"""Stories of events over HTTP: what each side reads, in which order, and what nobody learns."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete

from partage.model.event import EventRetention, EventType
from partage.operations.sharing import event_feed
from partage.records import event_keys
from partage.records.event_tables import events as table
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import EVENTS, offer, offered_image, share_path
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast, Persona
from tests.services import change_service


def latest(who: Persona) -> str:
    answer = who.call("GET", f"{EVENTS}?after=latest")
    assert (answer.status_code, answer.json()["events"]) == (200, [])
    found: str = answer.json()["after"]
    return found


def read(who: Persona, query: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Read every event that a query finds, page by page."""
    path, found = f"{EVENTS}?limit={limit}&{query}", []
    while path:
        answer = who.call("GET", path)
        assert answer.status_code == 200, answer.text
        found += answer.json()["events"]
        path = answer.json().get("next")
    return found


def types(found: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in found]


def test_owner_and_member_read_what_happened_to_their_share(cast: Cast) -> None:
    at, at_of_member = latest(cast.owner), latest(cast.member)
    image = offered_image(cast)
    project = cast.member.project_id
    assert cast.member.call("POST", share_path(image, project, "accept")).status_code == 200
    assert cast.owner.deletes(image).status_code == 204
    assert cast.owner.call("POST", f"/partage/v1/images/{image}/restore").status_code == 200
    assert cast.member.call("POST", share_path(image, project, "leave")).status_code == 204
    of_share = ["share.offered", "share.accepted", "share.ended", "share.ending_cancelled", "share.left"]
    assert types(read(cast.member, f"after={at_of_member}")) == of_share
    assert types(read(cast.owner, f"after={at}")) == [
        "image.created", "image.activated", "share.offered", "share.accepted", "share.ended", "image.deleted", "image.restored",
        "share.ending_cancelled", "share.left",
    ]  # fmt: skip


def test_event_says_what_happened_to_which_share_and_when(cast: Cast) -> None:
    at = latest(cast.owner)
    image = cast.owner.has_an_image(name="golden")
    offer(cast.owner, [image], [cast.member.project_id], terms={"notice": "P30D"}, headers={"X-OpenStack-Request-ID": "req-here"})
    found = read(cast.owner, f"after={at}")[-1]
    assert datetime.fromisoformat(found.pop("time")) <= datetime.now(UTC)
    assert found.pop("cursor") != at
    user = found["actor"].pop("user_id")
    assert user
    assert found == {
        "type": "share.offered",
        "project_id": cast.owner.project_id,
        "image_id": image,
        "owner_id": cast.owner.project_id,
        "member_id": cast.member.project_id,
        "actor": {"role": "owner", "project_id": cast.owner.project_id},
        "request_id": "req-here",
        "data": {"image_name": "golden", "terms": {"notice": "P30D", "expires_at": None}},
    }


def test_users_and_requests_of_another_project_are_left_out(cast: Cast) -> None:
    at = latest(cast.owner)
    image = offered_image(cast)
    assert cast.member.call("POST", share_path(image, cast.member.project_id, "accept")).status_code == 200
    hidden = {"project_id": None, "user_id": None}
    offered = next(each for each in read(cast.member, f"after={at}") if each["type"] == "share.offered")
    accepted = next(each for each in read(cast.owner, f"after={at}") if each["type"] == "share.accepted")
    assert (offered["actor"], offered["request_id"]) == ({"role": "owner", **hidden}, None)
    assert (accepted["actor"], accepted["request_id"]) == ({"role": "member", **hidden}, None)


def test_administrator_reads_events_of_any_project_in_full(cast: Cast) -> None:
    at = latest(cast.owner)
    image = offered_image(cast)
    of_owner = read(cast.admin, f"after={at}&project={cast.owner.project_id}")
    assert [each["actor"]["project_id"] for each in of_owner if each["image_id"] == image] == [cast.owner.project_id] * 3
    assert all(each["actor"]["user_id"] and each["request_id"] for each in of_owner if each["image_id"] == image)
    everybody = {each["project_id"] for each in read(cast.admin, f"after={at}&project=*") if each["image_id"] == image}
    assert everybody == {cast.owner.project_id, cast.member.project_id}


def test_pages_follow_each_other_without_gap_or_repetition(cast: Cast) -> None:
    at = latest(cast.owner)
    images = [cast.owner.has_an_image() for _ in range(4)]
    found = read(cast.owner, f"after={at}", limit=3)
    assert [each["image_id"] for each in found if each["type"] == "image.created"] == images
    assert len({each["cursor"] for each in found}) == len(found)
    assert read(cast.owner, f"after={found[2]['cursor']}") == found[3:]


def test_reader_that_is_up_to_date_gets_the_next_event(cast: Cast) -> None:
    at = latest(cast.owner)
    answer = cast.owner.call("GET", f"{EVENTS}?after={at}").json()
    assert (answer["events"], "next" in answer, answer["after"]) == ([], False, at)
    image = cast.owner.has_an_image()
    assert {each["image_id"] for each in read(cast.owner, f"after={answer['after']}")} == {image}


def test_page_of_no_events_does_not_move_on(cast: Cast) -> None:
    at = latest(cast.owner)
    cast.owner.has_an_image()
    page = cast.owner.call("GET", f"{EVENTS}?after={at}&limit=0").json()
    assert (page["after"], "next" in page) == (at, False)


def test_failed_requests_have_no_events(cast: Cast) -> None:
    image = offered_image(cast)
    at = latest(cast.owner)
    assert cast.member.deletes(image).status_code == 403
    assert cast.outsider.deletes(image).status_code == 404
    assert cast.owner.shares_with(image, cast.member.project_id).status_code == 409
    assert cast.owner.call("POST", share_path(image, cast.member.project_id, "cancel-ending")).status_code == 409
    assert cast.owner.call("DELETE", f"/v2/images/{uuid4()}").status_code == 404
    assert read(cast.owner, f"after={at}") == []


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=-1",
        "after=1&after=2",
        "limit=-1",
        "limit=x",
        "marker=1",
        "after=" + "9" * 30,
        "after=5",
        "after=" + "0" * 32,
    ],
)
def test_queries_that_cannot_be_read_are_refused(query: str, cast: Cast) -> None:
    assert problem_of(cast.owner.call("GET", f"{EVENTS}?{query}")) == (400, "query-invalid")


def write_cursor(world: World, position: int) -> str:
    with world.service.database.read() as tx:
        return event_keys.find_cipher(tx).write(position)


def test_cursor_from_the_future_is_gone(world: World, cast: Cast) -> None:
    """A database that was restored from a backup gives ids out again: its readers must notice."""
    cast.owner.has_an_image()
    assert problem_of(cast.owner.call("GET", f"{EVENTS}?after={write_cursor(world, 10**15)}")) == (410, "events-gone")


def test_reader_that_missed_removed_events_learns_it(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    world = another_world()
    cast = cast_of(world, everybody)
    cast.owner.has_an_image()
    first = read(cast.owner, "")[0]["cursor"]
    for _ in range(3):
        cast.owner.has_an_image()
    kept = change_service(world.service, event_retention=EventRetention(rows_per_project=2))
    assert event_feed.remove_old_events(kept) == 6
    assert problem_of(cast.owner.call("GET", f"{EVENTS}?after={first}")) == (410, "events-gone")
    found = read(cast.owner, "")
    assert types(found) == ["image.created", "image.activated"]
    assert read(cast.owner, f"after={write_cursor(world, 6)}") == found
    cast.leave()


def test_event_of_a_later_release_is_shown_as_it_is(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> None:
    world = another_world()
    cast = cast_of(world, everybody)
    cast.owner.has_an_image()
    with world.service.database.write() as tx:
        tx.execute(table.update().values(type="image.dreamed_of"))
    assert set(types(read(cast.owner, ""))) == {"image.dreamed_of"}
    with world.service.database.write() as tx:
        tx.execute(delete(table))
    assert "image.dreamed_of" not in [*EventType]
    cast.leave()


def test_old_events_are_removed_by_their_age(another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]) -> None:
    world = another_world()
    cast = cast_of(world, everybody)
    cast.owner.has_an_image()
    assert event_feed.remove_old_events(world.service) == 0
    now = world.service.clock()
    later = replace(world.service, clock=lambda: now.replace(year=now.year + 1))
    assert event_feed.remove_old_events(later) == 2
    assert read(cast.owner, "") == []
    cast.leave()
