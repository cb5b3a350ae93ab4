"""Every change of images and shares has its events, in the same transaction: after a success, and after no failure."""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partage import problems
from partage.model import patch
from partage.model.adoption import AdoptionRequest
from partage.model.caller import Caller
from partage.model.claim_code import CodeRequest
from partage.model.document import KnownFormats
from partage.model.event import Actor, EventPage, EventQuery, RecordedEvent
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, NewImage
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.member import MemberStatus
from partage.model.new_task import NewTask
from partage.model.offer import OfferRequest
from partage.model.terms import Notice, Terms, TermsChange
from partage.operations import images, members, pending_deletes, promises, tags, tasks
from partage.operations import stores as store_operations
from partage.operations.imports import request as import_requests
from partage.operations.service import Service
from partage.operations.sharing import adoption, answers, claim_codes, claims, endings, offers, terms
from partage.records import events
from partage.records.database import Database, Transaction
from tests import uploading
from tests.memory_store import MemoryStore
from tests.operations.services import LOCAL, OWNER, Clock, image_with, queued_image, upload
from tests.operations.sharing_worlds import ADMIN, DATA, MEMBER, offer, service_with, set_visibility, share
from tests.operations.test_imports import NEAR, named, staged_image, work
from tests.services import change_service

B = ProjectID("B")
OPERATIONS = Path(promises.__file__).parent


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    one = service_with(tmp_path, clock)
    return change_service(one, stores={**one.stores.by_id, NEAR: named(NEAR)})


def read(service: Service, project: ProjectID | None = None, after: int | None = None) -> EventPage:
    with service.database.read() as tx:
        query = EventQuery(project_id=project, limit=1000, after=after)
        return events.page(tx, query, last=events.find_last(tx))


def said(found: tuple[RecordedEvent, ...]) -> list[str]:
    return [f"{each.project_id} {each.type}" for each in found]


def update(service: Service, caller: Caller, image_id: ImageID, *changes: Mapping[str, object]) -> None:
    images.update_image(service, caller, image_id, patch.parse(list(changes), version="2.1", known=KnownFormats()))


def import_image(service: Service, image: Image, request: ImportRequest) -> None:
    caller = ADMIN if request.method is ImportMethod.COPY_IMAGE else OWNER
    import_requests.request_import(service, caller, image.id, request, request_id="req-1")


def request_import_of(service: Service, request: ImportRequest | None = None) -> Image:
    image = staged_image(service, DATA)
    import_image(service, image, request or ImportRequest(method=ImportMethod.GLANCE_DIRECT))
    return image


def copied(service: Service) -> Image:
    image = image_with(service, DATA)
    import_image(service, image, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,)))
    work(service)
    return image


def lost_copy(service: Service) -> Image:
    """Ask for a copy into a store that is away."""
    store = named(NEAR, store=Away())
    away = change_service(service, stores={**service.stores.by_id, NEAR: store})
    image = image_with(service, DATA)
    import_image(away, image, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,), all_stores_must_succeed=True))
    return image


class Away(MemoryStore):
    """A store that cannot be reached."""

    def put(self, key: str, parts: Any) -> None:
        del key, parts
        raise problems.StoreUnavailable("The store is away")


def fail_copy(service: Service, _image: Image) -> None:
    work(change_service(service, stores={**service.stores.by_id, NEAR: named(NEAR, store=Away())}))


def offer_anew(service: Service, image: Image, *, make_shared: bool = False) -> None:
    request = OfferRequest(image_ids=(image.id,), projects=("B", "C"), terms=TermsChange(), make_shared=make_shared)
    offers.offer_shares(service, OWNER, request, key=None, render=str)


def private(service: Service) -> Image:
    image = share(service)
    set_visibility(service, image.id, "private")
    return image


def remove_member_of(service: Service) -> Image:
    image = share(service)
    members.remove_member(service, OWNER, image.id, B)
    return image


def deactivated(service: Service, caller: Caller = ADMIN) -> Image:
    image = share(service)
    images.deactivate_image(service, caller, image.id)
    return image


def retain_image(service: Service) -> Image:
    image = share(service)
    images.delete_image(service, OWNER, image.id)
    return image


def soft_deleted(service: Service) -> Image:
    """Delete an image whose share has no notice, on a service that keeps deleted images for a day."""
    image = share(without_notice(service))
    images.delete_image(change_service(service, delayed_delete=True), OWNER, image.id)
    return image


def without_notice(service: Service) -> Service:
    return change_service(service, default_terms=Terms())


