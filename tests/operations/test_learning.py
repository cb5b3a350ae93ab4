"""Uses learned from notifications: a message that is repeated, late, or out of order never shortens a promise."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from partage.model.ids import ImageID, ProjectID
from partage.model.limits import Limits
from partage.model.use import Use, UseKey, UseKind
from partage.model.use_news import UseChange, UseNews
from partage.operations import images, members
from partage.operations.service import Service
from partage.operations.sharing import learning, shares, uses
from partage.records import uses as rows
from partage.records.database import Transaction
from tests.operations.services import OWNER, Clock, queued_image
from tests.operations.sharing_worlds import MEMBER, service_with, share
from tests.services import change_service

B = ProjectID("B")
SEEN, REBUILT, ENDED = UseChange.SEEN, UseChange.REBUILT, UseChange.ENDED


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock, "while-used", while_used=True)


def news(
    clock: Clock,
    change: UseChange,
    image_id: ImageID | None,
    server: str = "s1",
    *,
    project: ProjectID = B,
    minute: float = 0,
    kind: UseKind = UseKind.SERVER,
) -> UseNews:
    """Say what a server of project B did, that many minutes ago."""
    at = clock() - timedelta(minutes=minute)
    return UseNews(kind=kind, use_id=server, project_id=project, image_id=image_id, change=change, at=at)


def users(service: Service, image_id: ImageID) -> list[ProjectID]:
    with service.database.read() as tx:
        return [each.project_id for each in rows.list_by_project(tx, image_id) if each.has_uses]


def test_server_uses_its_image_until_it_is_deleted(service: Service, clock: Clock) -> None:
    image = queued_image(service).id
    for change in (SEEN, SEEN, REBUILT):
        learning.learn(service, news(clock, change, image))
        assert users(service, image) == [B]
    learning.learn(service, news(clock, ENDED, None))
    learning.learn(service, news(clock, ENDED, None))
    assert users(service, image) == []


def test_deletion_before_creation_leaves_no_use(service: Service, clock: Clock) -> None:
    image = queued_image(service).id
    learning.learn(service, news(clock, ENDED, image))
    learning.learn(service, news(clock, SEEN, image, minute=5))
    learning.learn(service, news(clock, REBUILT, image, minute=-5))
    assert users(service, image) == []
    clock.passes(days=8)
    assert learning.remove_remembered(service) == 1


def test_volume_of_the_same_id_is_another_use(service: Service, clock: Clock) -> None:
    image = queued_image(service).id
    learning.learn(service, news(clock, SEEN, image, kind=UseKind.VOLUME))
    learning.learn(service, news(clock, ENDED, image))
    assert users(service, image) == [B]


def test_rebuilt_server_uses_the_new_image_only(service: Service, clock: Clock) -> None:
    first, second = queued_image(service).id, queued_image(service).id
    learning.learn(service, news(clock, SEEN, first, minute=2))
    learning.learn(service, news(clock, SEEN, first, "s2", minute=2))
    learning.learn(service, news(clock, REBUILT, second, minute=1))
    learning.learn(service, news(clock, REBUILT, second, "s2", minute=1))
    assert (users(service, first), users(service, second)) == ([], [B])


@pytest.mark.parametrize("order", permutations(range(4)))
def test_no_order_of_messages_loses_the_image_that_a_server_has(order: tuple[int, ...], service: Service, clock: Clock) -> None:
    first, second = queued_image(service).id, queued_image(service).id
    said = [
        news(clock, SEEN, first, minute=4),
        news(clock, REBUILT, second, minute=3),
        news(clock, REBUILT, first, minute=2),
        news(clock, SEEN, first, minute=1),
    ]
    for number in order:
        learning.learn(service, said[number])
    assert users(service, first) == [B]


def test_clock_that_is_ahead_keeps_no_use_for_ever(service: Service, clock: Clock) -> None:
    first, second = queued_image(service).id, queued_image(service).id
    learning.learn(service, news(clock, SEEN, first, minute=-1e6))
    clock.passes(minutes=1)
    learning.learn(service, news(clock, REBUILT, second))
    assert users(service, first) == []


def test_image_that_is_not_here_is_ignored(service: Service, clock: Clock) -> None:
    learning.learn(service, news(clock, SEEN, ImageID("elsewhere")))
    learning.learn(service, news(clock, SEEN, None))
    assert users(service, ImageID("elsewhere")) == []


def test_notified_deletion_ends_a_use_that_the_member_recorded(service: Service, clock: Clock) -> None:
    image = share(service)
    uses.record_use(service, MEMBER, UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="s1"))
    learning.learn(service, news(clock, ENDED, None, minute=10))
    assert users(service, image.id) == []


def test_project_with_too_many_servers_counts_as_user(service: Service, clock: Clock) -> None:
    service = change_service(service, limits=Limits(uses=1))
    image = queued_image(service).id
    for server in ("s1", "s2", "s1"):
        learning.learn(service, news(clock, SEEN, image, server))
    learning.learn(service, news(clock, ENDED, None, "s1"))
    assert users(service, image) == [B]


def test_while_used_lasts_until_the_server_is_deleted_on_the_bus(service: Service, clock: Clock) -> None:
    image = share(service)
    learning.learn(service, news(clock, SEEN, image.id))
    members.remove_member(service, OWNER, image.id, B)
    clock.passes(days=90)
    assert images.show_image(service, MEMBER, image.id).id == image.id
    learning.learn(service, news(clock, REBUILT, image.id, minute=30))
    learning.learn(service, news(clock, ENDED, None))
    assert find_end(service, image.id) == clock() + timedelta(days=1)
    learning.learn(service, news(clock, ENDED, None))
    clock.passes(hours=1)
    learning.learn(service, news(clock, ENDED, None))
    assert find_end(service, image.id) == clock() + timedelta(hours=23)


def find_end(service: Service, image_id: ImageID) -> datetime | None:
    ending = shares.show_share(service, OWNER, image_id, B).ending
    assert ending is not None
    return ending.ends_at


def test_deletion_counts_whatever_the_clock_of_who_saw_the_use(service: Service, clock: Clock) -> None:
    image = queued_image(service).id
    ahead = replace(service, clock=lambda: clock() + timedelta(minutes=2))
    learning.learn(ahead, news(clock, SEEN, image, minute=-2))
    learning.learn(service, news(clock, ENDED, None))
    assert users(service, image) == []


def test_deletion_beside_a_late_message_leaves_no_use(service_of: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion is noted after the late message has looked for it, and before that has recorded the use."""
    image = queued_image(service_of).id
    put = rows.put
    deleted: list[Future[None]] = []

    def put_while_deleted(tx: Transaction, use: Use) -> None:
        put(tx, use)
        deleted.append(pool.submit(learning.learn, service_of, news(clock, ENDED, None)))
        wait(deleted, timeout=0.5)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(rows, "put", put_while_deleted)
        learning.learn(service_of, news(clock, SEEN, image))
        deleted[0].result()
    assert users(service_of, image) == []


def test_late_message_leaves_what_the_project_itself_recorded(service: Service, clock: Clock) -> None:
    image = share(service).id
    learning.learn(service, news(clock, ENDED, None))
    uses.record_use(service, MEMBER, UseKey(image_id=image, project_id=B, kind=UseKind.SERVER, use_id="s1"))
    learning.learn(service, news(clock, SEEN, image))
    assert users(service, image) == [B]
