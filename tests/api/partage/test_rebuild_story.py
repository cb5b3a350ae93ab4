"""The story of Partage: B's servers ask for an image by its id, while its owner A ends the share in every way that there is.

Each request is made as a user of B, and as a service of the cloud (Nova) that acts for B. Tests follow the sentences of the sharing
API on ending a share. `tests/compat/services/test_rebuilds.py` has the same with Nova's own image module.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from partage.model.ids import ProjectID
from partage.operations import promises, sweep
from partage.operations.sharing import closing
from partage.records import reservations
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import share_path, shared_image
from tests.api.partage.test_shares_over_http import Travelling
from tests.api.personas import Cast, Persona

DATA = b"x" * 5000
ABSENT = "00000000-0000-4000-8000-000000000000"

END: dict[str, Callable[[World, Cast, str], Any]] = {
    "removed": lambda _world, cast, image: cast.owner.removes_member(image, cast.member.project_id),
    "deleted": lambda _world, cast, image: cast.owner.deletes(image),
    "private": lambda _world, cast, image: cast.owner.sets(image, "visibility", "private"),
    "deactivated": lambda _world, cast, image: cast.owner.does("deactivate", image),
    "project-closed": lambda world, cast, _image: list(closing.close_project(world.service, ProjectID(cast.owner.project_id))),
}


@pytest.fixture
def clock() -> Travelling:
    return Travelling()


@pytest.fixture
def world(another_world: Callable[..., World], clock: Travelling) -> World:
    return another_world(clock=clock)


@pytest.fixture
def people(world: World, everybody: dict[str, tuple[str, str]]) -> Iterator[Cast]:
    cast = cast_of(world, everybody)
    yield cast
    cast.leave()


def answer_of(who: Persona, image: str, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Return status, type and body of an answer, with the id of the image replaced."""
    answer = who.call("GET", path.format(image), headers=headers)
    return answer.status_code, answer.headers.get("Content-Type", ""), answer.content.replace(image.encode(), b"ID")


def check_access(cast: Cast, image: str) -> None:
    """B, and a service that acts for B, show the image and download the same bytes."""
    acting = replace(cast.member, name="a service that acts for B")
    for who, headers in ((cast.member, {}), (acting, {"X-Service-Token": cast.service.token or ""})):
        shown = who.call("GET", f"/v2/images/{image}", headers=headers)
        assert (shown.status_code, shown.json()["status"], shown.json()["visibility"]) == (200, "active", "shared"), who.name
        assert who.call("GET", f"/v2/images/{image}/file", headers=headers).content == DATA
        assert who.call("GET", f"/v2/images/{image}/file", headers={**headers, "Range": "bytes=5-9"}).content == DATA[5:10]


def check_absent(*people: Persona, image: str) -> None:
    """For these people the answer is, byte for byte, that of an id that never existed."""
    for who in people:
        for path in ("/v2/images/{}", "/v2/images/{}/file", "/v2/images/{}/members", "/partage/v1/images/{}/uses"):
            assert answer_of(who, image, path) == answer_of(who, ABSENT, path), (who.name, path)


def usage_of(world: World, who: Persona) -> int:
    with world.service.database.read() as tx:
        return reservations.usage(tx, ProjectID(who.project_id), now=world.service.clock()).stored_bytes


def count_packs(world: World) -> int:
    return sum(1 for each in (world.folder / "store" / "packs").rglob("*") if each.is_file())


@pytest.mark.parametrize("reason", END)
@pytest.mark.parametrize("notice", ["forever", "P30D"])
def test_servers_are_rebuilt_after_the_owner_ended_the_share(
    world: World, people: Cast, clock: Travelling, reason: str, notice: str
) -> None:
    image = shared_image(people, notice=notice)
    END[reason](world, people, image)
    for days in (0, 29) if notice == "P30D" else (0, 29, 365, 3650):
        clock.ahead = timedelta(days=days)
        promises.remove_expired(world.service)
        check_access(people, image)
        check_absent(people.outsider, image=image)
        if reason in ("deleted", "project-closed"):
            check_absent(people.owner, image=image)


@pytest.mark.parametrize("reason", ["removed", "deleted", "private", "project-closed"])
@pytest.mark.parametrize("is_tidied", [False, True])
def test_access_ends_with_the_notice_for_everybody(
    world: World, people: Cast, clock: Travelling, reason: str, *, is_tidied: bool
) -> None:
    image = shared_image(people)
    END[reason](world, people, image)
    clock.ahead = timedelta(days=30, seconds=1)
    if is_tidied:
        promises.remove_expired(world.service)
    check_absent(people.member, people.outsider, image=image)
    share = share_path("{}", people.member.project_id)
    assert answer_of(people.member, image, share) == answer_of(people.member, ABSENT, share)


@pytest.mark.parametrize("reason", ["removed", "deleted", "private", "project-closed"])
def test_without_notice_access_ends_at_once_as_on_glance(world: World, people: Cast, reason: str) -> None:
    image = shared_image(people, notice="P0D")
    check_access(people, image)
    END[reason](world, people, image)
    check_absent(people.member, people.outsider, image=image)


def test_quota_moves_to_the_member_and_bytes_go_after_the_notice(world: World, people: Cast, clock: Travelling) -> None:
    before = usage_of(world, people.owner), usage_of(world, people.member)
    image = shared_image(people)
    assert (usage_of(world, people.owner) - before[0], usage_of(world, people.member) - before[1]) == (len(DATA), 0)
    people.owner.deletes(image)
    assert (usage_of(world, people.owner) - before[0], usage_of(world, people.member) - before[1]) == (0, len(DATA))
    for _mark_and_remove in range(4):
        sweep.sweep(world.service, grace=timedelta(0))
    check_access(people, image)
    assert count_packs(world) > 0
    clock.ahead = timedelta(days=31)
    assert (usage_of(world, people.owner), usage_of(world, people.member)) == before
    for _mark_and_remove in range(4):
        promises.remove_expired(world.service)
        sweep.sweep(world.service, grace=timedelta(0))
    assert count_packs(world) == 0