def expiring(service: Service) -> Image:
    soon = service.clock() + timedelta(hours=1)
    return share(change_service(service, default_terms=Terms(notice=Notice.parse("P30D"), expires_at=soon)))


def in_two_stores(service: Service) -> Image:
    return copied(service)


def pending_share(service: Service) -> Image:
    return offer(service, "B")


def tag_image(service: Service) -> Image:
    image = image_with(service, DATA)
    tags.add_tag(service, OWNER, image.id, "t")
    return image


def code_of(service: Service, image: Image) -> str:
    return str(claim_codes.create_code(service, OWNER, image.id, CodeRequest())[1])


def with_a_code(service: Service) -> Image:
    image = image_with(service, DATA)
    code_of(service, image)
    return image


def nothing(service: Service) -> Image:
    return image_with(service, DATA)


def create(service: Service, _image: Image) -> None:
    images.create_image(service, OWNER, NewImage(name="n"))


def create_task(service: Service, _image: Image) -> None:
    new = NewTask(
        image=NewImage(name="n", disk_format="raw", container_format="bare"),
        import_from=str(TASK_INPUT["import_from"]),
        input=TASK_INPUT,
    )
    tasks.create_task(service, ADMIN, new, request_id="req-1")


TASK_INPUT = {"import_from": "http://93.184.216.34/disk", "import_from_format": "raw", "image_properties": {}}
OFFERED = ["A share.offered", "B share.offered", "A share.offered", "C share.offered"]
ENDED = ["A share.ended", "B share.ended"]
BACK = ["A share.ending_cancelled", "B share.ending_cancelled"]


@dataclass(frozen=True)
class Case:
    """One mutating operation: a world, what is done in it, and the events that are recorded, each with its project."""

    prepare: Callable[[Service], Image]
    act: Callable[[Service, Image], object]
    expected: list[str]


