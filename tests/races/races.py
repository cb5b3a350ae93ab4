"""Who races whom: pairs and triples of operations, the world before, and what must be true whatever the order of their steps.

An image that is active has all its bytes, nobody is left in `saving`, every operation ends in one of its documented ways, and what
nothing names can be swept afterwards. A failure shows the order of steps that led to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from partage import problems
from partage.content.manifest import digests
from partage.model.adoption import AdoptionRequest
from partage.model.claim_code import RANDOM_BYTES, ClaimCode, CodeText
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.limits import Limits
from partage.model.maintenance import MaintenanceJob, MaintenanceState, Outcome
from partage.model.member import MemberStatus
from partage.model.offer import OfferRequest, RequestKey
from partage.model.patch import Change, Operation
from partage.model.terms import Notice, Terms, TermsChange
from partage.operations import images, maintenance, members, pending_deletes, recovery, sweep, verify
from partage.operations.maintenance import Maintainer, Plan, Run
from partage.operations.service import Service
from partage.operations.sharing import adoption, answers, claims, endings, offers, shares
from partage.operations.sweep import Swept
from partage.records import claim_codes, contents, uploads
from partage.records import maintenance as maintenance_rows
from partage.stores import layout
from tests import uploading
from tests.crashes import worlds
from tests.crashes.worlds import LOCAL, NO_GRACE, OWNER, fetch, id_of, noise, send
from tests.races.scheduling import Actor, Chooser, Ended
from tests.races.stages import Stage

DATA = noise(1, 0.2)
HALF = DATA[: len(DATA) // 2]
B = ProjectID("B")
MEMBER = worlds.caller("B")
KEY = RequestKey("key", "request")
CODE = CodeText.encode(bytes(RANDOM_BYTES))


@dataclass(frozen=True)
class Race:
    """What the world is before, who acts, and which problems each may meet; `outcomes` says what else must be true."""

    before: Callable[[Service], object]
    actors: Mapping[str, Actor]
    problems: Mapping[str, tuple[type[problems.Problem], ...]]
    outcome: Callable[[Service, Ended], bool] = lambda _service, _ended: True


def an_old_and_a_new(service: Service) -> None:
    """Two images share half their bytes; the first is deleted; a third one waits for the same bytes."""
    send(service, worlds.create(service, "old"), DATA)
    send(service, worlds.create(service, "other"), HALF + noise(2, 0.1))
    worlds.create(service, "new")


def a_deleted_old_and_a_new(service: Service) -> None:
    """As before, and the sweep already has something to do."""
    an_old_and_a_new(service)
    images.delete_image(service, OWNER, id_of("old"))


def a_marked_old_and_a_new(service: Service) -> None:
    """As before, and a sweep with a grace period has been here."""
    a_deleted_old_and_a_new(service)
    sweep.sweep(service, grace=timedelta(days=1))


def a_new_of_a_dead_worker(service: Service) -> None:
    """An upload died on the way."""
    worlds.begin_and_die(service, worlds.create(service, "new"))


def a_shared_one(service: Service) -> None:
    """An image with a member that has not answered."""
    send(service, worlds.create(service, "old"), DATA)
    members.add_member(service, OWNER, id_of("old"), ProjectID("B"))


def a_share_with_notice(service: Service) -> None:
    """An image with a member that has accepted; its notice is forever."""
    send(service, worlds.create(service, "old"), DATA)
    offer(service, notice=Notice(None))
    answers.answer_share(service, MEMBER, id_of("old"), B, MemberStatus.ACCEPTED)


def an_ending_share(service: Service) -> None:
    """As before, and the owner has ended the share."""
    a_share_with_notice(service)
    endings.end_share(service, OWNER, id_of("old"), B)


def a_retained_image(service: Service) -> None:
    """As before, and the owner has deleted the image."""
    a_share_with_notice(service)
    delete_old(service)


def a_soft_deleted_image(service: Service) -> None:
    """An image waits to be scrubbed, and another one has half its bytes."""
    an_old_and_a_new(service)
    delete_old(delaying(service))


def delaying(service: Service) -> Service:
    """Return the service of an operator with delayed delete."""
    return replace(service, features=replace(service.features, delayed_delete=True))


def offer(service: Service, notice: Notice | None = None, key: RequestKey | None = None) -> str:
    """Offer the image to the member's project."""
    terms = TermsChange() if notice is None else TermsChange(given=frozenset({"notice"}), notice=notice)
    asked = OfferRequest(image_ids=(id_of("old"),), projects=(B,), terms=terms)
    return offers.offer_shares(service, OWNER, asked, key=key, render=lambda made: str([each.problem for each in made]))


