"""Closing a project: what it owns is deleted, what it promised is kept, and nothing of it is left."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.announcement import Announcement, Event
from partage.model.closing import Closed, ClosingSource, ProjectState
from partage.model.ending import EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.metadef import NewNamespace, parse_namespace
from partage.model.offer import OfferRequest, Project, RequestKey
from partage.model.task import TaskStatus
from partage.model.terms import TermsChange
from partage.model.use import Use, UseKey, UseKind
from partage.operations import images, members, metadefs, pending_deletes, promises, tasks
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from partage.operations.sharing import closing, offers, shares
from partage.records import images as image_rows
from partage.records import reservations, uses
from tests import uploading
from tests.memory_store import MemoryStore
from tests.operations.services import OWNER, Clock, download, image_with, queued_image
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.services import LOCAL, change_service, name_stores

NOW = datetime(2026, 11, 24, tzinfo=UTC)
A, B, C = ProjectID("A"), ProjectID("B"), ProjectID("C")


@dataclass
class Keystone:
    """Says of every project what the test wants."""

    state: ProjectState | None = ProjectState.ABSENT
    asked: list[ProjectID] = field(default_factory=list)

    def read_state(self, project_id: ProjectID) -> ProjectState:
        self.asked.append(project_id)
        if self.state is None:
            raise problems.IdentityUnavailable("Keystone is away")
        return self.state

    def search(self, _asked_by: ProjectID | None) -> "Keystone":
        return self

    def find(self, project_id: ProjectID) -> Project | None:
        return Project(project_id, project_id, "default")

    def find_by_name(self, _name: str, _domain_id: str) -> Project | None:
        return None

    def find_domain(self, domain: str) -> str | None:
        raise AssertionError(domain)


@dataclass
class Listener:
    """Notes what was announced."""

    heard: list[Announcement] = field(default_factory=list)

    def announce(self, announcement: Announcement) -> None:
        self.heard.append(announcement)

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def keystone() -> Keystone:
    return Keystone()


@pytest.fixture
def service(tmp_path: Path, clock: Clock, keystone: Keystone) -> Service:
    return service_with(tmp_path, clock, recipients=keystone, tokens_cached=timedelta(minutes=5))


def close(service: Service, project_id: ProjectID = A) -> Closed:
    """Close a project; return the sum of all batches."""
    return add_up(list(closing.close_project(service, project_id)))


def add_up(batches: list[Closed]) -> Closed:
    return Closed(
        images=tuple(image for each in batches for image in each.images),
        shares=sum(each.shares for each in batches),
        namespaces=sum(each.namespaces for each in batches),
        records=sum(each.records for each in batches),
    )


def is_gone(service: Service, image_id: ImageID) -> bool:
    with service.database.read() as tx:
        return tx.exec_driver_sql("SELECT id FROM images WHERE id = ?", (image_id,)).first() is None


def count_owned(service: Service, project_id: ProjectID = A) -> int:
    with service.database.read() as tx:
        return len(image_rows.list_owned(tx, project_id, limit_rows=1000))


def test_images_with_notice_are_retained_and_others_are_deleted(service: Service, clock: Clock) -> None:
    kept, unshared, offered = share(service), image_with(service, DATA), offer(service, "B")
    closed = close(service)
    assert {each.image_id: bool(each.kept_for) for each in closed.images} == {kept.id: True, unshared.id: False, offered.id: False}
    assert is_gone(service, unshared.id)
    assert is_gone(service, offered.id)
    assert download(service, kept.id, MEMBER) == DATA
    seen = shares.show_share(service, MEMBER, kept.id, B)
    assert seen.ending is not None
    assert (seen.ending.reason, seen.ending.ends_at) == (EndReason.PROJECT_CLOSED, clock.now + timedelta(days=30))
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, OTHER, kept.id)
    clock.passes(days=30)
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, MEMBER, kept.id)
    assert promises.remove_expired(service) == 1
    assert is_gone(service, kept.id)


def test_protected_images_are_deleted_too(service: Service) -> None:
    image = image_with(service, DATA)
    with service.database.write() as tx:
        image_rows.save(tx, replace(image, protected=True), was=image)
    assert [each.image_id for each in close(service).images] == [image.id]
    assert is_gone(service, image.id)


@pytest.mark.parametrize("act", ["private", "removed", "deactivated"])
def test_notice_that_runs_already_is_neither_longer_nor_shorter(service: Service, clock: Clock, act: str) -> None:
    image = share(service)
    if act == "private":
        set_visibility(service, image.id, "private")
    elif act == "removed":
        members.remove_member(service, OWNER, image.id, B)
    else:
        images.deactivate_image(service, replace(OWNER, roles=frozenset({"member", "admin"})), image.id)
    ends_at = clock.now + timedelta(days=30)
    clock.passes(days=10)
    [closed] = close(service).images
    reason = "removed" if act == "removed" else "project-closed"
    assert [(each.member_id, each.ends_at, each.reason.value) for each in closed.kept_for] == [(B, ends_at, reason)]
    assert download(service, image.id, MEMBER) == DATA


def test_image_that_an_administrator_took_down_is_deleted(service: Service) -> None:
    image = share(service)
    images.deactivate_image(service, ADMIN, image.id)
    [closed] = close(service).images
    assert closed.kept_for == ()
    assert is_gone(service, image.id)


def test_preview_says_what_closing_then_does(service: Service) -> None:
    private = share(service)
    set_visibility(service, private.id, "private")
    share(service)
    offer(service, "B", "C")
    image_with(service, DATA)
    deactivated = share(service)
    images.deactivate_image(service, ADMIN, deactivated.id)
    members.add_member(service, MEMBER, image_with(service, DATA, MEMBER).id, A)
    expected = add_up(list(closing.preview(service, A)))
    assert count_owned(service) == 5
    assert expected == close(service)
    assert sum(bool(each.kept_for) for each in expected.images) == 2


def test_everything_is_closed_in_batches(service: Service) -> None:
    for _ in range(closing._BATCH + 1):  # noqa: SLF001
        queued_image(service)
    assert len(add_up(list(closing.preview(service, A))).images) == closing._BATCH + 1  # noqa: SLF001
    assert [len(each.images) for each in closing.close_project(service, A)] == [closing._BATCH, 1]  # noqa: SLF001
    assert count_owned(service) == 0


def test_closing_that_was_interrupted_goes_on(service: Service) -> None:
    for _ in range(closing._BATCH + 1):  # noqa: SLF001
        queued_image(service)
    next(iter(closing.close_project(service, A)))
    assert count_owned(service) == 1
    assert len(close(service).images) == 1
    assert close(service) == Closed()


def test_what_others_shared_with_the_project_is_left(service: Service) -> None:
    offered = offer(service, "B", "C")
    running, kept = share(service), share(service)
    members.remove_member(service, OWNER, running.id, B)
    images.delete_image(service, OWNER, kept.id)
    assert close(service, B).shares == 3
    for image in (offered, running, kept):
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, MEMBER, image.id)
    assert [each.member_id for each in members.list_members(service, OWNER, offered.id)] == [C]
    assert promises.remove_expired(service) == 1
    assert is_gone(service, kept.id)


def test_private_definitions_are_deleted_and_public_ones_stay(service: Service) -> None:
    for name, visibility in (("OS::Mine", "private"), ("OS::Ours", "public")):
        new: NewNamespace = parse_namespace({"namespace": name, "visibility": visibility, "protected": True}, now=service.clock())
        metadefs.create_namespace(service, replace(ADMIN, project_id=A), new)
    assert close(service).namespaces == 1
    assert closing.count_public_namespaces(service, A) == 1
    with pytest.raises(problems.MetadefNotFound):
        metadefs.show_namespace(service, ADMIN, "OS::Mine", resource_type=None)
    assert metadefs.show_namespace(service, MEMBER, "OS::Ours", resource_type=None).namespace.protected


def test_records_of_the_project_are_removed_in_batches(service: Service) -> None:
    image = share(service)
    number = closing._BATCH + 1  # noqa: SLF001
    with service.database.write() as tx:
        for each in range(number):
            key = UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id=str(each))
            uses.put(tx, Use(key, recorded_at=NOW, last_seen=NOW))
    assert [each.records for each in closing.close_project(service, B)] == [0, closing._BATCH + 1, 1]  # noqa: SLF001
    with service.database.read() as tx:
        assert not uses.has_any(tx, image.id, B)


def test_recorded_requests_are_forgotten(service: Service) -> None:
    image = image_with(service, DATA)
    request = OfferRequest(image_ids=(image.id,), projects=("B",), terms=TermsChange())
    offers.offer_shares(service, OWNER, request, key=RequestKey("k", "r"), render=lambda _all: "answer")
    assert close(service).records == 1


def test_running_upload_ends_and_its_reservation_with_it(service: Service) -> None:
    image = queued_image(service)

    def send() -> Iterator[bytes]:
        yield DATA
        close(service)
        yield DATA

    with pytest.raises(problems.ImageGone):
        uploading.upload(service, OWNER, image.id, send(), announced_bytes=2 * len(DATA))
    with service.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM reservations").scalar_one() == 0
        assert tx.exec_driver_sql("SELECT count(*) FROM uploads").scalar_one() == 0


def test_copy_that_runs_for_a_retained_image_ends(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock)
    service = change_service(
        service,
        stores=name_stores({LOCAL: service.stores.by_id[LOCAL].store, "second": MemoryStore()}),  # type: ignore[dict-item]
    )
    image = share(service)
    asked = ImportRequest(method=ImportMethod.COPY_IMAGE, stores=("second",))  # type: ignore[arg-type]
    import_requests.request_import(service, replace(ADMIN, project_id=A), image.id, asked, request_id="req")
    work = import_runs.claim(service)
    assert work is not None
    close(service)
    import_runs.run(service, work)
    seen = images.show_image(service, MEMBER, image.id)
    assert (seen.stores, seen.properties.get("os_glance_import_task")) == ((LOCAL,), None)
    [task] = tasks.list_image_tasks(service, MEMBER, image.id)
    assert (task.status, task.message) == (TaskStatus.FAILURE, f"Image {image.id} was deleted: its project was closed")
    with service.database.read() as tx:
        assert reservations.usage(tx, B, now=clock.now).stored_bytes == len(DATA)
        assert tx.exec_driver_sql("SELECT count(*) FROM reservations").scalar_one() == 0


def test_deleted_images_can_be_restored_with_delayed_delete(service: Service) -> None:
    service = change_service(service, delayed_delete=True)
    kept, deleted = share(service), image_with(service, DATA)
    close(service)
    assert pending_deletes.restore(service, deleted.id).status is ImageStatus.ACTIVE
    restored = pending_deletes.restore(service, kept.id)
    assert (restored.owner, restored.visibility) == (A, Visibility.SHARED)
    assert shares.show_share(service, MEMBER, kept.id, B).ending is None


def test_deletions_are_announced(service: Service) -> None:
    listener = Listener()
    service = change_service(service, announcer=listener)
    kept, deleted = share(service), image_with(service, DATA)
    listener.heard.clear()
    close(service)
    heard = [(each.event, each.subject.id, each.subject.owner) for each in listener.heard if isinstance(each.subject, Image)]
    assert sorted(heard) == sorted([(Event.IMAGE_DELETE, kept.id, A), (Event.IMAGE_DELETE, deleted.id, A)])


def test_closing_is_recorded_as_the_operators_doing(service: Service) -> None:
    image = share(service)
    close(service)
    offered = offer(service, "B")
    close(service, B)
    with service.database.read() as tx:
        rows = tx.exec_driver_sql(
            "SELECT type, image_id, actor_project_id, actor_is_operator FROM events WHERE project_id = 'B' ORDER BY id"
        ).all()
    recorded = [tuple(row) for row in rows if row.type in ("share.ended", "share.left")]
    by_operator = (None, True)
    assert recorded[0] == ("share.ended", image.id, *by_operator)
    assert sorted(recorded[1:]) == sorted([("share.left", each.id, *by_operator) for each in (image, offered)])


def test_enabled_project_is_refused(service: Service, keystone: Keystone) -> None:
    keystone.state = ProjectState.ENABLED
    with pytest.raises(problems.Conflict, match="Project A exists in Keystone and is enabled"):
        closing.check_closable(service, A)
    keystone.state = ProjectState.DISABLED
    assert closing.check_closable(service, A) is ProjectState.DISABLED


def test_requested_closing_is_carried_out_and_repeated_once(service: Service, clock: Clock) -> None:
    image_with(service, DATA)
    closing.request_closing(service, A, ClosingSource.NOTIFICATION)
    assert closing.carry_out_due(service)
    assert count_owned(service) == 0
    assert not closing.carry_out_due(service)
    image_with(service, DATA)  # with a token that was validated before the project was deleted
    clock.passes(minutes=7)
    assert closing.carry_out_due(service)
    assert count_owned(service) == 0
    clock.passes(days=1)
    assert not closing.carry_out_due(service)


@pytest.mark.parametrize(
    ("source", "state", "is_closed"),
    [
        (ClosingSource.NOTIFICATION, ProjectState.ENABLED, False),
        (ClosingSource.NOTIFICATION, ProjectState.DISABLED, False),
        (ClosingSource.NOTIFICATION, ProjectState.ABSENT, True),
        (ClosingSource.OPERATOR, ProjectState.ENABLED, False),
        (ClosingSource.OPERATOR, ProjectState.DISABLED, True),
    ],
)
def test_keystone_decides_whether_a_requested_closing_happens(
    service: Service, keystone: Keystone, source: ClosingSource, state: ProjectState, *, is_closed: bool
) -> None:
    image_with(service, DATA)
    keystone.state = state
    closing.request_closing(service, A, source)
    assert closing.carry_out_due(service)
    assert keystone.asked == [A]
    assert (count_owned(service) == 0) is is_closed
    assert not closing.carry_out_due(service)


def test_closing_waits_for_keystone(service: Service, keystone: Keystone) -> None:
    image_with(service, DATA)
    closing.request_closing(service, A, ClosingSource.NOTIFICATION)
    keystone.state = None
    with pytest.raises(problems.IdentityUnavailable):
        closing.carry_out_due(service)
    assert count_owned(service) == 1
    keystone.state = ProjectState.ABSENT
    assert closing.carry_out_due(service)
    assert count_owned(service) == 0


def test_closing_whose_worker_died_is_taken_over(service: Service, clock: Clock) -> None:
    image_with(service, DATA)
    closing.request_closing(service, A, ClosingSource.NOTIFICATION)
    with service.database.read() as tx:
        request = closing.closings.find_due(tx, now=clock.now)
    assert request is not None
    assert closing._claim(service, request) is not None  # noqa: SLF001
    assert closing._claim(service, request) is None  # noqa: SLF001
    assert not closing.carry_out_due(service)
    clock.passes(minutes=1)
    assert closing.carry_out_due(service)
    assert count_owned(service) == 0


def test_retained_image_counts_for_its_members_from_the_closing_on(service: Service, clock: Clock) -> None:
    share(service)
    close(service)
    with service.database.read() as tx:
        assert reservations.usage(tx, B, now=clock.now).stored_bytes == len(DATA)
        assert reservations.usage(tx, A, now=clock.now).images == 0