CASES: Mapping[str, Case] = {
    "create image": Case(nothing, create, ["A image.created"]),
    "update image": Case(
        nothing, lambda s, i: update(s, OWNER, i.id, {"op": "replace", "path": "/name", "value": "x"}), ["A image.updated"]
    ),
    "give image away": Case(
        nothing,
        lambda s, i: update(s, ADMIN, i.id, {"op": "replace", "path": "/owner", "value": "D"}),
        ["A image.given_away", "D image.received"],
    ),
    "add tag": Case(nothing, lambda s, i: tags.add_tag(s, OWNER, i.id, "t"), ["A image.updated"]),
    "remove tag": Case(tag_image, lambda s, i: tags.remove_tag(s, OWNER, i.id, "t"), ["A image.updated"]),
    "upload": Case(queued_image, lambda s, i: upload(s, i.id, DATA), ["A image.activated"]),
    "stage": Case(
        queued_image, lambda s, i: uploading.stage(s, OWNER, i.id, [DATA], announced_bytes=None), ["A image.staged"]
    ),
    "request import": Case(
        staged_image,
        lambda s, i: import_image(s, i, ImportRequest(method=ImportMethod.GLANCE_DIRECT)),
        ["A image.import_requested"],
    ),
    "run import": Case(request_import_of, lambda s, _i: work(s), ["A image.updated", "A image.activated", "A image.imported"]),
    "copy image": Case(
        nothing,
        lambda s, i: (import_image(s, i, ImportRequest(method=ImportMethod.COPY_IMAGE, stores=(NEAR,))), work(s)),
        ["A image.import_requested", "A image.updated", "A image.imported"],
    ),
    "fail import": Case(lost_copy, fail_copy, ["A image.import_failed"]),
    "create task": Case(nothing, create_task, ["Z image.created", "Z image.import_requested"]),
    "delete from store": Case(
        in_two_stores, lambda s, i: store_operations.delete_from_store(s, ADMIN, LOCAL, i.id), ["A image.updated"]
    ),
    "deactivate": Case(
        share, lambda s, i: images.deactivate_image(s, ADMIN, i.id), [*ENDED, "A image.deactivated"]
    ),
    "reactivate": Case(deactivated, lambda s, i: images.reactivate_image(s, ADMIN, i.id), [*BACK, "A image.reactivated"]),
    "delete": Case(share, lambda s, i: images.delete_image(s, OWNER, i.id), [*ENDED, "A image.deleted"]),
    "delete with delay": Case(
        share,
        lambda s, i: images.delete_image(change_service(s, delayed_delete=True), OWNER, i.id),
        [*ENDED, "A image.deleted"],
    ),
    "take down retained image": Case(retain_image, lambda s, i: images.delete_image(s, ADMIN, i.id), [*ENDED, "A image.deleted"]),
    "restore from the command line": Case(
        soft_deleted, lambda s, i: pending_deletes.restore(s, i.id), ["A image.restored", *BACK]
    ),
    "restore retained image from the command line": Case(
        retain_image, lambda s, i: pending_deletes.restore(s, i.id), ["A image.restored", *BACK]
    ),
    "restore": Case(retain_image, lambda s, i: endings.restore_image(s, OWNER, i.id), ["A image.restored", *BACK]),
    "make private": Case(share, lambda s, i: set_visibility(s, i.id, "private"), [*ENDED, "A image.updated"]),
    "make shared": Case(private, lambda s, i: set_visibility(s, i.id, "shared"), [*BACK, "A image.updated"]),
    "add member": Case(nothing, lambda s, i: members.add_member(s, OWNER, i.id, B), OFFERED[:2]),
    "update member": Case(
        pending_share, lambda s, i: members.update_member(s, MEMBER, i.id, B, "accepted"), ["A share.accepted", "B share.accepted"]
    ),
    "withdraw answer": Case(
        share,
        lambda s, i: members.update_member(s, MEMBER, i.id, B, "pending"),
        ["A share.answer_withdrawn", "B share.answer_withdrawn"],
    ),
    "give up notice": Case(
        private, lambda s, i: members.update_member(s, MEMBER, i.id, B, "rejected"), ["A share.left", "B share.left"]
    ),
    "remove member": Case(share, lambda s, i: members.remove_member(s, OWNER, i.id, B), ENDED),
    "offer": Case(nothing, offer_anew, OFFERED),
    "offer private image": Case(
        lambda s: private(without_notice(s)),
        lambda s, i: offers.offer_shares(
            s, OWNER, OfferRequest(image_ids=(i.id,), projects=("C",), terms=TermsChange(), make_shared=True), key=None, render=str
        ),
        [*BACK, "A image.updated", *OFFERED[2:]],
    ),
    "accept": Case(
        pending_share,
        lambda s, i: answers.answer_share(s, MEMBER, i.id, B, MemberStatus.ACCEPTED),
        ["A share.accepted", "B share.accepted"],
    ),
    "reject many": Case(
        pending_share,
        lambda s, i: answers.answer_shares(s, MEMBER, [i.id], MemberStatus.REJECTED),
        ["A share.rejected", "B share.rejected"],
    ),
    "leave": Case(share, lambda s, i: answers.leave_share(s, MEMBER, i.id, B), ["A share.left", "B share.left"]),
    "add member after another has expired": Case(
        expiring,
        lambda s, i: members.add_member(later(s, timedelta(hours=2)), OWNER, i.id, ProjectID("C")),
        ["A share.expired", "B share.expired", *OFFERED[2:]],
    ),
    "change terms": Case(
        share,
        lambda s, i: terms.change_terms(s, OWNER, i.id, B, TermsChange(given=frozenset({"message"}), message="m")),
        ["A share.terms_changed", "B share.terms_changed"],
    ),
    "end share": Case(share, lambda s, i: endings.end_share(s, OWNER, i.id, B), ENDED),
    "end share of private image": Case(private, lambda s, i: endings.end_share(s, OWNER, i.id, B), ENDED),
    "take down ended share": Case(remove_member_of, lambda s, i: endings.end_share(s, ADMIN, i.id, B), ENDED),
    "cancel ending": Case(remove_member_of, lambda s, i: endings.cancel_ending(s, OWNER, i.id, B), BACK),
    "create claim code": Case(
        private,
        lambda s, i: claim_codes.create_code(s, OWNER, i.id, CodeRequest(make_shared=True)),
        [*BACK, "A image.updated", "A image.claim_code_created"],
    ),
    "revoke claim code": Case(
        with_a_code,
        lambda s, i: claim_codes.revoke_code(s, OWNER, i.id, claim_codes.list_codes(s, OWNER, i.id)[0].id),
        ["A image.claim_code_revoked"],
    ),
    "claim": Case(
        nothing,
        lambda s, i: claims.claim_share(s, MEMBER, code_of(s, i), ""),
        ["A image.claim_code_created", *OFFERED[:2], "A share.accepted", "B share.accepted"],
    ),
    "claim a pending share": Case(
        pending_share,
        lambda s, i: claims.claim_share(s, MEMBER, code_of(s, i), ""),
        ["A image.claim_code_created", "A share.accepted", "B share.accepted"],
    ),
    "adopt": Case(share, lambda s, i: adoption.adopt_image(s, MEMBER, i.id, AdoptionRequest()), ["B image.adopted"]),
    "notice runs out": Case(
        remove_member_of, lambda s, _i: after(s, timedelta(days=31)), ["A share.notice_ended", "B share.notice_ended"]
    ),
    "share expires": Case(expiring, lambda s, _i: after(s, timedelta(hours=2)), ["A share.expired", "B share.expired"]),
}  # fmt: skip
"""Every operation that changes an image or a share."""


