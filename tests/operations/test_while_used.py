"""The notice while-used: a member keeps access until its last recorded use has ended, and for a grace after that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.impact import Action, EndOfAccess
from partage.model.terms import Notice, NoticeBounds, Terms, TermsChange
from partage.model.use import UseKey, UseKind
from partage.operations import images, members, promises, sweep
from partage.operations.service import Service
from partage.operations.sharing import endings, impact, shares, terms, uses
from partage.records import uses as rows
from tests.operations.services import OWNER, Clock, download
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.operations.test_events import last_of, read, said
from tests.services import change_service

B = ProjectID("B")
DAY = timedelta(days=1)


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock, "while-used", while_used=True)


def key_of(image_id: ImageID, use_id: str = "s1", project: ProjectID = B) -> UseKey:
    return UseKey(image_id=image_id, project_id=project, kind=UseKind.SERVER, use_id=use_id)


def record(service: Service, image_id: ImageID, use_id: str = "s1") -> None:
    uses.record_use(service, MEMBER, key_of(image_id, use_id))


def release(service: Service, image_id: ImageID, use_id: str = "s1") -> None:
    uses.release_use(service, MEMBER, key_of(image_id, use_id))


def has_access(service: Service, image_id: ImageID) -> bool:
    try:
        return download(service, image_id, MEMBER) == DATA
    except problems.ImageNotFound:
        return False


def delete(service: Service, image_id: ImageID) -> None:
    images.delete_image(service, OWNER, image_id)


def remove(service: Service, image_id: ImageID) -> None:
    members.remove_member(service, OWNER, image_id, B)


def make_private(service: Service, image_id: ImageID) -> None:
    set_visibility(service, image_id, "private")


ROADS = pytest.mark.parametrize("end", [delete, remove, make_private])


@ROADS
def test_access_lasts_until_the_last_use_and_a_grace(
    end: Callable[[Service, ImageID], None], service: Service, clock: Clock
) -> None:
    image = share(service)
    record(service, image.id, "s1")
    record(service, image.id, "s2")
    end(service, image.id)
    clock.passes(days=400)
    promises.remove_expired(service)
    release(service, image.id, "s1")
    clock.passes(days=2)
    assert has_access(service, image.id)
    release(service, image.id, "s2")
    clock.passes(hours=23, minutes=59, seconds=59)
    assert has_access(service, image.id)
    clock.passes(seconds=1)
    assert not has_access(service, image.id)


@ROADS
def test_access_without_uses_lasts_for_the_grace(end: Callable[[Service, ImageID], None], service: Service, clock: Clock) -> None:
    image = share(service)
    end(service, image.id)
    clock.passes(seconds=DAY.total_seconds() - 1)
    assert has_access(service, image.id)
    clock.passes(seconds=1)
    assert not has_access(service, image.id)


def test_former_notice_holds_if_the_new_grace_is_shorter(service: Service, clock: Clock) -> None:
    """The operator's grace was taken for a day, whatever it was: the notice of the former share was forgotten."""
    hours = change_service(service, while_used_grace=timedelta(hours=1), default_terms=Terms(notice=Notice(timedelta(hours=12))))
    image = share(hours)
    remove(hours, image.id)
    hours = change_service(hours, default_terms=Terms(notice=Notice(while_used=True)))
    members.add_member(hours, OWNER, image.id, B)
    members.update_member(hours, MEMBER, image.id, B, "accepted")
    remove(hours, image.id)
    clock.passes(hours=11)
    assert has_access(hours, image.id)
    clock.passes(hours=1)
    assert not has_access(hours, image.id)


def test_new_use_while_the_notice_runs_keeps_it(service: Service, clock: Clock) -> None:
    image = share(service)
    delete(service, image.id)
    clock.passes(hours=23)
    record(service, image.id)
    clock.passes(days=100)
    assert has_access(service, image.id)
    release(service, image.id)
    clock.passes(hours=25)
    assert not has_access(service, image.id)
    with pytest.raises(problems.ImageNotFound):
        record(service, image.id)


