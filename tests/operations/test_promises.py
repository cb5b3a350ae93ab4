"""A share keeps its promise: after the owner ends it, by whichever road, the member has access until the notice has run out."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model import patch
from partage.model.caller import Caller
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID
from partage.model.image import RETAINED, Image, ImageStatus, NewImage, Visibility
from partage.model.limits import Limits
from partage.model.member import Member, MemberStatus
from partage.model.offer import OfferRequest
from partage.model.query import Filter, ImageQuery, Operator
from partage.model.terms import NO_NOTICE, Notice, Terms, TermsChange
from partage.operations import downloads, images, members, pending_deletes, promises, quota, sweep
from partage.operations.service import Service
from partage.operations.sharing import offers, shares
from partage.records import images as rows
from partage.records import reservations
from tests.operations.services import OWNER, Clock, download, image_with, make, queued_image, upload
from tests.services import change_service

MEMBER = replace(OWNER, project_id=ProjectID("B"))
OTHER = replace(OWNER, project_id=ProjectID("C"))
ADMIN = replace(OWNER, project_id=ProjectID("Z"), is_admin=True, roles=frozenset({"admin", "member", "reader"}))
DATA = bytes(range(256)) * 2000
MONTH = Notice(timedelta(days=30))
FOREVER = Notice(None)

End = Callable[[Service, ImageID], None]


def remove_member(service: Service, image_id: ImageID) -> None:
    members.remove_member(service, OWNER, image_id, ProjectID("B"))


def delete(service: Service, image_id: ImageID) -> None:
    images.delete_image(service, OWNER, image_id)


def set_attribute(service: Service, caller: Caller, image_id: ImageID, name: str, value: str) -> None:
    document = [{"op": "replace", "path": f"/{name}", "value": value}]
    changes = patch.parse(document, version="2.1", known=KnownFormats())
    images.update_image(service, caller, image_id, changes)


def make_private(service: Service, image_id: ImageID) -> None:
    set_attribute(service, OWNER, image_id, "visibility", "private")


def deactivate(service: Service, image_id: ImageID) -> None:
    images.deactivate_image(service, OWNER, image_id)


ROADS = pytest.mark.parametrize("end", [remove_member, delete, make_private, deactivate])


def service_with(folder: Path, clock: Clock, notice: Notice, **changed: object) -> Service:
    return make(folder, clock=clock, default_terms=Terms(notice=notice), **changed)


def shared(service: Service, *, answer: str = "accepted") -> Image:
    image = image_with(service, DATA)
    members.add_member(service, OWNER, image.id, ProjectID("B"))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), answer)
    return images.show_image(service, OWNER, image.id)


def listed(service: Service, caller: object, **query: object) -> list[ImageID]:
    found = images.list_images(service, caller, ImageQuery(limit=100, **query))  # type: ignore[arg-type]
    return [each.id for each in found.items]


def is_out_of_reach(service: Service, caller: object, image_id: ImageID) -> bool:
    for act in (images.show_image, downloads.open_image_data):
        with pytest.raises(problems.ImageNotFound):
            act(service, caller, image_id)  # type: ignore[arg-type]
    return image_id not in listed(service, caller)


@ROADS
def test_member_keeps_access_until_the_notice_runs_out(tmp_path: Path, clock: Clock, end: End) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    before = images.show_image(service, MEMBER, image.id)
    end(service, image.id)
    clock.passes(days=30, seconds=-1)
    assert promises.remove_expired(service) == 0
    assert replace(images.show_image(service, MEMBER, image.id), updated_at=before.updated_at) == before
    assert download(service, image.id, MEMBER) == DATA
    active = Filter("status", Operator.EQ, ("active",))
    assert listed(service, MEMBER, filters=(active,), visibility="shared") == [image.id]
    assert is_out_of_reach(service, OTHER, image.id)
    clock.passes(seconds=1)
    if end is not deactivate:  # a deactivated image still is shared, and answers as in Glance
        assert is_out_of_reach(service, MEMBER, image.id)
    else:
        with pytest.raises(problems.ImageDeactivated):
            downloads.open_image_data(service, MEMBER, image.id)


@ROADS
def test_notice_forever_never_runs_out(tmp_path: Path, clock: Clock, end: End) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    end(service, image.id)
    clock.passes(days=365 * 500)
    promises.remove_expired(service)
    sweep.sweep(service, grace=timedelta(0))
    assert download(service, image.id, MEMBER) == DATA


@ROADS
def test_without_notice_access_ends_at_once_as_in_glance(tmp_path: Path, clock: Clock, end: End) -> None:
    service = service_with(tmp_path, clock, NO_NOTICE)
    image = shared(service)
    end(service, image.id)
    with pytest.raises((problems.ImageNotFound, problems.ImageDeactivated)):
        downloads.open_image_data(service, MEMBER, image.id)


@pytest.mark.parametrize("answer", ["pending", "rejected"])
@pytest.mark.parametrize("end", [remove_member, delete, make_private])
def test_only_an_accepted_share_has_notice(tmp_path: Path, clock: Clock, end: End, answer: str) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service, answer=answer)
    end(service, image.id)
    assert is_out_of_reach(service, MEMBER, image.id)


def test_retained_image_does_not_exist_for_its_former_owner(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    assert is_out_of_reach(service, OWNER, image.id)
    for act in (images.delete_image, images.deactivate_image, members.list_members):
        with pytest.raises(problems.ImageNotFound):
            act(service, OWNER, image.id)  # type: ignore[operator]
    with service.database.read() as tx:
        assert reservations.usage(tx, ProjectID("A"), now=clock.now).images == 0


def test_retained_image_is_read_only_for_its_members(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    with pytest.raises(problems.PolicyForbids):
        set_attribute(service, MEMBER, image.id, "name", "mine")
    with pytest.raises(problems.PolicyForbids):
        images.delete_image(service, MEMBER, image.id)
    with pytest.raises(problems.PolicyForbids):
        upload(service, image.id, DATA, caller=MEMBER)
    with pytest.raises((problems.ImageNotShared, problems.PolicyForbids)):
        members.add_member(service, MEMBER, image.id, ProjectID("C"))
    assert download(service, image.id, MEMBER) == DATA


def test_retained_image_counts_against_the_quota_of_each_member(tmp_path: Path, clock: Clock) -> None:
    limits = Limits(storage_per_project_bytes=len(DATA) + 10)
    service = service_with(tmp_path, clock, MONTH, limits=limits)
    image = shared(service)
    with service.database.read() as tx:
        assert reservations.usage(tx, ProjectID("B"), now=clock.now).stored_bytes == 0
    images.delete_image(service, OWNER, image.id)
    with service.database.read() as tx:
        assert reservations.usage(tx, ProjectID("B"), now=clock.now).stored_bytes == len(DATA)
        assert reservations.usage(tx, ProjectID("B"), now=clock.now + timedelta(days=30)).stored_bytes == 0
    with pytest.raises(problems.QuotaExceeded):
        image_with(service, DATA, MEMBER)
    assert quota.allowance_of(service, ProjectID("B")).stored_bytes == len(DATA) + 10
    image_with(service, DATA, OWNER)  # the room that the former owner had is free again


@pytest.mark.parametrize("delayed_delete", [False, True])
def test_retained_image_is_gone_for_everybody_after_the_last_notice(tmp_path: Path, clock: Clock, *, delayed_delete: bool) -> None:
    """Until a job had run, an administrator saw it, and could restore it: its members had access again."""
    service = service_with(tmp_path, clock, MONTH, delayed_delete=delayed_delete)
    image = shared(service)
    delete(service, image.id)
    clock.passes(days=30, seconds=-1)
    assert download(service, image.id, ADMIN) == DATA
    assert listed(service, ADMIN) == listed(service, ADMIN, visibility="private") == [image.id]
    clock.passes(seconds=1)
    assert is_out_of_reach(service, ADMIN, image.id)
    assert listed(service, ADMIN, visibility="private") == listed(service, ADMIN, all_visibilities=True) == []
    with pytest.raises(problems.ImageNotFound, match="last notice"):
        pending_deletes.restore(service, image.id)
    assert is_out_of_reach(service, MEMBER, image.id)


def test_expired_member_is_no_member_whether_or_not_a_job_has_run(tmp_path: Path, clock: Clock) -> None:
    service = make(tmp_path, clock=clock, default_terms=Terms(expires_at=clock.now + timedelta(days=1)), limits=Limits(members=1))
    image = shared(service)
    clock.passes(days=1)
    assert members.list_members(service, OWNER, image.id) == []
    for act in (members.show_member, members.remove_member):
        with pytest.raises(problems.MemberNotFound):
            act(service, OWNER, image.id, ProjectID("B"))  # type: ignore[operator]
    service = change_service(service, default_terms=Terms())
    assert members.add_member(service, OWNER, image.id, ProjectID("B")).status is MemberStatus.PENDING


def test_bytes_of_a_retained_image_go_after_its_last_notice(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    for _ in range(4):
        sweep.sweep(service, grace=timedelta(0))
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=30)
    assert promises.remove_expired(service) == 1
    assert promises.remove_expired(service) == 0
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, ADMIN, image.id)
    swept = [sweep.sweep(service, grace=timedelta(0)) for _ in range(4)]
    assert sum(each.contents for each in swept) == 1
    with pytest.raises(problems.ImageExists):
        images.create_image(service, OWNER, NewImage(id=image.id))


def test_sharing_again_cancels_the_ending_of_a_private_image(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    make_private(service, image.id)
    set_attribute(service, OWNER, image.id, "visibility", "shared")
    clock.passes(days=31)
    assert download(service, image.id, MEMBER) == DATA


def test_reactivation_cancels_the_ending_of_a_deactivated_image(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    deactivate(service, image.id)
    images.reactivate_image(service, OWNER, image.id)
    clock.passes(days=31)
    assert download(service, image.id, MEMBER) == DATA


def test_new_offer_does_not_shorten_a_running_notice(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    remove_member(service, image.id)
    members.add_member(service, OWNER, image.id, ProjectID("B"))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), "rejected")
    remove_member(service, image.id)
    assert download(service, image.id, MEMBER) == DATA
    assert listed(service, MEMBER) == [image.id]


@pytest.mark.parametrize("road", ["delete", "deactivate", "remove", "private"])
def test_administrator_takes_an_image_down_against_every_promise(tmp_path: Path, clock: Clock, road: str) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    if road == "delete":
        images.delete_image(service, ADMIN, image.id)
    elif road == "deactivate":
        images.deactivate_image(service, OWNER, image.id)
        images.deactivate_image(service, ADMIN, image.id)
    elif road == "remove":
        members.remove_member(service, ADMIN, image.id, ProjectID("B"))
    else:
        set_attribute(service, ADMIN, image.id, "visibility", "private")
    with pytest.raises((problems.ImageNotFound, problems.ImageDeactivated)):
        downloads.open_image_data(service, MEMBER, image.id)


def test_administrator_takes_a_retained_image_down(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    images.delete_image(service, ADMIN, image.id)
    assert is_out_of_reach(service, MEMBER, image.id)
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, ADMIN, image.id)


@pytest.mark.parametrize("path", ["visibility", "owner", "name"])
def test_administrator_cannot_change_a_retained_image(tmp_path: Path, clock: Clock, path: str) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    value = Visibility.SHARED if path == "visibility" else "C"
    with pytest.raises(problems.Forbidden, match="was deleted by its owner"):
        images.update_image(service, ADMIN, image.id, (patch.Change(patch.Operation.REPLACE, (path,), value),))
    assert shares.show_share(service, OWNER, image.id, ProjectID("B")).ending


def test_administrator_cannot_offer_a_retained_image(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    request = OfferRequest(image_ids=(image.id,), projects=("C",), terms=TermsChange(), make_shared=True)
    refused: list[object] = []
    offers.offer_shares(service, ADMIN, request, key=None, render=lambda made: refused.extend(each.problem for each in made) or "")
    assert [type(each) for each in refused] == [problems.Forbidden]


def test_operator_restores_a_retained_image_to_its_owner(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH, delayed_delete=True)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    pending_deletes.restore(service, image.id)
    after = images.show_image(service, OWNER, image.id)
    assert replace(after, updated_at=image.updated_at) == image
    clock.passes(days=365)
    assert download(service, image.id, MEMBER) == DATA
    assert [each.member_id for each in members.list_members(service, OWNER, image.id)] == ["B"]


def test_restored_image_has_the_status_it_had_when_it_was_retained(tmp_path: Path, clock: Clock) -> None:
    """It came back active, so that members had data that its owner had withheld."""
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    deactivate(service, image.id)
    images.delete_image(service, OWNER, image.id)
    assert images.show_image(service, MEMBER, image.id).status is ImageStatus.ACTIVE
    pending_deletes.restore(service, image.id)
    assert images.show_image(service, OWNER, image.id).status is ImageStatus.DEACTIVATED
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=31)
    assert is_withheld(service, image.id)
    reactivate(service, image.id)
    assert download(service, image.id, MEMBER) == DATA


def test_image_retained_by_an_older_release_is_restored_as_active(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    images.delete_image(service, OWNER, image.id)
    with service.database.write() as tx:
        retained = rows.find_for_work(tx, image.id)
        assert retained is not None
        rows.save(tx, replace(retained, former_status=None), was=retained)
    assert pending_deletes.restore(service, image.id).status is ImageStatus.ACTIVE


def give_up(service: Service, image_id: ImageID) -> Member:
    return members.update_member(service, MEMBER, image_id, ProjectID("B"), "rejected")


@pytest.mark.parametrize("end", [remove_member, delete, make_private])
def test_member_gives_up_a_notice(tmp_path: Path, clock: Clock, end: End) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    end(service, image.id)
    given_up = give_up(service, image.id)
    assert (given_up.image_id, given_up.member_id, given_up.status) == (image.id, "B", MemberStatus.REJECTED)
    assert is_out_of_reach(service, MEMBER, image.id)
    with pytest.raises(problems.ImageNotFound):
        give_up(service, image.id)


def test_member_gives_up_the_notice_of_a_deactivated_image(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    deactivate(service, image.id)
    give_up(service, image.id)
    assert is_withheld(service, image.id)


def test_retained_image_is_deleted_after_its_last_member_gave_up(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    delete(service, image.id)
    assert promises.remove_expired(service) == 0
    give_up(service, image.id)
    assert promises.remove_expired(service) == 1


def test_membership_stays_rejected_when_a_retained_image_is_restored(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    members.add_member(service, OWNER, image.id, ProjectID("C"))
    members.update_member(service, OTHER, image.id, ProjectID("C"), "accepted")
    delete(service, image.id)
    give_up(service, image.id)
    pending_deletes.restore(service, image.id)
    statuses = {each.member_id: each.status for each in members.list_members(service, OWNER, image.id)}
    assert statuses == {"B": MemberStatus.REJECTED, "C": MemberStatus.ACCEPTED}


def test_member_gives_up_no_notice_but_its_own(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    members.add_member(service, OWNER, image.id, ProjectID("C"))
    members.update_member(service, OTHER, image.id, ProjectID("C"), "accepted")
    delete(service, image.id)
    for caller in (OTHER, ADMIN):
        with pytest.raises(problems.ImageNotShared):
            members.update_member(service, caller, image.id, ProjectID("B"), "rejected")
    reader = replace(MEMBER, roles=frozenset({"reader"}))
    with pytest.raises(problems.PolicyForbids):
        members.update_member(service, reader, image.id, ProjectID("B"), "rejected")
    for answer in ("accepted", "pending", "whatever"):
        with pytest.raises(problems.ImageNotShared):
            members.update_member(service, MEMBER, image.id, ProjectID("B"), answer)
    give_up(service, image.id)
    assert download(service, image.id, OTHER) == DATA
    assert is_out_of_reach(service, MEMBER, image.id)


def test_image_without_data_is_promised_to_nobody(tmp_path: Path, clock: Clock) -> None:
    service = service_with(tmp_path, clock, FOREVER)
    image = queued_image(service)
    members.add_member(service, OWNER, image.id, ProjectID("B"))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), "accepted")
    images.delete_image(service, OWNER, image.id)
    with pytest.raises(problems.ImageNotFound):
        images.show_image(service, MEMBER, image.id)
    assert image.status is ImageStatus.QUEUED
    assert image.visibility is Visibility.SHARED


def test_image_with_the_owner_of_retained_images_is_not_removed(tmp_path: Path, clock: Clock) -> None:
    """An administrator may name any owner; 100 such images kept the housekeeping busy for ever."""
    service = make(tmp_path, clock=clock)
    named = [images.create_image(service, ADMIN, NewImage(owner=RETAINED, owner_given=True)) for _ in range(100)]
    assert promises.remove_expired(service) == 0
    assert images.show_image(service, ADMIN, named[0].id).owner == RETAINED


def reactivate(service: Service, image_id: ImageID) -> None:
    images.reactivate_image(service, OWNER, image_id)


def share_again(service: Service, image_id: ImageID) -> None:
    set_attribute(service, OWNER, image_id, "visibility", "shared")


def is_withheld(service: Service, image_id: ImageID) -> bool:
    with pytest.raises((problems.ImageNotFound, problems.ImageDeactivated)):
        downloads.open_image_data(service, MEMBER, image_id)
    return True


@pytest.mark.parametrize("taken_down", ["private", "deactivated"])
@pytest.mark.parametrize("then", [remove_member, delete, make_private, deactivate])
def test_owner_cannot_restore_access_after_a_takedown(tmp_path: Path, clock: Clock, taken_down: str, then: End) -> None:
    """Deleting a deactivated image retained it for its members, and they saw it as active."""
    service = service_with(tmp_path, clock, FOREVER)
    image = shared(service)
    if taken_down == "private":
        set_attribute(service, ADMIN, image.id, "visibility", "private")
    else:
        images.deactivate_image(service, ADMIN, image.id)
    if then is remove_member and taken_down == "private":
        with pytest.raises(problems.ImageNotShared):
            then(service, image.id)
    else:
        then(service, image.id)
    assert is_withheld(service, image.id)


@pytest.mark.parametrize("first", [make_private, deactivate])
@pytest.mark.parametrize("then", [delete, make_private, deactivate])
def test_notice_that_has_run_out_does_not_begin_again(tmp_path: Path, clock: Clock, first: End, then: End) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    first(service, image.id)
    clock.passes(days=31)
    assert is_withheld(service, image.id)
    then(service, image.id)
    assert is_withheld(service, image.id)


def test_deleted_image_is_not_retained_for_members_who_never_had_it(tmp_path: Path, clock: Clock) -> None:
    """The offer was accepted before there was data, and the image was private when the data came."""
    service = service_with(tmp_path, clock, FOREVER)
    image = queued_image(service)
    members.add_member(service, OWNER, image.id, ProjectID("B"))
    members.update_member(service, MEMBER, image.id, ProjectID("B"), "accepted")
    make_private(service, image.id)
    upload(service, image.id, DATA)
    delete(service, image.id)
    assert is_out_of_reach(service, MEMBER, image.id)


@pytest.mark.parametrize(
    "acts",
    [
        (make_private, deactivate, reactivate),
        (deactivate, make_private, reactivate),
        (make_private, deactivate, share_again),
        (deactivate, make_private, share_again),
        (deactivate, remove_member, reactivate),
    ],
)
def test_no_sequence_of_acts_shortens_or_extends_a_notice(tmp_path: Path, clock: Clock, acts: tuple[End, ...]) -> None:
    """Reactivating an image that had also become private ended access at once."""
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    for act in acts:
        act(service, image.id)
        clock.passes(days=1)
        assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=29 - len(acts))
    assert download(service, image.id, MEMBER) == DATA
    clock.passes(days=2)
    assert is_withheld(service, image.id)


@pytest.mark.parametrize("acts", [(share_again, reactivate), (reactivate, share_again)])
def test_notice_is_cancelled_when_both_reasons_have_gone(tmp_path: Path, clock: Clock, acts: tuple[End, ...]) -> None:
    service = service_with(tmp_path, clock, MONTH)
    image = shared(service)
    for act in (make_private, deactivate, *acts):
        act(service, image.id)
    clock.passes(days=31)
    assert download(service, image.id, MEMBER) == DATA