def after(service: Service, span: timedelta) -> None:
    """Run the job that removes what has ended, later."""
    promises.remove_expired(later(service, span))


def later(service: Service, span: timedelta) -> Service:
    """Set the clock of a service forward."""
    now = service.clock() + span
    return replace(service, clock=lambda: now)


def each_case() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])


@each_case()
def test_events_are_there_after_success(service: Service, case: Case) -> None:
    image = case.prepare(service)
    before = read(service).last
    case.act(service, image)
    assert said(read(service, after=before).events) == case.expected


class Interrupted(Exception):
    """The database is away at the moment of the commit."""


class Interrupting(Database):
    """Rolls every transaction back that has recorded an event."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def dialect(self) -> str:
        return self._inner.dialect

    def read(self) -> Any:
        return self._inner.read()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with self._inner.write() as tx:
            before = events.find_last(tx)
            yield tx
            if events.find_last(tx) != before:
                raise Interrupted


@each_case()
def test_no_event_is_there_after_a_rollback(service: Service, case: Case) -> None:
    image = case.prepare(service)
    before = read(service).last
    interrupted = replace(service, database=Interrupting(service.database))
    # The run of a task catches everything, and fails to record that.
    with suppress(Interrupted):
        case.act(interrupted, image)
    assert said(read(service, after=before).events) == []


def test_nothing_is_recorded_when_nothing_changes(service: Service) -> None:
    image = share(service)
    before = read(service).last
    update(service, OWNER, image.id)
    answers.answer_share(service, MEMBER, image.id, B, MemberStatus.ACCEPTED)
    images.reactivate_image(service, ADMIN, image.id)
    terms.change_terms(service, OWNER, image.id, B, TermsChange())
    with pytest.raises(problems.ImageNotFound):
        images.delete_image(service, replace(OWNER, project_id=ProjectID("X")), image.id)
    with pytest.raises(problems.PolicyForbids):
        images.delete_image(service, MEMBER, image.id)
    assert said(read(service, after=before).events) == []


def test_second_end_of_a_share_is_not_recorded(service: Service) -> None:
    image = share(service)
    endings.end_share(service, OWNER, image.id, B)
    before = read(service).last
    endings.end_share(service, OWNER, image.id, B)
    images.delete_image(service, OWNER, image.id)
    assert said(read(service, after=before).events) == ["A image.deleted"]


def last_of(service: Service, project: str, event_type: str) -> RecordedEvent:
    return [each for each in read(service, ProjectID(project)).events if each.type == event_type][-1]


def test_event_of_an_ending_says_why_and_until_when(service: Service, clock: Clock) -> None:
    image = share(service)
    members.add_member(service, OWNER, image.id, ProjectID("C"))
    images.delete_image(service, OWNER, image.id)
    ends_at = (clock.now + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert last_of(service, "B", "share.ended").data["ends_at"] == ends_at
    assert last_of(service, "C", "share.ended").data["ends_at"] == clock.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert last_of(service, "B", "share.ended").data["reason"] == "deleted"


def test_operator_who_takes_an_image_down_is_named_as_such(service: Service, clock: Clock) -> None:
    image = share(service)
    images.delete_image(service, replace(ADMIN, user_id=UserID("root"), request_id="req-9"), image.id)
    found = last_of(service, "B", "share.ended")
    assert (found.actor_role, found.data["ends_at"]) == ("operator", clock.now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert found.actor == Actor(project_id=ProjectID("Z"), user_id=UserID("root"), request_id="req-9", is_operator=True)
    assert not found.is_own_action()


def test_users_of_the_recipient_are_its_own(service: Service) -> None:
    image = share(service)
    answers.leave_share(service, replace(MEMBER, request_id="req-2"), image.id, B)
    left = {each.project_id: each for each in read(service).events if each.type == "share.left"}
    assert (left[B].is_own_action(), left[B].actor.request_id, left[B].actor_role) == (True, "req-2", "member")
    assert not left[ProjectID("A")].is_own_action()


def test_worker_acts_for_the_user_that_requested_the_import(service: Service) -> None:
    request_import_of(service)
    work(service)
    found = last_of(service, "A", "image.imported")
    assert (found.actor.user_id, found.actor.request_id, found.actor_role) == ("u", "req-1", "owner")


def test_job_acts_for_nobody(service: Service) -> None:
    remove_member_of(service)
    after(service, timedelta(days=31))
    found = last_of(service, "B", "share.notice_ended")
    assert (found.actor_role, found.actor, found.data["reason"]) == ("service", Actor(), "removed")


def test_update_names_attributes_and_no_properties(service: Service) -> None:
    image = image_with(service, DATA)
    update(
        service,
        OWNER,
        image.id,
        {"op": "replace", "path": "/min_ram", "value": 1},
        {"op": "add", "path": "/secret", "value": "x"},
    )
    assert last_of(service, "A", "image.updated").data["changed"] == ["min_ram", "properties"]


def test_members_do_not_learn_of_each_other(service: Service) -> None:
    image = offer(service, "B", "C")
    images.delete_image(service, OWNER, image.id)
    for project, other in (("B", "C"), ("C", "B")):
        found = read(service, ProjectID(project)).events
        assert {each.type for each in found} == {"share.offered", "share.ended"}
        assert not any(other in (each.member_id, each.project_id) or f'"{other}"' in str(each.data) for each in found)


CHANGES = {
    "images": {"add", "save", "change_status", "queue_again", "remove", "soft_delete"},
    "image_rows": {"add", "save", "change_status", "remove"},
    "members": {"add", "set_status", "set_terms", "take_expired", "remove"},
    "endings": {"put", "cancel", "change_reason", "remove", "remove_all", "remove_covered", "take_over"},
}
"""Functions of `records` that change images or shares, by the names of their modules in `operations`."""

RECORDED_ELSEWHERE = {
    "members.py:remove_member": "by `end_member_share`",
    "imports/abandon.py:end_import": "the deletion of the image is recorded",
    "imports/run.py:_begin": "the request of the import is recorded, and its end",
    "imports/run.py:_note_failure": "the end of the import is recorded",
    "imports/locations.py:read_location": "the end of the import is recorded",
    "partial_uploads.py:_claim": "the end of the upload is recorded",
    "partial_uploads.py:_end_writer": "an upload that fails leaves no change",
    "pending_deletes.py:remove_image": "by `delete_image`",
    "promises.py:end_all_shares": "by `record_ended`",
    "promises.py:_lift_reason": "by `record_shares_back`",
    "promises.py:keep_notice": "by its callers",
    "promises.py:drop_former_notice": "by its callers",
    "promises.py:settle_former_notice": "by `update_member`",
    "promises.py:take_down_share": "by `record_ended`",
    "promises.py:retain": "by `delete_image`",
    "promises.py:_start_notices": "by its callers",
    "promises.py:_remove_abandoned": "the end of each notice is recorded",
    "recovery.py:_requeue": "an upload that fails leaves no change",
    "sharing/answers.py:_answer": "by its callers, for all images at once",
    "sharing/claims.py:_claim": "by `claim_share`",
    "sharing/endings.py:_end": "by `record_ended`",
    "sharing/endings.py:_remove_membership": "by `record_ended`",
    "sharing/offers.py:_save": "by `_offer_all`, for all images at once",
    "sharing/offered_images.py:save_shared": "by its callers",
    "taking_over/run.py:_remove": "what happened in Glance did not happen here",
    "taking_over/run.py:_write": "what happened in Glance did not happen here",
    "taking_over/run.py:_write_members": "what happened in Glance did not happen here",
    "upload_parts.py:_record_part": "the end of the upload is recorded",
    "uploads.py:_forget_failures": "by `_finish_upload`",
    "uploads.py:_reserve": "the end of the upload is recorded, if it succeeds",
}


def list_changing_functions() -> dict[str, bool]:
    """List the functions of operations that change images or shares, and whether they record events themselves."""
    found = {}
    for file in sorted(OPERATIONS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            calls = {
                (each.func.value.id, each.func.attr)
                for each in ast.walk(node)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and isinstance(each.func.value, ast.Name)
            }
            if any(name in CHANGES.get(module, ()) for module, name in calls):
                found[f"{file.relative_to(OPERATIONS).as_posix()}:{node.name}"] = ("events", "record") in calls
    return found


def test_each_function_that_changes_an_image_or_a_share_records_events() -> None:
    found = list_changing_functions()
    assert {name for name, records in found.items() if not records} == set(RECORDED_ELSEWHERE)