def test_second_release_does_not_prolong_the_grace(service: Service, clock: Clock) -> None:
    image = share(service)
    record(service, image.id)
    remove(service, image.id)
    release(service, image.id)
    clock.passes(hours=23)
    release(service, image.id)
    clock.passes(hours=1)
    assert not has_access(service, image.id)


def test_uses_of_other_projects_keep_nothing(service: Service, clock: Clock) -> None:
    image = share(service)
    uses.record_use(service, OWNER, key_of(image.id, project=ProjectID("A")))
    remove(service, image.id)
    clock.passes(days=1)
    assert not has_access(service, image.id)


def test_uses_that_could_not_be_recorded_keep_access(service: Service, clock: Clock) -> None:
    image = share(service)
    with service.database.write() as tx:
        rows.note_exceeded(tx, image.id, B, now=clock())
    remove(service, image.id)
    clock.passes(days=9)
    assert has_access(service, image.id)


def test_expiry_ends_access_whatever_is_used(service: Service, clock: Clock) -> None:
    expiring = Terms(notice=Notice(while_used=True), expires_at=clock() + 10 * DAY)
    image = share(change_service(service, default_terms=expiring))
    record(service, image.id)
    remove(service, image.id)
    clock.passes(days=9)
    record(service, image.id, "s2")
    assert has_access(service, image.id)
    clock.passes(days=1)
    assert not has_access(service, image.id)


def test_retained_image_is_freed_after_the_last_use(service: Service, clock: Clock) -> None:
    image = share(service)
    record(service, image.id)
    delete(service, image.id)
    clock.passes(days=50)
    assert promises.remove_expired(service) == 0
    release(service, image.id)
    clock.passes(days=1)
    assert promises.remove_expired(service) == 1
    assert sum(sweep.sweep(service, grace=timedelta()).packs for _ in range(2)) == 1
    with service.database.read() as tx:
        assert rows.list_by_project(tx, image.id) == []


def test_cancelled_ending_forgets_the_grace(service: Service, clock: Clock) -> None:
    image = share(service)
    remove(service, image.id)
    endings.cancel_ending(service, OWNER, image.id, B)
    clock.passes(days=5)
    record(service, image.id)
    remove(service, image.id)
    clock.passes(days=5)
    assert has_access(service, image.id)


@pytest.mark.parametrize("first", ["while-used", "P30D"])
def test_two_promises_hold_beside_each_other(first: str, service: Service, clock: Clock) -> None:
    """The member was removed, and offered the image anew with other terms, and removed again: neither notice is shortened."""
    second = "P30D" if first == "while-used" else "while-used"
    image = share(change_service(service, default_terms=Terms(notice=Notice.parse(first))))
    record(service, image.id)
    remove(service, image.id)
    members.add_member(change_service(service, default_terms=Terms(notice=Notice.parse(second))), OWNER, image.id, B)
    members.update_member(service, MEMBER, image.id, B, "accepted")
    remove(service, image.id)
    release(service, image.id)
    clock.passes(days=29)
    assert has_access(service, image.id)
    record(service, image.id)
    clock.passes(days=29)
    assert has_access(service, image.id)
    release(service, image.id)
    clock.passes(days=1)
    assert not has_access(service, image.id)


def test_administrator_who_takes_down_ends_access_whatever_is_used(service: Service) -> None:
    image = share(service)
    record(service, image.id)
    images.delete_image(service, ADMIN, image.id)
    assert not has_access(service, image.id)


def test_pending_member_has_no_notice(service: Service) -> None:
    image = offer(service, "B")
    record(service, image.id)
    remove(service, image.id)
    assert not has_access(service, image.id)


