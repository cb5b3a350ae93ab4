"""Delayed delete: out of sight at once, gone only after the scrub, and whole when it is restored before that."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.closing import ClosingSource
from partage.model.ids import ImageID, ProjectID
from partage.model.image import ImageStatus, NewImage
from partage.model.limits import Limits
from partage.model.query import Filter, ImageQuery, Operator
from partage.model.terms import Notice, Terms
from partage.operations import downloads, images, members, pending_deletes, sweep, verify
from partage.operations.service import Service
from partage.operations.sharing import closing, endings, retained
from tests import uploading
from tests.operations.services import LOCAL, OWNER, Clock, download, image_with, make, queued_image
from tests.services import change_service

MEMBER = replace(OWNER, project_id=ProjectID("B"))
OTHER = replace(OWNER, project_id=ProjectID("E"))
ADMIN = replace(OWNER, project_id=ProjectID("C"), is_admin=True, roles=frozenset({"admin", "member", "reader"}))
EVERYBODY = (OWNER, MEMBER, ADMIN)
DATA = bytes(range(256)) * 2000
NOW = timedelta(0)


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    """Keep what is deleted for an hour."""
    return make(tmp_path, clock=clock, delayed_delete=True, scrub_time=timedelta(hours=1))


def shared_image(service: Service) -> ImageID:
    """Make an image with data, properties, tags and two members, one of whom accepted."""
    new = NewImage(name="n", disk_format="raw", container_format="bare", tags=("a", "b"), properties={"colour": "blue"})
    image = images.create_image(service, OWNER, new)
    uploading.upload(service, OWNER, image.id, [DATA], announced_bytes=None, store_id=LOCAL)
    for project in ("B", "D"):
        members.add_member(service, OWNER, image.id, ProjectID(project))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), "accepted")
    return image.id


def test_nobody_finds_an_image_that_waits_to_be_scrubbed(service: Service) -> None:
    image_id = shared_image(service)
    images.delete_image(service, OWNER, image_id)
    for caller in EVERYBODY:
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, caller, image_id)
        with pytest.raises(problems.ImageNotFound):
            downloads.open_image_data(service, caller, image_id)
        with pytest.raises(problems.ImageNotFound):
            images.delete_image(service, caller, image_id)
        with pytest.raises(problems.ImageNotFound):
            members.list_members(service, caller, image_id)
        waiting = Filter("status", Operator.IN, ("pending_delete",))
        for conditions in ((), (waiting,)):
            query = ImageQuery(limit=10, all_visibilities=True, filters=conditions)
            assert not images.list_images(service, caller, query).items


def test_owner_restores_its_image_until_the_scrub_time_is_over(service: Service, clock: Clock) -> None:
    image_id = shared_image(service)
    before, their = images.show_image(service, OWNER, image_id), members.list_members(service, OWNER, image_id)
    images.delete_image(service, OWNER, image_id)
    clock.passes(minutes=59, seconds=59)
    for caller in (MEMBER, OTHER):
        with pytest.raises(problems.ImageNotFound):
            endings.restore_image(service, caller, image_id)
    restored = endings.restore_image(service, OWNER, image_id)
    assert replace(restored, updated_at=before.updated_at) == before
    assert members.list_members(service, OWNER, image_id) == their
    assert download(service, image_id, MEMBER) == DATA
    images.delete_image(service, OWNER, image_id)
    clock.passes(hours=1)  # and no job has scrubbed it
    with pytest.raises(problems.ImageNotFound) as failed:
        endings.restore_image(service, OWNER, image_id)
    assert failed.value.sentence() == f"No image found with ID {image_id}"
    pending_deletes.restore(service, image_id)


def test_owner_does_not_restore_what_an_administrator_took_down(service: Service) -> None:
    deleted, commanded = shared_image(service), shared_image(service)
    images.delete_image(service, ADMIN, deleted)
    retained.take_down(service, commanded)
    for image_id in (deleted, commanded):
        with pytest.raises(problems.ImageNotFound):
            endings.restore_image(service, OWNER, image_id)
        assert endings.restore_image(service, ADMIN, image_id).owner == OWNER.project_id


@pytest.mark.parametrize("notice", ["P0D", "P30D"])
def test_nobody_of_a_closed_project_restores_its_images(service: Service, notice: str) -> None:
    service = change_service(service, default_terms=Terms(notice=Notice.parse(notice)))
    before, closed = shared_image(service), shared_image(service)
    images.delete_image(service, OWNER, before)
    closing.request_closing(service, OWNER.project_id or ProjectID(""), ClosingSource.OPERATOR, after_tokens=True)
    list(closing.close_project(service, OWNER.project_id or ProjectID("")))
    for image_id in (before, closed):
        with pytest.raises(problems.ImageNotFound):
            endings.restore_image(service, OWNER, image_id)
        assert pending_deletes.restore(service, image_id).owner == OWNER.project_id


def test_restored_image_has_to_fit_into_the_quota(service: Service) -> None:
    image_id = shared_image(service)
    images.delete_image(service, OWNER, image_id)
    full = change_service(service, limits=Limits(storage_per_project_bytes=len(DATA)))
    other = image_with(full, DATA)
    with pytest.raises(problems.QuotaExceeded):
        endings.restore_image(full, OWNER, image_id)
    images.delete_image(full, OWNER, other.id)
    endings.restore_image(full, OWNER, image_id)
    with pytest.raises(problems.QuotaExceeded):
        endings.restore_image(full, OWNER, other.id)


def test_a_restored_image_is_what_it_was_with_members_and_bytes(service: Service, clock: Clock) -> None:
    image_id = shared_image(service)
    before = images.show_image(service, OWNER, image_id)
    their = members.list_members(service, OWNER, image_id)
    images.delete_image(service, OWNER, image_id)
    clock.passes(minutes=59)
    assert pending_deletes.scrub(service) == 0
    sweep.sweep(service, grace=NOW)
    pending_deletes.restore(service, image_id)
    after = images.show_image(service, OWNER, image_id)
    assert after == replace(before, updated_at=clock.now)
    assert after.status is ImageStatus.ACTIVE
    assert members.list_members(service, OWNER, image_id) == their
    assert download(service, image_id, MEMBER) == DATA
    query = ImageQuery(limit=10, tags=("a",), properties=(("colour", "blue"),))
    assert [each.id for each in images.list_images(service, MEMBER, query).items] == [image_id]


def test_a_restored_image_can_be_deleted_and_restored_again(service: Service) -> None:
    image_id = shared_image(service)
    for _ in range(2):
        images.delete_image(service, OWNER, image_id)
        pending_deletes.restore(service, image_id)
    assert download(service, image_id) == DATA


def test_a_deactivated_image_is_deactivated_when_it_is_restored(service: Service) -> None:
    image_id = shared_image(service)
    images.deactivate_image(service, OWNER, image_id)
    images.delete_image(service, OWNER, image_id)
    assert pending_deletes.restore(service, image_id).status is ImageStatus.DEACTIVATED
    with pytest.raises(problems.ImageDeactivated):
        downloads.open_image_data(service, OWNER, image_id)


def test_pending_delete_is_scrubbed_and_swept_when_due(service: Service, clock: Clock, tmp_path: Path) -> None:
    image_id = shared_image(service)
    images.delete_image(service, OWNER, image_id)
    clock.passes(hours=1)
    later = image_with(service, DATA[:100_000] + b"other")
    images.delete_image(service, OWNER, later.id)
    assert pending_deletes.scrub(service) == 1
    assert pending_deletes.scrub(service) == 0
    with pytest.raises(problems.ImageNotFound, match="scrubbed already, never deleted, or deleted without delay"):
        pending_deletes.restore(service, image_id)
    assert sweep.sweep(service, grace=NOW).contents == 1
    pending_deletes.restore(service, later.id)
    assert download(service, later.id) == DATA[:100_000] + b"other"
    images.delete_image(service, OWNER, later.id)
    clock.passes(hours=1)
    pending_deletes.scrub(service)
    for _ in range(3):
        clock.passes(seconds=1)
        sweep.sweep(service, grace=NOW)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


def test_the_id_is_given_to_nobody_else_before_the_scrub_nor_after(service: Service, clock: Clock) -> None:
    image_id = shared_image(service)
    images.delete_image(service, OWNER, image_id)
    for _ in range(2):
        with pytest.raises(problems.ImageExists):
            images.create_image(service, OWNER, NewImage(id=image_id))
        clock.passes(hours=2)
        pending_deletes.scrub(service)


def test_pending_deletes_are_verified(service: Service, tmp_path: Path) -> None:
    image_id = shared_image(service)
    images.delete_image(service, OWNER, image_id)
    assert [(verdict.images, verdict.fault) for verdict in verify.verify(service)] == [((image_id,), None)]
    (pack,) = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    pack.chmod(0o600)
    pack.write_bytes(b"\0" * pack.stat().st_size)
    assert [verdict.fault is not None for verdict in verify.verify(service)] == [True]


def test_pending_deletes_use_no_quota(service: Service) -> None:
    """Source: Glance 33 leaves such images out of every count (LP 2118756)."""
    tight = replace(service, limits=Limits(images_per_project=1, storage_per_project_bytes=len(DATA)))
    image_id = shared_image(tight)
    images.delete_image(tight, OWNER, image_id)
    assert download(tight, image_with(tight, DATA).id) == DATA


def test_an_image_without_data_does_not_wait(service: Service) -> None:
    image = queued_image(service)
    images.delete_image(service, OWNER, image.id)
    with pytest.raises(problems.ImageNotFound):
        pending_deletes.restore(service, image.id)


def test_disabled_delayed_delete_still_scrubs_earlier_images(service: Service, clock: Clock) -> None:
    waiting = shared_image(service)
    images.delete_image(service, OWNER, waiting)
    switched_off = change_service(service, delayed_delete=False)
    gone = shared_image(switched_off)
    images.delete_image(switched_off, OWNER, gone)
    with pytest.raises(problems.ImageNotFound):
        pending_deletes.restore(switched_off, gone)
    clock.passes(hours=1)
    assert pending_deletes.scrub(switched_off) == 1


def test_an_image_that_waits_nowhere_cannot_be_restored(service: Service) -> None:
    image_id = shared_image(service)
    for unknown in (image_id, ImageID("none")):
        with pytest.raises(problems.ImageNotFound, match="waits to be scrubbed"):
            pending_deletes.restore(service, unknown)
    assert download(service, image_id) == DATA
