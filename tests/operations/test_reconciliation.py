"""Recorded uses compared with the lists of Nova and Cinder: nothing is concluded from a list that may be incomplete."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from partage import problems
from partage.identity.cloud import Cloud, Endpoint
from partage.identity.keystone import connect
from partage.main.process import listening
from partage.model.ids import ImageID, ProjectID
from partage.model.limits import Limits
from partage.model.use import ImageUses, UseKey, UseKind
from partage.model.use_news import UseChange, UseNews
from partage.operations import members
from partage.operations.service import Service
from partage.operations.sharing import learning, reconciliation, shares, uses
from partage.operations.sharing.reconciliation import Reconciled
from partage.records import uses as rows
from tests import nova_and_cinder, registering
from tests.nova_and_cinder import CUT, Double
from tests.operations.services import OWNER, Clock, queued_image
from tests.operations.sharing_worlds import MEMBER, service_with, share
from tests.services import change_service
from tests.standalone import RunningKeystone

B, C = ProjectID("B"), ProjectID("C")
SERVER, VOLUME = UseKind.SERVER, UseKind.VOLUME


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock, "while-used", while_used=True)


@pytest.fixture(scope="module")
def cloud(keystone: RunningKeystone) -> Iterator[tuple[Cloud, Double, Double]]:
    """Run a cloud of two regions."""
    with (
        nova_and_cinder.run() as one,
        nova_and_cinder.run() as two,
        registering.cloud(keystone, {"RegionOne": one.urls, "RegionTwo": two.urls}),
    ):
        yield Cloud(connect(keystone.credentials), "public"), one, two


@dataclass
class World:
    """A cloud of two regions, and an image that project B may use."""

    service: Service
    clock: Clock
    cloud: Cloud
    one: Double
    two: Double
    image: ImageID


@pytest.fixture
def world(service: Service, clock: Clock, cloud: tuple[Cloud, Double, Double]) -> World:
    _, one, two = cloud
    one.reset()
    two.reset()
    return World(service, clock, *cloud, queued_image(service).id)


def run(world: World, *, dry_run: bool = False) -> Reconciled:
    return reconciliation.reconcile(world.service, world.cloud, dry_run=dry_run)


def record(world: World, image: ImageID, use_id: str, kind: UseKind = SERVER) -> None:
    """Record a use of project B, a minute before what comes next."""
    learning.add(world.service, UseKey(image_id=image, project_id=B, kind=kind, use_id=use_id), seen=world.clock())
    world.clock.passes(minutes=1)


def list_recorded_ids(world: World, image: ImageID, project: ProjectID = B) -> set[str]:
    with world.service.database.read() as tx:
        return {each.key.use_id for each in rows.list_of_project(tx, image, project, limit_rows=100)}


def has_uses(world: World, image: ImageID, project: ProjectID = B) -> bool:
    with world.service.database.read() as tx:
        return rows.has_any(tx, image, project)


def counts(done: Reconciled) -> tuple[int, int]:
    return done.added, done.removed


def fail_at(part: str, status: int, *, number: int = 1) -> Callable[[str], int | None]:
    """Let the request of that number that has `part` in its target fail."""
    seen = 0

    def before(target: str) -> int | None:
        nonlocal seen
        seen += part in target
        return status if part in target and seen == number else None

    return before


def test_missing_uses_are_recorded_from_all_pages_of_all_regions(world: World) -> None:
    servers = {world.one.add_server(world.image) for _ in range(5)} | {world.two.add_server(world.image)}
    volumes = {world.two.add_volume(world.image) for _ in range(4)}
    other = world.one.add_server(world.image, "C")
    world.one.add_server("")
    world.one.add_server(str(uuid4()))
    world.two.add_volume(None)
    done = run(world)
    assert (counts(done), done.failures, done.regions) == ((11, 0), [], 2)
    assert done.listed == {SERVER: 9, VOLUME: 5}
    assert list_recorded_ids(world, world.image) == servers | volumes
    assert list_recorded_ids(world, world.image, C) == {other}
    assert counts(run(world)) == (0, 0)
    assert list(reconciliation.list_recorded(world.service)) == [
        ImageUses(image_id=world.image, kind=SERVER, uses=7, projects=2),
        ImageUses(image_id=world.image, kind=VOLUME, uses=4, projects=1),
    ]


def test_uses_of_what_no_region_has_are_removed(world: World) -> None:
    gone, kept = world.one.add_server(world.image), world.two.add_server(world.image)
    disk, gone_disk = world.one.add_volume(world.image), world.one.add_volume(world.image)
    run(world)
    record(world, world.image, "by-hand")
    world.one.remove(gone)
    world.one.remove(gone_disk)
    assert counts(run(world, dry_run=True)) == (0, 3)
    assert len(list_recorded_ids(world, world.image)) == 5
    assert counts(run(world)) == (0, 3)
    assert list_recorded_ids(world, world.image) == {kept, disk}


def test_id_of_a_server_is_none_of_a_volume(world: World) -> None:
    record(world, world.image, world.one.add_server(world.image), VOLUME)
    assert counts(run(world)) == (1, 1)


def test_use_follows_rebuilt_server_and_transferred_volume(world: World) -> None:
    new = queued_image(world.service).id
    server, volume = world.one.add_server(new), world.one.add_volume(world.image, "C")
    record(world, world.image, server)
    record(world, world.image, volume, VOLUME)
    assert counts(run(world)) == (2, 2)
    assert list_recorded_ids(world, world.image) == set()
    assert (list_recorded_ids(world, world.image, C), list_recorded_ids(world, new)) == ({volume}, {server})


def test_server_that_boots_from_a_volume_keeps_its_recorded_use(world: World) -> None:
    server, volume = world.one.add_server(""), world.one.add_volume(None)
    record(world, world.image, server)
    record(world, world.image, volume, VOLUME)
    assert counts(run(world)) == (0, 0)
    assert list_recorded_ids(world, world.image) == {server, volume}


@pytest.mark.parametrize("status", [500, 503, 403, 404, 300, CUT])
@pytest.mark.parametrize(
    ("part", "number"),
    [("/servers/detail", 1), ("/servers/detail", 3), ("/volumes/detail", 2), ("/os-services", 1), (f"/servers/{'0' * 8}", 1)],
)
def test_failed_response_of_one_region_removes_nothing(world: World, part: str, number: int, status: int) -> None:
    for each in range(5):
        record(world, world.image, f"00000000-0000-4000-8000-00000000000{each}")
        world.two.add_server(world.image)
        world.two.add_volume(world.image)
    world.one.add_server(world.image)
    world.two.before = fail_at(part, status, number=number)
    done = run(world)
    assert (done.removed, len(done.failures)) == (0, 1)
    assert "RegionTwo" in str(done.failures[0])
    assert len(list_recorded_ids(world, world.image)) == 5 + done.added >= 6
    world.two.before = lambda _target: None
    assert run(world).removed == 5


def test_region_that_does_not_respond_removes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    record(world, world.image, str(uuid4()))
    added = world.one.add_server(world.image)
    away = Endpoint(kind=SERVER, region="Away", url=f"http://127.0.0.1:{listening.find_free_port()}/v2.1")
    endpoints = [*world.cloud.list_endpoints(), away]
    monkeypatch.setattr(world.cloud, "list_endpoints", lambda: endpoints)
    done = run(world)
    assert (counts(done), len(done.failures)) == ((1, 0), 1)
    assert added in list_recorded_ids(world, world.image)


def test_region_without_the_interface_removes_nothing(world: World, keystone: RunningKeystone) -> None:
    record(world, world.image, str(uuid4()))
    world.cloud = Cloud(connect(keystone.credentials), "internal")
    done = run(world)
    assert (counts(done), len(done.failures)) == ((0, 0), 4)


def test_kind_that_the_catalog_does_not_have_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = str(uuid4())
    record(world, world.image, disk, VOLUME)
    record(world, world.image, str(uuid4()))
    endpoints = [each for each in world.cloud.list_endpoints() if each.kind is SERVER]
    monkeypatch.setattr(world.cloud, "list_endpoints", lambda: endpoints)
    done = run(world)
    assert (counts(done), done.missing, done.failures) == ((0, 1), [VOLUME], [])
    assert list_recorded_ids(world, world.image) == {disk}


@pytest.mark.parametrize("servers", [1, 5])
def test_cell_that_is_down_removes_nothing(world: World, servers: int) -> None:
    ids = [world.one.add_server(world.image) for _ in range(servers + 1)]
    record(world, world.image, str(uuid4()))
    record(world, world.image, ids[0])
    world.one.down = {ids[0]}
    done = run(world)
    assert (counts(done), len(done.failures)) == ((servers, 0), 1)


def test_cell_that_goes_down_between_pages_removes_nothing(world: World) -> None:
    ids = [world.one.add_server(world.image) for _ in range(5)]
    run(world)

    def before(target: str) -> None:
        world.one.down = {ids[0]} if "marker" in target else world.one.down

    world.one.before = before
    done = run(world)
    assert (counts(done), len(done.failures)) == ((0, 0), 1)
    assert list_recorded_ids(world, world.image) == set(ids)


def test_server_that_the_list_omits_is_asked_for_by_its_id(world: World) -> None:
    server = world.one.add_server(world.image)
    record(world, world.image, server)
    world.one.soft_deleted = {server}
    assert counts(run(world)) == (0, 0)
    assert list_recorded_ids(world, world.image) == {server}


@pytest.mark.parametrize("change", [{"permits": False}, {"microversions": False}, {"ignores_markers": True}])
def test_service_that_may_shorten_its_list_removes_nothing(world: World, change: dict[str, bool]) -> None:
    world.one.add_server(world.image)
    record(world, world.image, str(uuid4()))
    for name, value in change.items():
        setattr(world.one, name, value)
    done = run(world)
    assert done.removed == 0
    assert done.failures


@pytest.mark.parametrize("field", ["id", "tenant_id", "os-vol-tenant-attr:tenant_id"])
@pytest.mark.parametrize("value", [None, "", "\x00", 7, {}])
def test_document_of_another_form_removes_nothing(world: World, field: str, value: object) -> None:
    world.one.add_server(world.image)
    world.one.add_volume(world.image)
    record(world, world.image, str(uuid4()))
    for each in (*world.one.servers, *world.one.volumes):
        if field in each:
            each[field] = value
    done = run(world)
    assert done.removed == 0
    assert done.failures


def test_use_recorded_during_the_lists_stays(world: World) -> None:
    servers = [str(uuid4()), str(uuid4())]
    record(world, world.image, servers[0])

    def before(target: str) -> None:
        if "volumes/detail" in target and len(list_recorded_ids(world, world.image)) == 1:
            world.clock.passes(seconds=1)
            for each in servers:
                record(world, world.image, each)

    world.one.before = before
    assert counts(run(world)) == (0, 0)
    assert list_recorded_ids(world, world.image) == set(servers)


def test_server_whose_deletion_was_notified_is_not_recorded(world: World) -> None:
    server = world.one.add_server(world.image)
    ended = UseNews(kind=SERVER, use_id=server, project_id=B, image_id=world.image, change=UseChange.ENDED, at=world.clock())
    learning.learn(world.service, ended)
    assert counts(run(world)) == (0, 0)


def test_project_with_too_many_uses_counts_as_user_until_all_are_recorded(world: World) -> None:
    world.service = change_service(world.service, limits=Limits(uses=2))
    servers = [world.one.add_server(world.image) for _ in range(3)]
    stale = str(uuid4())
    record(world, world.image, stale)
    done = run(world)
    assert (counts(done), done.exceeded, done.cleared) == ((2, 1), 1, 0)
    world.clock.passes(minutes=1)
    for each in servers:
        world.one.remove(each)
    world.one.before = fail_at("/volumes/detail", 500)
    assert run(world).cleared == 0
    assert has_uses(world, world.image)
    assert run(world, dry_run=True).cleared == 1
    done = run(world)
    assert (counts(done), done.exceeded, done.cleared) == ((0, 2), 0, 1)
    assert not has_uses(world, world.image)


def test_removed_use_makes_room_for_one_that_is_missing(world: World) -> None:
    world.service = change_service(world.service, limits=Limits(uses=1))
    record(world, world.image, str(uuid4()))
    server = world.one.add_server(world.image)
    done = run(world)
    assert (counts(done), done.exceeded, done.cleared) == ((1, 1), 0, 1)
    assert list_recorded_ids(world, world.image) == {server}


def test_promise_while_used_follows_the_lists(world: World) -> None:
    image = share(world.service)
    server = world.one.add_server(image.id)
    members.remove_member(world.service, OWNER, image.id, B)
    assert run(world).added == 1
    ending = shares.show_share(world.service, OWNER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at is None
    world.clock.passes(days=40)
    world.one.remove(server)
    assert run(world).removed == 1
    ending = shares.show_share(world.service, OWNER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at == world.clock() + timedelta(days=1)


def test_text_that_a_project_records_is_no_path_of_the_service(world: World) -> None:
    image = share(world.service)
    uses.record_use(world.service, MEMBER, UseKey(image_id=image.id, project_id=B, kind=SERVER, use_id="detail"))
    assert run(world).removed == 1
    assert not [each for each in world.one.requests if "detail" in each and "all_tenants" not in each]


def test_token_is_sent_to_addresses_of_the_catalog_only(world: World) -> None:
    for _ in range(5):
        world.one.add_server(world.image)
    assert not run(world).failures
    pages = [each for each in world.one.requests if "/servers/detail" in each]
    assert [("marker" in each, "limit" in each) for each in pages] == [(False, False), *[(True, False)] * 3, (False, False)]


def test_keystone_that_does_not_respond_is_reported(world: World, keystone: RunningKeystone) -> None:
    credentials = replace(keystone.credentials, url=f"http://127.0.0.1:{listening.find_free_port()}")
    world.cloud = Cloud(connect(credentials), "public")
    with pytest.raises(problems.IdentityUnavailable):
        run(world)
