"""One small world for every crash: images that share bytes, members, a deleted image whose bytes wait for the sweep.

Operations act on it by name, so that a test can say which one, and its state can be written down and compared.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import event

from partage import problems
from partage.identity.cloud import Endpoint
from partage.main.composition import readiness
from partage.main.process import liveness
from partage.model import importing
from partage.model.adoption import AdoptionRequest
from partage.model.caller import Caller
from partage.model.claim_code import ClaimCode, CodeRequest, CodeText
from partage.model.closing import ProjectState
from partage.model.guard import GuardMode
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, ImageStatus, NewImage, Visibility
from partage.model.impact import Action
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.limits import Limits
from partage.model.maintenance import Outcome
from partage.model.member import MemberStatus
from partage.model.offer import OfferRequest, RequestKey
from partage.model.partial_upload import Addition, PartialUploadRules
from partage.model.patch import Change, Operation
from partage.model.terms import Notice, Terms, TermsChange
from partage.model.trust import TrustAnswer, TrustKind, TrustSubject
from partage.model.use import Resource, UseKey, UseKind
from partage.model.use_news import UseChange, UseNews
from partage.model.webhook import NewWebhook, Webhook, WebhookChange, WebhookID
from partage.operations import (
    completions,
    downloads,
    images,
    maintenance,
    members,
    partial_uploads,
    recovery,
    sweep,
    tasks,
    trust,
    uploads,
)
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.maintenance import Maintainer
from partage.operations.partial_uploads import Progress
from partage.operations.service import Service
from partage.operations.sharing import (
    adoption,
    answers,
    claims,
    closing,
    endings,
    guards,
    learning,
    offers,
    reconciliation,
    retained,
    terms,
    uses,
    webhooks,
)
from partage.operations.sharing import claim_codes as claim_code_operations
from partage.records import claim_codes, schema
from partage.records import images as image_rows
from partage.records import webhooks as webhook_rows
from partage.stores.store import Store
from partage.worker import project_notifications
from partage.worker.maintenance import plan_expiry, plan_sweep, plan_verification
from tests import services, uploading
from tests.services import change_service

MEBIBYTE = 1 << 20
LOCAL = services.LOCAL
NO_GRACE = timedelta(0)


def caller(project: str, *roles: str) -> Caller:
    """Be somebody of a project."""
    return Caller(
        user_id=UserID(f"user-{project}"),
        project_id=ProjectID(project),
        roles=frozenset({"member", "reader", *roles}),
        is_admin="admin" in roles,
    )


OWNER = caller("A")
LEAVER = caller("P")
"""Of the project that is closed."""
ADMIN = caller("Z", "admin")
CODE = CodeText.encode(bytes(25))
_WEBHOOK = WebhookID("webhook")
_URL = "https://hooks.example.org/partage"
_FROM_A = TrustSubject(TrustKind.PROJECT, "A")
_WHILE_USED = Notice(while_used=True)
_FOREVER = TermsChange(given=frozenset({"notice"}), notice=Notice(None))


def noise(seed: int, megabytes: float) -> bytes:
    """Make bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(int(megabytes * MEBIBYTE))


def compose(folder: Path, *, url: str = "", store: Store | None = None, **changed: Any) -> Service:
    """Put a service together whose database and store lie in `folder`, as a worker does when it starts."""
    readiness.prepare_directory(folder / "store")
    parts: dict[str, Any] = {
        "limits": Limits(storage_per_project_bytes=1 << 40),  # so that every upload reserves quota
        "worker": liveness.name_own_process(),
        "worker_lives": liveness.is_alive,
    }
    return services.build(folder, url=url, store=store, **{**parts, **changed})