def test_owner_sees_that_the_end_is_unknown(service: Service, clock: Clock) -> None:
    image = share(service)
    record(service, image.id)
    foreseen = impact.show_impact(service, OWNER, image.id, Action.DELETE).projects[0]
    assert (foreseen.ends, foreseen.ends_at) == (EndOfAccess.LATER, None)
    remove(service, image.id)
    ending = shares.show_share(service, OWNER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at is None
    release(service, image.id)
    ending = shares.show_share(service, OWNER, image.id, B).ending
    assert ending is not None
    assert ending.ends_at == clock() + DAY


def test_use_of_a_project_without_access_is_refused(service: Service) -> None:
    image = share(service)
    with pytest.raises(problems.ImageNotFound):
        uses.record_use(service, OTHER, key_of(image.id, project=ProjectID("C")))
    with pytest.raises(problems.PolicyForbids):
        uses.record_use(service, OTHER, key_of(image.id))


@pytest.mark.parametrize(
    ("was", "extended"),
    [("P0D", "while-used"), ("while-used", "forever"), ("while-used", "while-used"), ("P30D", "forever")],
)
def test_accepted_notice_is_extended(was: str, extended: str, service: Service) -> None:
    image = share(change_service(service, default_terms=Terms(notice=Notice.parse(was))))
    change = TermsChange(given=frozenset({"notice"}), notice=Notice.parse(extended))
    assert str(terms.change_terms(service, OWNER, image.id, B, change).terms.notice) == extended


@pytest.mark.parametrize(
    ("was", "other"), [("P30D", "while-used"), ("while-used", "P30D"), ("while-used", "P0D"), ("forever", "while-used")]
)
def test_accepted_notice_is_not_replaced_by_another_kind(was: str, other: str, service: Service) -> None:
    """A use may end before any duration, and last longer: neither is an extension of the other."""
    image = share(change_service(service, default_terms=Terms(notice=Notice.parse(was))))
    change = TermsChange(given=frozenset({"notice"}), notice=Notice.parse(other))
    with pytest.raises(problems.TermsRefused, match="can be extended, not shortened"):
        terms.change_terms(service, OWNER, image.id, B, change)


def test_while_used_needs_the_setting_and_the_least_notice(service: Service) -> None:
    wanted = Terms(notice=Notice(while_used=True))
    terms.check_terms(service, OWNER, wanted)
    longest = NoticeBounds(longest=Notice(DAY), least=Notice(DAY))
    terms.check_terms(change_service(service, notice_bounds=longest), OWNER, wanted)
    with pytest.raises(problems.TermsRefused, match="the shortest is P2D"):
        terms.check_terms(change_service(service, notice_bounds=replace(longest, least=Notice(2 * DAY))), OWNER, wanted)
    with pytest.raises(problems.TermsRefused, match="does not know the uses"):
        terms.check_terms(change_service(service, while_used=False), OWNER, wanted)


def test_uses_that_move_the_end_of_a_notice_are_recorded(service_of: Service, clock: Clock) -> None:
    service = change_service(service_of, default_terms=Terms(notice=Notice.parse("while-used")), while_used=True)
    image = share(service)
    one, two = (UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id=each) for each in ("one", "two"))
    uses.record_use(service, MEMBER, one)
    images.delete_image(service, OWNER, image.id)
    changed = ["A share.ending_changed", "B share.ending_changed"]
    for act, key, expected, ends_at in [
        (uses.record_use, two, [], None),
        (uses.release_use, one, [], None),
        (uses.release_use, two, changed, "2026-11-25T08:00:00Z"),
        (uses.release_use, two, [], None),
        (uses.record_use, one, changed, None),
        (uses.record_use, one, [], None),
    ]:
        before = read(service).last
        act(service, MEMBER, key)
        assert said(read(service, after=before).events) == expected
        if expected:
            assert last_of(service, "A", "share.ending_changed").data == {
                "image_name": image.name, "reason": "deleted", "ends_at": ends_at,
            }  # fmt: skip
    assert clock.now == service.clock()


def test_service_of_the_cloud_that_releases_a_use_is_not_the_operator(service: Service) -> None:
    service = change_service(service, default_terms=Terms(notice=Notice.parse("while-used")), while_used=True)
    image = share(service)
    key = UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="one")
    nova = replace(OWNER, project_id=ProjectID("services"), roles=frozenset({"service"}))
    uses.record_use(service, nova, key)
    images.delete_image(service, OWNER, image.id)
    uses.release_use(service, nova, key)
    assert last_of(service, "B", "share.ending_changed").actor_role == "service"