def upload(service: Service) -> None:
    """Upload the bytes that "old" has or had."""
    send(service, id_of("new"), DATA)


def upload_other(service: Service) -> None:
    """Upload other bytes to the same image."""
    send(service, id_of("new"), HALF)


def sweeping(service: Service) -> Swept:
    """Sweep without grace: the worst that an operator can do."""
    return sweep.sweep(service, grace=NO_GRACE)


def delete_old(service: Service) -> None:
    """Delete the image that has bytes."""
    images.delete_image(service, OWNER, id_of("old"))


def delete_new(service: Service) -> None:
    """Delete the image that is waiting for bytes."""
    images.delete_image(service, OWNER, id_of("new"))


def create_old(service: Service) -> None:
    """Create an image under the id of the one that is being deleted."""
    worlds.create(service, "old")


def download_other(service: Service) -> bool:
    """Read an image that nobody touches, whose packs the sweep rewrites."""
    return fetch(service, id_of("other")) == HALF + noise(2, 0.1)


def download_old(service: Service) -> bool:
    """Read an image that is being deleted."""
    return fetch(service, id_of("old")) == DATA


def crowd(name: str, announced_bytes: int | None) -> Actor:
    """Upload data that takes two thirds of the quota, and says so or not."""

    def act(service: Service) -> None:
        limited = replace(service, limits=Limits(storage_per_project_bytes=len(HALF) * 3 // 2))
        uploading.upload(limited, OWNER, id_of(name), worlds.blocks(HALF), announced_bytes=announced_bytes, store_id=None)

    return act


def two_new(service: Service) -> None:
    """Two images wait for data."""
    worlds.create(service, "one")
    worlds.create(service, "two")


def patch(*path: str) -> Actor:
    """Add a property."""
    changes = (Change(Operation.ADD, path, "set"),)
    return lambda service: images.update_image(service, OWNER, id_of("old"), changes)


def accept(service: Service) -> object:
    """Answer as the member."""
    return members.update_member(service, worlds.caller("B"), id_of("old"), ProjectID("B"), "accepted")


def remove(service: Service) -> None:
    """End the share as the owner."""
    members.remove_member(service, OWNER, id_of("old"), ProjectID("B"))


def add(service: Service) -> object:
    """Share with one more project."""
    return members.add_member(service, OWNER, id_of("old"), ProjectID("D"))


def end_share(service: Service) -> object:
    """End the share as the owner."""
    return endings.end_share(service, OWNER, id_of("old"), B)


def cancel_ending(service: Service) -> object:
    """Take the end of the share back."""
    return endings.cancel_ending(service, OWNER, id_of("old"), B)


def leave(service: Service) -> None:
    """Give up the share as the member."""
    answers.leave_share(service, MEMBER, id_of("old"), B)


def restore(service: Service) -> object:
    """Take the deleted image back."""
    return endings.restore_image(service, OWNER, id_of("old"))


def restore_waiting(service: Service) -> object:
    """Take the image back that waits to be scrubbed."""
    return endings.restore_image(delaying(service), OWNER, id_of("old"))


def scrub_and_sweep(service: Service) -> None:
    """Scrub what was deleted just now, and remove its bytes."""
    at_once = replace(service.features, scrub_time=timedelta(0))
    pending_deletes.scrub(replace(service, features=at_once))
    sweep.sweep(service, grace=NO_GRACE)


def a_code_with_one_use(service: Service) -> None:
    """An image with a claim code that can be used once."""
    send(service, worlds.create(service, "old"), DATA)
    image, now = images.show_image(service, OWNER, id_of("old")), service.clock()
    life = {"created_at": now, "expires_at": now + timedelta(days=1), "uses": 1, "uses_left": 1}
    code = ClaimCode(id=CODE.id, digest=CODE.digest, image_id=image.id, terms=Terms(), **life)  # type: ignore[arg-type]
    with service.database.write() as tx:
        claim_codes.add(tx, code, image)


def claim(project: str) -> Actor:
    """Claim the share with the code."""
    return lambda service: claims.claim_share(service, worlds.caller(project), str(CODE), "192.0.2.1")


def adopt(service: Service) -> Image:
    """Make an own image as the member."""
    return adoption.adopt_image(service, MEMBER, id_of("old"), AdoptionRequest())[0]


def adopt_in_little_room(service: Service) -> object:
    """Adopt where the quota has room for one image of this size."""
    return adopt(replace(service, limits=Limits(storage_per_project_bytes=len(DATA) * 3 // 2)))


def the_adopted_image_is_whole(service: Service, ended: Ended) -> bool:
    adopted = ended.results["adopt"]
    return isinstance(adopted, problems.Problem) or (isinstance(adopted, Image) and fetch(service, adopted.id, MEMBER) == DATA)


def the_member_has_nothing(service: Service, _ended: Ended) -> bool:
    with service.database.read() as tx:
        left = tx.exec_driver_sql("SELECT (SELECT count(*) FROM members) + (SELECT count(*) FROM endings)").scalar_one()
    return left == 0


def the_member_has_access(service: Service, _ended: Ended) -> bool:
    return fetch(service, id_of("old"), MEMBER) == DATA and shares.show_share(service, MEMBER, id_of("old"), B).member_id == B


def both_were_answered_alike(service: Service, ended: Ended) -> bool:
    is_offered = shares.show_share(service, MEMBER, id_of("old"), B).status is MemberStatus.PENDING
    return is_offered and set(ended.results.values()) == {"[None]"}


def both_properties_are_there(service: Service, _ended: Ended) -> bool:
    return {"one", "two"} <= set(images.show_image(service, OWNER, id_of("old")).properties)


def exactly_one_was_taken(_service: Service, ended: Ended) -> bool:
    return [isinstance(result, problems.Problem) for result in ended.results.values()].count(False) == 1


def nothing_is_shared(service: Service, _ended: Ended) -> bool:
    return members.list_members(service, OWNER, id_of("old")) == []


def it_is_gone(service: Service, _ended: Ended) -> bool:
    try:
        images.show_image(service, OWNER, id_of("new"))
    except problems.ImageNotFound:
        return True
    return False


def the_id_was_not_given_again(_service: Service, ended: Ended) -> bool:
    return isinstance(ended.results["create"], problems.ImageExists)


def it_is_whole_if_it_was_restored(service: Service, ended: Ended) -> bool:
    if isinstance(ended.results["restore"], problems.Problem):
        with pytest.raises(problems.ImageNotFound):
            images.show_image(service, OWNER, id_of("old"))
        return True
    return fetch(service, id_of("old")) == DATA


def it_was_read_whole(_service: Service, ended: Ended) -> bool:
    return ended.results["download"] is True


def it_was_read_whole_or_not(_service: Service, ended: Ended) -> bool:
    return ended.results["download"] is True or isinstance(ended.results["download"], problems.Problem)


def a_lease_of_a_dead_worker(service: Service) -> None:
    """As before, and the worker that began to sweep has died."""
    a_marked_old_and_a_new(service)
    dead = f"{service.process.worker.rpartition(':')[0]}:0"
    with service.database.write() as tx:
        planned = MaintenanceState(job=MaintenanceJob.SWEEP)
        maintenance_rows.add(tx, planned.start(token="dead", worker=dead, now=service.clock()))


_at_work: list[str] = []


def maintain(service: Service) -> None:
    """Look for a sweep that is due, and run it; fail if another worker runs it at the same time."""

    def run(service: Service, run: Run) -> dict[str, int]:
        assert not _at_work
        _at_work.append(run.lease.token)
        try:
            return {"packs": sweep.sweep(service, grace=NO_GRACE, check=run.lease.check).packs}
        finally:
            _at_work.clear()

    plan = Plan(job=MaintenanceJob.SWEEP, interval=timedelta(hours=1), first_after=timedelta(0), run=run)
    Maintainer(service, plan, may_go_on=lambda: True).run_if_due()


def it_was_run_once(runs: int) -> Callable[[Service, Ended], bool]:
    """Return whether the job has been started so often, and its last run was whole."""

    def outcome(service: Service, _ended: Ended) -> bool:
        (state,) = maintenance.list_states(service)
        return (state.runs, state.outcome, state.token) == (runs, Outcome.SUCCESS, None)

    return outcome


SWEPT = (problems.StoreUnavailable,)
GONE = (problems.ImageGone, problems.ImageNotFound)
RACES = {
    "upload, sweep of the same bytes": Race(
        a_deleted_old_and_a_new,
        {"upload": upload, "sweep": sweeping},
        {"upload": SWEPT},
    ),
    "upload, sweep of marked bytes": Race(
        a_marked_old_and_a_new,
        {"upload": upload, "sweep": sweeping},
        {"upload": SWEPT},
    ),
    "upload, delete and sweep of the same bytes": Race(
        an_old_and_a_new,
        {"upload": upload, "delete": delete_old, "sweep": sweeping},
        {"upload": SWEPT},
    ),
    "upload, two sweeps of the same bytes": Race(
        a_deleted_old_and_a_new,
        {"upload": upload, "sweep": sweeping, "sweep too": sweeping},
        {"upload": SWEPT},
    ),
    "two workers, one job": Race(a_marked_old_and_a_new, {"one": maintain, "two": maintain}, {}, it_was_run_once(1)),
    "two workers, job of a dead one": Race(a_lease_of_a_dead_worker, {"one": maintain, "two": maintain}, {}, it_was_run_once(2)),
    "two sweeps": Race(a_marked_old_and_a_new, {"sweep": sweeping, "sweep too": sweeping}, {}),
    "two uploads of the same bytes, sweep": Race(
        a_marked_old_and_a_new,
        {"upload": upload, "restore": lambda service: send(service, worlds.create(service, "again"), DATA), "sweep": sweeping},
        {"upload": SWEPT, "restore": SWEPT},
    ),
    "download, sweep that rewrites its pack": Race(
        a_marked_old_and_a_new,
        {"download": download_other, "sweep": sweeping},
        {},
        it_was_read_whole,
    ),
    "download, delete and sweep": Race(
        an_old_and_a_new,
        {"download": download_old, "delete": delete_old, "sweep": sweeping},
        {"download": (problems.ImageNotFound, problems.ContentCorrupt)},
        it_was_read_whole_or_not,
    ),
    "delete, create under the same id": Race(
        an_old_and_a_new,
        {"delete": delete_old, "create": create_old},
        {"create": (problems.ImageExists,)},
        the_id_was_not_given_again,
    ),
    "upload, delete": Race(an_old_and_a_new, {"upload": upload, "delete": delete_new}, {"upload": GONE}, it_is_gone),
    "upload, upload": Race(
        an_old_and_a_new,
        {"upload": upload, "upload too": upload_other},
        {"upload": (problems.StatusConflict,), "upload too": (problems.StatusConflict,)},
        exactly_one_was_taken,
    ),
    "upload, upload, room for one": Race(
        two_new,
        {"upload": crowd("one", None), "upload too": crowd("two", None)},
        {"upload": (problems.QuotaExceeded,), "upload too": (problems.QuotaExceeded,)},
        exactly_one_was_taken,
    ),
    "upload, announced upload, room for one": Race(
        two_new,
        {"upload": crowd("one", None), "upload too": crowd("two", len(HALF))},
        {"upload": (problems.QuotaExceeded,), "upload too": (problems.QuotaExceeded,)},
        exactly_one_was_taken,
    ),
    "recovery, upload again": Race(
        a_new_of_a_dead_worker,
        {"upload": upload, "recover": recovery.recover, "recover too": recovery.recover},
        {},
    ),
    "recovery, delete": Race(a_new_of_a_dead_worker, {"delete": delete_new, "recover": recovery.recover}, {}, it_is_gone),
    "patch, patch": Race(a_shared_one, {"one": patch("one"), "two": patch("two")}, {}, both_properties_are_there),
    "accept, remove": Race(
        a_shared_one,
        {"accept": accept, "remove": remove},
        {"accept": (problems.ImageNotFound, problems.MemberNotFound)},
        nothing_is_shared,
    ),
    "add, add": Race(
        a_shared_one,
        {"add": add, "add too": add},
        {"add": (problems.MemberExists,), "add too": (problems.MemberExists,)},
        exactly_one_was_taken,
    ),
    "end share, leave": Race(
        a_share_with_notice,
        {"end": end_share, "leave": leave},
        {"end": (problems.ShareNotFound,)},
        the_member_has_nothing,
    ),
    "end share, end share, delete": Race(
        a_share_with_notice,
        {"end": end_share, "end too": end_share, "delete": delete_old},
        {},
        the_member_has_access,
    ),
    "cancel ending, leave": Race(
        an_ending_share,
        {"cancel": cancel_ending, "leave": leave},
        {"cancel": (problems.ShareNotFound,)},
        the_member_has_nothing,
    ),
    "cancel ending, cancel ending": Race(
        an_ending_share,
        {"cancel": cancel_ending, "cancel too": cancel_ending},
        {"cancel": (problems.ShareConflict,), "cancel too": (problems.ShareConflict,)},
        exactly_one_was_taken,
    ),
    "cancel ending, delete": Race(
        an_ending_share,
        {"cancel": cancel_ending, "delete": delete_old},
        {"cancel": (problems.ShareConflict,)},
        the_member_has_access,
    ),
    "restore, restore": Race(
        a_retained_image,
        {"restore": restore, "restore too": restore},
        {"restore": (problems.ImageNotFound,), "restore too": (problems.ImageNotFound,)},
        exactly_one_was_taken,
    ),
    "restore, leave": Race(
        a_retained_image,
        {"restore": restore, "leave": leave},
        {"restore": (problems.ImageNotFound,)},
        the_member_has_nothing,
    ),
    "restore, scrub and sweep": Race(
        a_soft_deleted_image,
        {"restore": restore_waiting, "scrub": scrub_and_sweep},
        {"restore": (problems.ImageNotFound,)},
        it_is_whole_if_it_was_restored,
    ),
    "offer, offer again": Race(
        lambda service: send(service, worlds.create(service, "old"), DATA),
        {"offer": lambda service: offer(service, key=KEY), "offer again": lambda service: offer(service, key=KEY)},
        {},
        both_were_answered_alike,
    ),
    "claim, claim, one use": Race(
        a_code_with_one_use,
        {"claim": claim("B"), "claim too": claim("C")},
        {"claim": (problems.ClaimCodeNotFound,), "claim too": (problems.ClaimCodeNotFound,)},
        exactly_one_was_taken,
    ),
    "claim, delete": Race(
        a_code_with_one_use,
        {"claim": claim("B"), "delete": delete_old},
        {"claim": (problems.ClaimCodeNotFound,)},
    ),
    "adopt, delete, sweep": Race(
        a_shared_one,
        {"adopt": adopt, "delete": delete_old, "sweep": sweeping},
        {"adopt": (problems.ImageNotFound,)},
        the_adopted_image_is_whole,
    ),
    "adopt, end share": Race(
        a_shared_one,
        {"adopt": adopt, "end": end_share},
        {"adopt": (problems.ImageNotFound,)},
        the_adopted_image_is_whole,
    ),
    "adopt, adopt, room for one": Race(
        a_shared_one,
        {"adopt": adopt_in_little_room, "adopt too": adopt_in_little_room},
        {"adopt": (problems.QuotaExceeded,), "adopt too": (problems.QuotaExceeded,)},
        exactly_one_was_taken,
    ),
    "delete, accept, patch": Race(
        a_shared_one,
        {"delete": delete_old, "accept": accept, "patch": patch("one")},
        {"accept": (problems.ImageNotFound,), "patch": (problems.ImageNotFound,)},
    ),
}


def attempt(stage: Stage, race: Race, chooser: Chooser) -> None:
    """Act a race once and check what came of it."""
    with stage.world(race.before) as service:
        ended = stage.race(service, race.actors, chooser)
        for name, result in ended.results.items():
            if isinstance(result, problems.Problem):
                assert isinstance(result, race.problems.get(name, ())), f"{name}: {result!r}: {ended}"
        assert race.outcome(service, ended), str(ended)
        check(service, ended)


def check(service: Service, ended: Ended) -> None:
    """Hold what must be true after any race against what is there."""
    assert not [verdict for verdict in verify.verify(service) if verdict.fault], f"an active image lacks bytes: {ended}"
    with service.database.read() as tx:
        assert not uploads.list_uploads(tx), f"an upload has not ended: {ended}"
        saving = tx.exec_driver_sql("SELECT count(*) FROM images WHERE status NOT IN ('active', 'queued')").scalar()
    assert worlds.kept_rooms(service) == 0, f"room is still kept: {ended}"
    assert saving == 0, f"an image is neither active nor queued: {ended}"
    later = replace(service, clock=lambda: datetime.now(UTC) + timedelta(hours=2))
    sweeping(later)
    sweeping(later)
    with service.database.read() as tx:
        live = {digest for segment in contents.walk_live_segments(tx, LOCAL) for digest in digests(segment)}
        assert {digest for digest, _ in contents.walk_chunks(tx, LOCAL)} == live, f"chunks were not swept: {ended}"
        packs = {layout.pack_key(each.id) for each in contents.list_packs(tx, LOCAL)}
    assert set(service.stores.by_id[LOCAL].store.enumerate("")) == packs, f"objects were not swept: {ended}"