def without_syncs(service: Service) -> Service:
    """Spare the disk where the world need not survive a power cut. Before the first connection."""

    @event.listens_for(service.database._engine, "connect")  # noqa: SLF001
    def no_sync(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return service


def id_of(name: str) -> ImageID:
    """Give an image the id that goes with its name."""
    return ImageID(str(uuid5(NAMESPACE_URL, name)))


def create(service: Service, name: str, visibility: Visibility = Visibility.SHARED, *, who: Caller = OWNER) -> ImageID:
    """Make a queued raw image of the owner's, or of another project's."""
    new = NewImage(id=id_of(name), name=name, visibility=visibility, disk_format="raw", container_format="bare")
    return images.create_image(service, who, new).id


def send(service: Service, image_id: ImageID, data: bytes, who: Caller = OWNER) -> None:
    """Upload data in uneven blocks."""
    uploading.upload(service, who, image_id, blocks(data), announced_bytes=None, store_id=None)


def blocks(data: bytes) -> Iterator[bytes]:
    """Cut data as a network would."""
    return (data[start : start + 70_001] for start in range(0, len(data), 70_001))


def fetch(service: Service, image_id: ImageID, who: Caller = OWNER) -> bytes:
    """Download an image whole."""
    opened = downloads.open_image_data(service, who, image_id)
    return b"".join(opened.read(0, opened.size_bytes))


def make(service: Service) -> None:
    """Create the schema and the world."""
    schema.upgrade(service.database)
    common = noise(1, 1)
    for name, data in {"alpha": common + noise(2, 0.5), "beta": common + noise(3, 0.5), "gone": noise(4, 2)}.items():
        send(service, create(service, name), data)
    # What it shares with "gone" keeps that image's pack half alive: the sweep has to rewrite it.
    send(service, create(service, "delta"), noise(4, 2)[:MEBIBYTE] + noise(5, 0.3))
    images.delete_image(service, OWNER, id_of("gone"))
    create(service, "empty")
    for project in ("B", "C"):
        members.add_member(service, OWNER, id_of("alpha"), ProjectID(project))
    members.update_member(service, caller("C"), id_of("alpha"), ProjectID("C"), "accepted")
    begin_and_die(service, create(service, "stuck"))
    _make_shares(service)


def _make_shares(service: Service) -> None:
    """Give project P an image that C has accepted with notice, one that is ending, one that is retained, and one of its own.

    The notice of the ending one is while-used, and C uses it.
    """
    plain, a_month = service, Terms(notice=Notice(timedelta(days=30)))
    for name in ("promised", "ending", "retained"):
        service = change_service(plain, default_terms=Terms(notice=_WHILE_USED) if name == "ending" else a_month)
        image_id = create(service, name, who=LEAVER)
        send(service, image_id, noise(10, 0.2), who=LEAVER)
        members.add_member(service, LEAVER, image_id, ProjectID("C"))
        members.update_member(service, caller("C"), image_id, ProjectID("C"), "accepted")
    uses.record_use(service, caller("C"), _key("before", "ending"))
    members.remove_member(service, LEAVER, id_of("ending"), ProjectID("C"))
    images.delete_image(service, LEAVER, id_of("retained"))
    _record_use(service, "before")
    with service.database.write() as tx:
        now = service.clock()
        code = ClaimCode(
            id=CODE.id,
            digest=CODE.digest,
            image_id=id_of("promised"),
            created_at=now,
            expires_at=now + timedelta(days=7),
            uses=2,
            uses_left=2,
            terms=Terms(),
        )
        claim_codes.add(tx, code, image_rows.find(tx, LEAVER, code.image_id, now=now))
    create(service, "own", who=LEAVER)
    members.add_member(service, OWNER, id_of("beta"), ProjectID("P"))
    _make_rules(plain)


def _make_rules(service: Service) -> None:
    """Give project A a guarded image that C has accepted without notice, and a webhook; let E refuse what A offers."""
    trust.set_rule(service, caller("E"), _FROM_A, TrustAnswer.REFUSE)
    send(service, create(service, "guarded"), noise(11, 0.1))
    for project in ("C", "E"):
        members.add_member(service, OWNER, id_of("guarded"), ProjectID(project))
    members.update_member(service, caller("C"), id_of("guarded"), ProjectID("C"), "accepted")
    guards.switch_guard(service, OWNER, id_of("guarded"), GuardMode.BLOCK)
    now = service.clock()
    with service.database.write() as tx:
        webhook_rows.add(
            tx,
            Webhook(id=_WEBHOOK, project_id=ProjectID("A"), url=_URL, secret="s", created_at=now, position=0, due_at=now),
        )


def begin_and_die(service: Service, image_id: ImageID) -> None:
    """Do as much of an upload as a process does that is killed while bytes arrive."""
    dead = change_service(service, worker=service.process.worker + "0")  # a process that began at another time: it is gone
    uploads._begin(dead, OWNER, image_id, 1000)  # noqa: SLF001


def state(service: Service, *, with_bytes: bool = True) -> dict[str, Any]:
    """Write down everything that clients can see of every image and share; on the way read the bytes of images and compare.

    With bytes, the state has `EFFECTS` too: what an operation adds each time that it is repeated.
    """
    with service.database.read() as tx:
        found = [
            image_rows.find(tx, ADMIN, ImageID(each), now=datetime.now(UTC))
            for (each,) in tx.exec_driver_sql("SELECT id FROM images ORDER BY id")
        ]
        shares = {name: [list(row) for row in tx.exec_driver_sql(text)] for name, text in _SHARES.items()}
        effects = {name: [list(row) for row in tx.exec_driver_sql(text)] for name, text in _EFFECTS.items()}
    for image in found:
        if image.status is ImageStatus.ACTIVE and with_bytes:
            data = fetch(service, image.id, ADMIN)
            read = (len(data), hashlib.md5(data).hexdigest(), hashlib.sha512(data).hexdigest())
            assert read == (image.size, image.checksum, image.os_hash_value), f"image {image.name} is not what it says it is"
        has_data = image.status in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
        assert has_data == (image.size is not None), f"image {image.name} is {image.status} with size {image.size}"
    seen = {image.id: _seen(service, image) for image in found} | {"shares": shares}
    return {**seen, EFFECTS: effects} if with_bytes else seen


EFFECTS = "effects"
_SHARES = {
    "owners": "SELECT id, owner, former_owner FROM images ORDER BY id",
    "members": "SELECT image_id, member_id, status, notice_seconds, hidden FROM members ORDER BY image_id, member_id",
    "endings": "SELECT image_id, member_id, status, reason, notice_seconds, ends_at > 4102444800000000 FROM endings "
    "ORDER BY image_id, member_id",
    "takedowns": "SELECT image_id, member_id, reason FROM takedowns ORDER BY image_id, member_id",
    "uses": "SELECT image_id, project_id, use_id FROM uses ORDER BY image_id, project_id, use_id",
    "adoptions": "SELECT image_id, source_id FROM adoptions ORDER BY image_id",
    "ended uses": "SELECT kind, use_id FROM ended_uses ORDER BY kind, use_id",
    "keys": "SELECT project_id, idempotency_keys.key FROM idempotency_keys ORDER BY 1, 2",
    "guards": "SELECT image_id, override, pending FROM guards ORDER BY image_id",
    "trust": "SELECT project_id, kind, subject_id, answer FROM trust_rules ORDER BY project_id, kind, subject_id",
    "closings": "SELECT project_id, source FROM project_closings ORDER BY project_id",
}
"""What a repeated operation does not change. Of a time only whether it is after the year 2100, which is never."""
_EFFECTS = {
    "events": "SELECT project_id, type, image_id, member_id FROM events ORDER BY project_id, type, image_id, member_id, id",
    "codes": "SELECT image_id, uses, uses_left FROM claim_codes ORDER BY image_id, uses_left",
    "webhooks": "SELECT project_id, url, description, status FROM webhooks ORDER BY project_id, url",
}


def kept_rooms(service: Service) -> int:
    """Count the rooms that are kept for data under way."""
    with service.database.read() as tx:
        return int(tx.exec_driver_sql("SELECT count(*) FROM reservations").scalar_one())


def _seen(service: Service, image: Image) -> dict[str, Any]:
    seen: dict[str, Any] = {
        name: getattr(image, name)
        for name in ("name", "status", "visibility", "size", "checksum", "os_hash_value", "min_ram", "protected")
    }
    seen |= {"properties": dict(image.properties), "tags": list(image.tags)}
    if image.visibility is Visibility.SHARED:
        seen["members"] = [[each.member_id, each.status.value] for each in members.list_members(service, ADMIN, image.id)]
    return seen


@dataclass(frozen=True)
class Act:
    """An operation of the table: how it is done, and what it answers when it is repeated after it has happened.

    `goes_on`: it has several steps, each of them acknowledged; after a crash those are taken that are left.
    """

    do: Callable[[Service], object]
    repeated: type[problems.Problem] | None = None
    goes_on: bool = False


def _update(service: Service) -> None:
    changes = (
        Change(Operation.REPLACE, ("name",), "renamed"),
        Change(Operation.ADD, ("os_distro",), "debian"),
        Change(Operation.REPLACE, ("tags",), ["one", "two"]),
        Change(Operation.REPLACE, ("min_ram",), 512),
    )
    images.update_image(service, OWNER, id_of("beta"), changes)


def _import(service: Service) -> None:
    """Stage data, ask for its import and be the worker that does it, from whichever of these steps is the next."""
    import_runs.recover(service)
    image = images.show_image(service, OWNER, id_of("empty"))
    if image.status is ImageStatus.QUEUED:
        data = blocks(noise(1, 0.7) + noise(10, 0.6))
        uploading.stage(service, OWNER, image.id, data, announced_bytes=None)
    if image.status in (ImageStatus.QUEUED, ImageStatus.UPLOADING) and importing.find_holder(image) is None:
        asked = ImportRequest(method=ImportMethod.GLANCE_DIRECT)
        import_requests.request_import(service, OWNER, image.id, asked, request_id="req-import")
    while (work := import_runs.claim(service)) is not None:
        import_runs.run(service, work)
    if images.show_image(service, OWNER, image.id).status is not ImageStatus.ACTIVE:
        raise problems.StoreUnavailable(tasks.list_image_tasks(service, OWNER, image.id)[-1].message)


def _resume(service: Service) -> None:
    """Upload in several requests, each in several parts, from whichever is the next; then complete the upload."""
    recovery.recover(service)
    service = change_service(service, partial_uploads=PartialUploadRules(part_bytes=MEBIBYTE // 2))
    image_id, data = id_of("empty"), noise(1, 0.7) + noise(12, 1.6)
    if images.show_image(service, OWNER, image_id).status is ImageStatus.ACTIVE:
        return
    quiet = Progress(began=lambda _upload: None, stored=lambda _offset: None)
    asked = Addition(offset_bytes=0, is_last=False, length_bytes=len(data))
    try:
        reached = partial_uploads.show_upload(service, OWNER, image_id).offset_bytes
    except problems.UploadNotFound:
        arrival = partial_uploads.begin_upload(service, OWNER, image_id, asked, store_id=None, progress=quiet)
        uploading.push(service, arrival, blocks(data[: MEBIBYTE // 3]))
        reached = MEBIBYTE // 3
    while reached < len(data):
        step = min(MEBIBYTE, len(data) - reached)
        arrival = partial_uploads.continue_upload(service, OWNER, image_id, replace(asked, offset_bytes=reached), progress=quiet)
        uploading.push(service, arrival, blocks(data[reached : reached + step]))
        reached += step
    end = Addition(offset_bytes=reached, is_last=True, content_bytes=0)
    completion = completions.begin_completion(service, OWNER, image_id, end, token="")
    try:
        while completion.advance():
            pass
    except BaseException as error:
        completion.fail(error)
        raise


def _offer(service: Service) -> None:
    """Offer two images to two projects. Repeated with its key, the request is answered and changes nothing."""
    asked = OfferRequest(image_ids=(id_of("beta"), id_of("delta")), projects=("D", "E"), terms=TermsChange())
    answer = offers.offer_shares(service, OWNER, asked, key=RequestKey("k", "r"), render=lambda all_: str(len(all_)))
    assert answer == "4"


def _adopt(service: Service) -> None:
    service = change_service(service, new_id=lambda: id_of("adopted"))
    adoption.adopt_image(service, caller("C"), id_of("promised"), AdoptionRequest())


def _key(use_id: str, image: str = "promised") -> UseKey:
    return UseKey(image_id=id_of(image), project_id=ProjectID("C"), kind=UseKind.SERVER, use_id=use_id)


def _record_use(service: Service, use_id: str = "after") -> None:
    uses.record_use(service, caller("C"), _key(use_id))


def _release_use(service: Service) -> None:
    """Release the last use of an image whose notice is while-used: access ends after the grace."""
    uses.release_use(service, caller("C"), _key("before", "ending"))


def _learn(service: Service, change: UseChange) -> None:
    """Hear that the server has another image than before, or is gone."""
    news = UseNews(
        kind=UseKind.SERVER, use_id="before", project_id=ProjectID("C"), image_id=id_of("alpha"), change=change, at=service.clock()
    )
    learning.learn(service, news)


class _Cloud:
    """A cloud with one server, which nobody has told of, and none of the servers that are recorded."""

    def list_endpoints(self) -> list[Endpoint]:
        """List the services of one region."""
        return [Endpoint(kind=kind, region="one", url="http://cloud.example") for kind in UseKind]

    def list_resources(self, endpoint: Endpoint) -> Iterator[Resource]:
        """List the server."""
        if endpoint.kind is UseKind.SERVER:
            yield Resource(kind=UseKind.SERVER, use_id="found", project_id=ProjectID("C"), image_id=id_of("promised"))

    def has(self, _endpoint: Endpoint, _use_id: str) -> bool:
        """Say that there is no other one."""
        return False


def _reconcile(service: Service) -> None:
    cloud: Any = _Cloud()
    assert not reconciliation.reconcile(service, cloud).failures


class _Keystone:
    """A Keystone in which no project exists any more."""

    def read_state(self, _project_id: ProjectID) -> ProjectState:
        """Say so."""
        return ProjectState.ABSENT


def _hear_of_deleted_project(service: Service) -> None:
    """Record what a message says, and be the worker that carries it out."""
    service = change_service(service, recipients=_Keystone())
    project_notifications.handle(service, {"resource_info": "P"})
    while closing.carry_out_due(service):
        pass


def _end_in_spite_of_guard(service: Service) -> None:
    guards.end_access(service, OWNER, id_of("guarded"), guards.EndRequest(action=Action.DELETE, is_acknowledged=True))


def _make(visibility: Visibility, name: str) -> Callable[[Service], object]:
    change = (Change(Operation.REPLACE, ("visibility",), visibility),)
    return lambda service: images.update_image(service, LEAVER, id_of(name), change)


def _create_code(service: Service) -> None:
    claim_code_operations.create_code(service, LEAVER, id_of("promised"), CodeRequest())


def _claim(service: Service) -> None:
    claims.claim_share(service, caller("D"), str(CODE), "192.0.2.1")


def _sweep(service: Service) -> None:
    """Twice: what the first one retires the second one removes, as the clock has moved on."""
    swept = [sweep.sweep(service, grace=NO_GRACE) for _ in range(2)]
    failed = [reason for each in swept for reason in each.postponed]
    if failed:
        raise problems.StoreUnavailable("; ".join(failed))  # the command exits with 1


def _maintain(service: Service) -> None:
    """Run each job once, under its lease, as the first worker after a crash does."""
    plans = [
        plan_sweep(timedelta(0), NO_GRACE),
        plan_verification(timedelta(0), 0, lambda _seconds: None),
        plan_expiry(timedelta(0)),
    ]
    for plan in plans:
        Maintainer(service, plan, may_go_on=lambda: True).run_if_due()
    states = maintenance.list_states(service)
    if any(state.token for state in states):
        raise problems.DatabaseUnavailable("The end of a run is not recorded")
    ended = {state.job: (state.outcome, state.token) for state in states}
    assert ended == {plan.job: (Outcome.SUCCESS, None) for plan in plans}, ended


_FOREVER = TermsChange(given=frozenset({"notice"}), notice=Notice(None))

ACTS: Mapping[str, Act] = MappingProxyType(
    {
        "create": Act(lambda service: create(service, "new"), problems.ImageExists),
        "upload": Act(
            lambda service: send(service, id_of("empty"), noise(1, 0.7) + noise(6, 0.8)),
            problems.StatusConflict,
        ),
        "upload-large": Act(
            lambda service: send(service, id_of("empty"), noise(7, 12) + bytes(3 * MEBIBYTE) + noise(8, 5)),
            problems.StatusConflict,
        ),
        "import": Act(_import, goes_on=True),
        "resume": Act(_resume, goes_on=True),
        "upload-after-crash": Act(lambda service: send(service, id_of("stuck"), noise(9, 0.2)), problems.StatusConflict),
        "delete": Act(lambda service: images.delete_image(service, OWNER, id_of("alpha")), problems.ImageNotFound),
        "update": Act(_update),
        "deactivate": Act(lambda service: images.deactivate_image(service, caller("Z", "admin"), id_of("beta"))),
        "add-member": Act(
            lambda service: members.add_member(service, OWNER, id_of("alpha"), ProjectID("D")),
            problems.MemberExists,
        ),
        "accept": Act(lambda service: members.update_member(service, caller("B"), id_of("alpha"), ProjectID("B"), "accepted")),
        "remove-member": Act(
            lambda service: members.remove_member(service, OWNER, id_of("alpha"), ProjectID("C")),
            problems.MemberNotFound,
        ),
        "offer-shares": Act(_offer),
        "accept-shares": Act(
            lambda service: answers.answer_shares(service, caller("B"), [id_of("alpha")], MemberStatus.ACCEPTED),
        ),
        "end-share": Act(lambda service: endings.end_share(service, OWNER, id_of("alpha"), ProjectID("C")), problems.ShareNotFound),
        "leave-share": Act(
            lambda service: answers.leave_share(service, caller("C"), id_of("ending"), ProjectID("C")), problems.ShareNotFound
        ),
        "change-terms": Act(
            lambda service: terms.change_terms(service, LEAVER, id_of("promised"), ProjectID("C"), _FOREVER),
        ),
        "cancel-ending": Act(
            lambda service: endings.cancel_ending(service, LEAVER, id_of("ending"), ProjectID("C")), problems.ShareConflict
        ),
        "restore": Act(lambda service: endings.restore_image(service, LEAVER, id_of("retained")), problems.ImageNotFound),
        "adopt": Act(_adopt, problems.ImageExists),
        "retain": Act(lambda service: images.delete_image(service, LEAVER, id_of("promised")), problems.ImageNotFound),
        "record-use": Act(_record_use),
        "release-use": Act(_release_use),
        "learn-rebuilt": Act(lambda service: _learn(service, UseChange.REBUILT), goes_on=True),
        "learn-ended": Act(lambda service: _learn(service, UseChange.ENDED), goes_on=True),
        "reconcile-uses": Act(_reconcile, goes_on=True),
        "create-code": Act(_create_code),
        "claim": Act(_claim),
        "revoke-code": Act(
            lambda service: claim_code_operations.revoke_code(service, LEAVER, id_of("promised"), CODE.id),
            problems.ClaimCodeNotFound,
        ),
        "make-private": Act(_make(Visibility.PRIVATE, "promised")),
        "set-guard": Act(lambda service: guards.switch_guard(service, OWNER, id_of("alpha"), GuardMode.BLOCK)),
        "unset-guard": Act(lambda service: guards.switch_guard(service, OWNER, id_of("guarded"), GuardMode.OFF)),
        "end-guarded": Act(_end_in_spite_of_guard, problems.ImageNotFound),
        "set-trust": Act(lambda service: trust.set_rule(service, caller("E"), _FROM_A, TrustAnswer.ASK)),
        "remove-trust": Act(lambda service: trust.remove_rule(service, caller("E"), _FROM_A), problems.TrustRuleNotFound),
        "create-webhook": Act(lambda service: webhooks.create_webhook(service, OWNER, NewWebhook(url=_URL))),
        "change-webhook": Act(
            lambda service: webhooks.change_webhook(service, OWNER, _WEBHOOK, WebhookChange(description="d", enabled=False))
        ),
        "delete-webhook": Act(lambda service: webhooks.delete_webhook(service, OWNER, _WEBHOOK), problems.WebhookNotFound),
        "take-down": Act(lambda service: retained.take_down(service, id_of("promised")), problems.ImageNotFound),
        "project-deleted": Act(_hear_of_deleted_project, goes_on=True),
        "close-project": Act(lambda service: list(closing.close_project(service, ProjectID("P"))), goes_on=True),
        "sweep": Act(_sweep),
        "maintain": Act(_maintain, goes_on=True),
        "recover": Act(recovery.recover),
    },
)
