"""Impact predicts exactly what an action does: access of every project, quotas, and bytes; in random states of shares."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from partage import problems
from partage.model.caller import Caller
from partage.model.guard import GuardMode
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image
from partage.model.impact import Action, Bounds, ByteImpact, EndOfAccess, Impact, KeptFor, ProjectImpact
from partage.model.terms import Notice, Terms
from partage.model.use import Use, UseKey, UseKind
from partage.operations import downloads, exclusive_bytes, images, members, sweep
from partage.operations.service import Service
from partage.operations.sharing import adoption, endings, guards, impact
from partage.operations.sharing.guards import EndRequest
from partage.records import members as member_rows
from partage.records import reservations, tables, uses
from tests.crashes.worlds import noise
from tests.operations.services import OWNER, Clock, image_with
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, OTHER, offer, service_with, set_visibility, share
from tests.services import change_service

B, C = ProjectID("B"), ProjectID("C")
STRANGER = replace(OWNER, project_id=ProjectID("D"))
PEOPLE = (MEMBER, OTHER, STRANGER)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Shared:
    """A share of a random state."""

    answer: str
    notice: str
    expires_days: int | None


SHARES = st.builds(
    Shared,
    answer=st.sampled_from(["pending", "accepted", "accepted", "rejected"]),
    notice=st.sampled_from(["P0D", "P5D", "P30D", "forever"]),
    expires_days=st.sampled_from([None, 1, 10, 60]),
)


@dataclass(frozen=True)
class State:
    """The shares of an image with projects B and C, and what happened since; `again` is a later offer to B."""

    shares: tuple[Shared, Shared]
    steps: list[str]
    again: Shared


STEPS = (
    "deactivate", "reactivate", "private", "shared", "community", "remove", "offer", "take down", "a day", "ten days", "admin",
    "use", "use ended",
)  # fmt: skip


STATES = st.builds(State, shares=st.tuples(SHARES, SHARES), steps=st.lists(st.sampled_from(STEPS), max_size=4), again=SHARES)


def add_share(service: Service, image: Image, who: Caller, shared: Shared) -> None:
    project = who.project_id or ProjectID("")
    terms = Terms(
        notice=Notice.parse(shared.notice),
        expires_at=None if shared.expires_days is None else service.clock() + timedelta(days=shared.expires_days),
    )
    members.add_member(change_service(service, default_terms=terms), OWNER, image.id, project)
    if shared.answer != "pending":
        members.update_member(service, who, image.id, project, shared.answer)


def take_step(service: Service, clock: Clock, image: Image, step: str, again: Shared) -> None:
    """Change the state; a step that is refused changes nothing."""
    steps: dict[str, Any] = {
        "deactivate": lambda: images.deactivate_image(service, OWNER, image.id),
        "reactivate": lambda: images.reactivate_image(service, OWNER, image.id),
        "private": lambda: set_visibility(service, image.id, "private"),
        "shared": lambda: set_visibility(service, image.id, "shared"),
        "community": lambda: set_visibility(service, image.id, "community"),
        "remove": lambda: members.remove_member(service, OWNER, image.id, B),
        "offer": lambda: add_share(service, image, MEMBER, again),
        "take down": lambda: images.deactivate_image(service, ADMIN, image.id),
        "admin": lambda: set_visibility(service, image.id, "private", ADMIN),
        "use": lambda: note_use(service, image, clock.now),
        "use ended": lambda: note_use(service, image, clock.now, ended=True),
        "a day": lambda: clock.passes(days=1),
        "ten days": lambda: clock.passes(days=10),
    }
    with problems_ignored():
        steps[step]()


def note_use(service: Service, image: Image, now: datetime, *, ended: bool = False) -> None:
    key = UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="s")
    with service.database.write() as tx:
        uses.put(tx, Use(key, now, now))
        if ended:
            uses.remove(tx, key, seen_until=now)


@contextmanager
def problems_ignored() -> Iterator[None]:
    try:
        yield
    except problems.Problem:
        return


def act(service: Service, caller: Caller, image_id: ImageID, action: Action) -> None:
    if action is Action.DELETE:
        images.delete_image(service, caller, image_id)
    elif action is Action.DEACTIVATE:
        images.deactivate_image(service, caller, image_id)
    elif action is Action.PRIVATE:
        set_visibility(service, image_id, "private", caller)
    else:
        endings.end_share(service, caller, image_id, B)


def acknowledge(service: Service, caller: Caller, image_id: ImageID, action: Action) -> None:
    member_id = B if action is Action.UNSHARE else None
    guards.end_access(service, caller, image_id, EndRequest(action=action, member_id=member_id, is_acknowledged=True))


def can_download(service: Service, clock: Clock, who: Caller, image_id: ImageID, at: datetime) -> bool:
    was, clock.now = clock.now, at
    try:
        downloads.open_image_data(service, who, image_id)
    except (problems.ImageNotFound, problems.ImageDeactivated):
        return False
    finally:
        clock.now = was
    return True


def usage(service: Service, project: ProjectID | None) -> int:
    with service.database.read() as tx:
        return reservations.usage(tx, project or ProjectID(""), now=service.clock()).stored_bytes


def chunk_bytes(service: Service) -> int:
    with service.database.read() as tx:
        return int(tx.execute(select(func.coalesce(func.sum(tables.chunks.c.stored_bytes), 0))).scalar_one())


def sweep_all(service: Service) -> None:
    for _ in range(2):
        sweep.sweep(service, grace=timedelta(0))


def attempt(function: Any, *given: Any) -> Any:
    try:
        return function(*given)
    except problems.Problem as problem:
        return type(problem)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=STATES, action=st.sampled_from(Action), caller=st.sampled_from([OWNER, OWNER, ADMIN]), mode=st.sampled_from(GuardMode))
def test_impact_predicts_what_the_action_does(
    service: Service, clock: Clock, state: State, action: Action, caller: Caller, *, mode: GuardMode
) -> None:
    guarded = change_service(service, guard=mode)
    image = image_with(service, DATA[:5000] + noise(len(state.steps), 0.01))
    other = image_with(service, DATA[:5000])
    for who, shared in zip((MEMBER, OTHER), state.shares, strict=True):
        add_share(service, image, who, shared)
    for step in state.steps:
        take_step(service, clock, image, step, state.again)
    project = B if action is Action.UNSHARE else None
    predicted = attempt(impact.show_impact, guarded, caller, image.id, action, project)
    sweep_all(service)
    stored = chunk_bytes(service)
    used = {who: usage(service, who.project_id) for who in (OWNER, *PEOPLE)}
    before = {who: can_download(service, clock, who, image.id, clock.now) for who in PEOPLE}
    done = attempt(act, guarded, caller, image.id, action)
    if isinstance(predicted, Impact) and predicted.is_blocked:
        assert done is problems.ImageGuarded
        done = attempt(acknowledge, guarded, caller, image.id, action)
        assert (done is None) == predicted.can_acknowledge
    if not isinstance(predicted, Impact):
        assert done in {predicted, problems.ImageGuarded}
        return
    if not predicted.can_acknowledge:
        assert done in {None, problems.ImageGuarded}
        assert (done is None) != predicted.is_blocked
        if predicted.is_blocked:
            return
    assert done is None
    for who in PEOPLE:
        row = next((each for each in predicted.projects if each.project_id == who.project_id), None)
        if row is None:
            after = can_download(service, clock, who, image.id, clock.now)
            assert after == (before[who] and not predicted.ends_for_everybody)
            continue
        assert before[who], row
        assert usage(service, who.project_id) - used[who] == row.quota_bytes
        check_end(service, clock, who, image.id, row)
    assert used[OWNER] - usage(service, OWNER.project_id) == predicted.bytes.quota_bytes
    sweep_all(service)
    freed = stored - chunk_bytes(service)
    bounds = predicted.bytes.freed
    assert bounds.least <= freed <= bounds.most
    assert caller is OWNER or bounds.least == bounds.most
    assert downloads.open_image_data(service, OWNER, other.id).size_bytes == 5000
    for each in (image, other):
        with problems_ignored():
            images.delete_image(service, ADMIN, each.id)


def check_end(service: Service, clock: Clock, who: Caller, image_id: ImageID, row: ProjectImpact) -> None:
    """Check that access ends when the prediction says."""
    assert can_download(service, clock, who, image_id, clock.now) == (row.ends is not EndOfAccess.NOW), row
    if row.ends is EndOfAccess.LATER and row.ends_at is not None:
        assert can_download(service, clock, who, image_id, row.ends_at - timedelta(seconds=1)), row
        assert not can_download(service, clock, who, image_id, row.ends_at), row
    if row.ends is EndOfAccess.NEVER:
        assert can_download(service, clock, who, image_id, clock.now + 40_000 * DAY), row


def show(service: Service, image: Image, action: Action = Action.DELETE, caller: Caller = OWNER) -> Impact:
    return impact.show_impact(service, caller, image.id, action)


def test_bytes_of_a_retained_image_are_kept_until_the_last_notice(service: Service, clock: Clock) -> None:
    image = share(service)
    found = show(service, image).bytes
    assert (found.freed, found.kept_for, found.kept_until) == (Bounds(), KeptFor.NOTICE, clock.now + 30 * DAY)
    assert found.kept.least <= chunk_bytes(service) <= found.kept.most <= len(DATA)
    assert (found.quota_bytes, show(service, image).projects[0].quota_bytes) == (len(DATA), len(DATA))


def test_adopted_bytes_stay_for_the_other_image(service: Service) -> None:
    image = share(service)
    adoption.adopt_image(service, MEMBER, image.id, adoption.AdoptionRequest())
    found = show(service, image, caller=ADMIN).bytes
    assert (found.freed, found.kept_for) == (Bounds(), KeptFor.OTHER_IMAGES)


def test_delayed_delete_keeps_the_bytes_until_the_scrub(service: Service, clock: Clock) -> None:
    delayed = change_service(service, delayed_delete=True)
    found = show(delayed, offer(service, "B")).bytes
    assert (found.freed, found.kept_for, found.kept_until) == (Bounds(), KeptFor.DELAYED_DELETE, clock.now + DAY)


def test_bytes_have_bounds_where_too_many_manifests_would_be_read(service: Service) -> None:
    image = image_with(service, noise(1, 1) + noise(2, 0.2))
    image_with(service, noise(1, 1))
    with service.database.read() as tx:
        exact = exclusive_bytes.measure(service, tx, image, known_to=None).exclusive
        bounded = exclusive_bytes.measure(service, tx, image, known_to=None, most_of_others=0).exclusive
        assert exact.least == exact.most > 0
        assert bounded == Bounds(0, exact.most)
        assert exact.most < exclusive_bytes.measure(service, tx, image, known_to=None).stored.least
        assert exclusive_bytes.measure(service, tx, image, known_to=None, most_segments=0).exclusive == Bounds(0, image.size or 0)
        own = exclusive_bytes.measure(service, tx, image, known_to=image.owner)
        assert own.exclusive.least == own.stored.least == 0
        assert exact.most <= own.exclusive.most < own.stored.most <= (image.size or 0)


SECRET = DATA[:300_000] + noise(7, 0.5) + DATA[300_000:]
"""Data of another project that an owner guesses. Some of it compresses, and some does not."""


def measure_guess(folder: Path, clock: Clock, kept: Mapping[Caller, bytes], guess: bytes, action: Action) -> ByteImpact:
    """Return what the owner reads of the bytes of its guess, in a world where other projects have this data."""
    service = service_with(folder, clock)
    for who, data in kept.items():
        image_with(service, data, who)
    return show(service, image_with(service, guess), action).bytes


@pytest.mark.parametrize("action", [Action.DELETE, Action.PRIVATE])
@pytest.mark.parametrize(
    "foreign",
    [SECRET, noise(7, 0.5), DATA, noise(8, 0.4) + SECRET, DATA[:200_000] + noise(8, 0.2)],
    ids=["the same", "its noise", "its text", "all of it and more", "a part"],
)
def test_impact_is_the_same_whether_or_not_others_have_the_bytes(
    tmp_path: Path, clock: Clock, foreign: bytes, action: Action
) -> None:
    found = measure_guess(tmp_path / "with", clock, {OTHER: foreign, MEMBER: foreign}, SECRET, action)
    assert found == measure_guess(tmp_path / "without", clock, {}, SECRET, action)
    assert (found.freed.least, found.kept.least) == (0, 0)
    assert found.freed.most == (found.kept.most if action is Action.DELETE else 0)


def test_impact_of_an_adopted_image_does_not_depend_on_its_source(service: Service) -> None:
    image = share(service)
    adopted, _lineage = adoption.adopt_image(service, MEMBER, image.id, adoption.AdoptionRequest())
    found = show(service, adopted, caller=MEMBER).bytes
    images.delete_image(service, ADMIN, image.id)
    assert show(service, adopted, caller=MEMBER).bytes == found
    assert found.kept_for is None


def test_owner_sees_that_its_own_images_keep_the_bytes(service: Service) -> None:
    image, other = image_with(service, DATA), image_with(service, DATA)
    found = show(service, image).bytes
    assert (found.freed, found.kept_for) == (Bounds(), KeptFor.OTHER_IMAGES)
    members.add_member(service, OWNER, other.id, B)
    members.update_member(service, MEMBER, other.id, B, "accepted")
    images.delete_image(service, OWNER, other.id)  # retained for its member, which the owner sees in its outbox
    assert show(service, image).bytes == found
    images.delete_image(service, ADMIN, other.id)
    found = show(service, image).bytes
    assert (found.freed.most > 0, found.kept_for) == (True, None)


def test_unknown_use_is_not_zero(service: Service, clock: Clock) -> None:
    image = offer(service, "B", "C")
    with service.database.write() as tx:
        uses.put(tx, Use(UseKey(image_id=image.id, project_id=B, kind=UseKind.SERVER, use_id="s"), clock.now, clock.now))
    known = {each.project_id: each.uses for each in show(service, image).projects}
    assert known[C] is None
    assert known[B] is not None
    assert known[B].counts == {UseKind.SERVER: 1}


def test_users_of_an_open_image_are_counted_and_not_named(service: Service, clock: Clock) -> None:
    image = offer(service)
    set_visibility(service, image.id, "community")
    with service.database.write() as tx:
        uses.put(tx, Use(UseKey(image_id=image.id, project_id=C, kind=UseKind.VOLUME, use_id="v"), clock.now, clock.now))
    found = show(service, image)
    assert (found.ends_for_everybody, found.other_users, list(found.projects)) == (True, 1, [])


def test_list_of_projects_is_bounded_and_begins_with_access_that_ends(service: Service) -> None:
    image = offer(service, "B", "C", "D")
    members.update_member(service, MEMBER, image.id, B, "accepted")
    assert [each.project_id for each in show(service, image).projects] == ["C", "D", "B"]
    found = impact.show_impact(service, OWNER, image.id, Action.DELETE, limit=2)
    assert ([each.project_id for each in found.projects], found.left_out) == (["C", "D"], 1)


@pytest.mark.parametrize("who", PEOPLE)
def test_nobody_but_the_owner_and_administrators_sees_the_impact(service: Service, who: Caller) -> None:
    image = share(service)
    with service.database.read() as tx:
        assert member_rows.count(tx, image.id) == 1
    for image_id in (image.id, ImageID("never")):
        with pytest.raises(problems.ImageNotFound) as failed:
            impact.show_impact(service, who, image_id, Action.DELETE)
        assert failed.value.sentence() == f"No image found with ID {image_id}"


def test_impact_of_what_would_be_refused_is_the_same_refusal(service: Service) -> None:
    image = share(service)
    with pytest.raises(problems.ShareNotFound):
        impact.show_impact(service, OWNER, image.id, Action.UNSHARE, C)
    queued = images.create_image(service, OWNER, images.NewImage(protected=True))
    with pytest.raises(problems.ImageProtected):
        show(service, queued)
    with pytest.raises(problems.StatusForbids):
        show(service, queued, Action.DEACTIVATE)
