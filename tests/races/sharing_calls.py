"""Carry out the calls of the reference model on a real service, and look at what each caller sees, in the model's terms."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from unittest import mock

from partage import problems
from partage.http import errors
from partage.model.adoption import AdoptionRequest
from partage.model.caller import Caller
from partage.model.claim_code import RANDOM_BYTES, ClaimRules, CodeRequest, CodeText
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.model.member import MemberStatus
from partage.model.offer import OfferOutcome, OfferRequest
from partage.model.patch import Change, Operation
from partage.model.query import ImageQuery
from partage.model.share import Direction, Share, ShareQuery
from partage.model.terms import Notice, Terms, TermsChange
from partage.model.trust import TrustAnswer, TrustKind, TrustSubject
from partage.model.use import UseKey, UseKind, UseQuery
from partage.model.use_news import UseChange, UseNews
from partage.operations import downloads, images, members, pending_deletes, trust
from partage.operations.service import Service
from partage.operations.sharing import adoption, answers, claim_codes, claims, closing, endings, learning, offers, shares, uses
from partage.operations.sharing import terms as terms_of_shares
from partage.records import reservations
from partage.records.database import Transaction
from tests.crashes import worlds
from tests.races import sharing_world as model
from tests.races.sharing_model import Call
from tests.services import change_service

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
DATA = b"data" * 1000
CALLERS: Mapping[str, Caller] = MappingProxyType({p: worlds.caller(p, *(["admin"] if p == model.ADMIN else [])) for p in "ABCDZ"})
_MANY = 1000
_LOCK = threading.Lock()


def moment(seconds: int) -> datetime:
    """Convert the model's time to the service's."""
    return START + timedelta(seconds=seconds)


def with_rules(service: Service, clock: Callable[[], datetime]) -> Service:
    """Return the service with the model's clock, default notice and grace; claims and codes are not limited."""
    return change_service(
        service,
        clock=clock,
        default_terms=Terms(notice=Notice(timedelta(seconds=model.DEFAULT_NOTICE_SECONDS))),
        while_used=True,
        while_used_grace=timedelta(seconds=model.GRACE_SECONDS),
        claims=ClaimRules(failures_per_project=0, failures_per_address=0, codes_per_project=1_000_000),
    )


def carry_out(service: Service, call: Call) -> Any:
    """Carry out a call; return its answer as the model gives it."""
    for name in call.images:
        _id(name)  # so that a list can name it
    try:
        return _ACTS[call.name](service, CALLERS[call.caller], call, **call.given)
    except problems.Problem as problem:
        return _status(problem)


def look(service: Service, names: Iterable[str], caller: str) -> dict[str, Any]:
    """Return everything that a caller sees of these images and of their shares."""
    with service.database.read() as tx:
        reading: Any = _OneTransaction(tx)
        at_once = change_service(service, database=reading)
        return look_at_images(at_once, names, caller) | _look_at_lists(at_once, caller)


def look_at_images(service: Service, names: Iterable[str], caller: str) -> dict[str, Any]:
    """Return what a caller sees of these images and of each of their shares."""
    seen: dict[str, Any] = {}
    for name in names:
        for act in _LOOKS:
            seen[f"{act} {name}"] = carry_out(service, Call(act, caller, (name,)))
        for project in "ABC":
            seen[f"share {name} {project}"] = carry_out(service, Call("show share", caller, (name,), {"project": project}))
    return seen


def _look_at_lists(service: Service, caller: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for direction in ("in", "out"):
        seen[f"shares {direction}"] = carry_out(service, Call("list shares", caller, (), {"direction": direction}))
    for status in (None, "pending", "accepted"):
        query = ImageQuery(limit=_MANY, member_status=None if status is None else MemberStatus(status))
        page = images.list_images(service, CALLERS[caller], query)
        seen[f"images {status}"] = {_name(each.id): _image(each) for each in page.items}
    with service.database.read() as tx:
        seen["quota"] = reservations.usage(tx, ProjectID(caller), now=service.clock()).images
    return seen


def expect(world: model.World, names: Iterable[str], caller: str) -> dict[str, Any]:
    """Return what `look` returns, by the model."""
    return expect_of_images(world, names, caller) | _expect_of_lists(world, caller)


def expect_of_images(world: model.World, names: Iterable[str], caller: str) -> dict[str, Any]:
    """Return what `look_at_images` returns, by the model."""
    seen: dict[str, Any] = {}
    for name in names:
        found = world.images.get(name)
        visible = found if found and model.sees(found, caller) else None
        for act, look_at in _LOOKS.items():
            seen[f"{act} {name}"] = _try(visible, lambda image, each=look_at: each(image, caller))
        for project in "ABC":
            seen[f"share {name} {project}"] = _try(found, lambda image, p=project: model.show_share(image, p, caller))
    return seen


def _expect_of_lists(world: model.World, caller: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for direction in ("in", "out"):
        seen[f"shares {direction}"] = model.list_shares(world, caller, direction)
    for status in (None, "pending", "accepted"):
        seen[f"images {status}"] = model.list_images(world, caller, status)
    seen["quota"] = model.count_images(world, caller)
    return seen


_LOOKS: Mapping[str, Callable[[model.Image, str], Any]] = {
    "show image": model.show,
    "open data": model.download,
    "list members": model.list_members,
    "list uses": model.list_uses,
    "show lineage": model.show_lineage,
}


@dataclass(frozen=True)
class _OneTransaction:
    """A database whose readers all see one state: a look takes half the time, and is of one moment."""

    tx: Transaction

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """See `Database.read`."""
        yield self.tx


def _try(image: model.Image | None, act: Callable[[model.Image], Any]) -> Any:
    if image is None:
        return 404
    try:
        return act(image)
    except model.Refused as refused:
        return refused.status


_names: dict[str, str] = {}


def _id(name: str) -> ImageID:
    image_id = worlds.id_of(name)
    _names[image_id] = name
    return image_id


def _name(image_id: ImageID) -> str:
    return _names[image_id]


def _status(problem: problems.Problem) -> int:
    return int(errors.kind_of(type(problem)).status)


def _create(service: Service, who: Caller, call: Call) -> None:
    (name,) = call.images
    new = worlds.NewImage(id=_id(name), name=name, visibility=Visibility.SHARED, disk_format="raw", container_format="bare")
    worlds.send(service, images.create_image(service, who, new).id, DATA, who)


def _set_visibility(service: Service, who: Caller, call: Call, *, visibility: str) -> None:
    images.update_image(service, who, _id(call.images[0]), (Change(Operation.REPLACE, ("visibility",), Visibility(visibility)),))


def _offer(
    service: Service,
    who: Caller,
    call: Call,
    *,
    projects: tuple[str, ...],
    make_shared: bool,
    all_or_nothing: bool,
    **terms: int | None,
) -> Any:
    def render(outcomes: Iterable[OfferOutcome]) -> str:
        made.extend(None if each.problem is None else _status(each.problem) for each in outcomes)
        return ""

    made: list[int | None] = []
    request = OfferRequest(
        image_ids=tuple(map(_id, call.images)),
        projects=projects,
        terms=_terms(terms),
        make_shared=make_shared,
        all_or_nothing=all_or_nothing,
    )
    offers.offer_shares(service, who, request, key=None, render=render)
    return made


def _answer_many(service: Service, who: Caller, call: Call, *, status: str) -> Any:
    outcomes = answers.answer_shares(service, who, list(map(_id, call.images)), MemberStatus(status))
    return [_status(each) if isinstance(each, problems.Problem) else _share(each, who) for each in outcomes]


def _end(service: Service, who: Caller, call: Call, *, project: str) -> Any:
    ended = endings.end_share(service, who, _id(call.images[0]), ProjectID(project))
    return None if ended is None else _share(ended, who)


def _adopt(service: Service, who: Caller, call: Call) -> None:
    source, new = call.images
    with_id = change_service(service, new_id=lambda: _id(new))
    adoption.adopt_image(with_id, who, _id(source), AdoptionRequest(visibility=Visibility.PRIVATE))


def _open_data(service: Service, who: Caller, call: Call) -> str:
    downloads.open_image_data(service, who, _id(call.images[0]))
    return "data"


def _download(service: Service, who: Caller, call: Call) -> str:
    opened = downloads.open_image_data(service, who, _id(call.images[0]))
    assert b"".join(opened.read(0, opened.size_bytes)) == DATA
    return "data"


def _show_share(service: Service, who: Caller, call: Call, *, project: ProjectID) -> Any:
    return _share(shares.show_share(service, who, _id(call.images[0]), project), who)


def _list_shares(service: Service, who: Caller, call: Call, *, direction: str) -> Any:
    """List the shares, of the call's images only if it names any."""
    page = shares.list_shares(service, who, ShareQuery(direction=Direction(direction), limit=_MANY))
    listed = {(_names.get(each.image.id, ""), each.member_id): _share(each, who) for each in page.shares}
    return {key: each for key, each in listed.items() if key[0] in call.images or not call.images}


def _show_lineage(service: Service, who: Caller, call: Call) -> str | None:
    source = adoption.show_lineage(service, who, _id(call.images[0])).adopted_from
    return None if source is None else _names[source]


def _list_uses(service: Service, who: Caller, call: Call) -> set[str]:
    query = UseQuery(image_id=_id(call.images[0]), project_id=who.project_id or ProjectID(""), limit=_MANY)
    return {each.key.use_id for each in uses.list_uses(service, who, query)}


def _record_or_release(service: Service, who: Caller, call: Call, *, server: str) -> None:
    act = uses.record_use if call.name == "record use" else uses.release_use
    key = UseKey(image_id=_id(call.images[0]), project_id=who.project_id or ProjectID(""), kind=UseKind.SERVER, use_id=server)
    act(service, who, key)


def _hear(service: Service, _who: Caller, call: Call, *, project: ProjectID, server: str, change: str) -> None:
    news = UseNews(
        kind=UseKind.SERVER,
        use_id=server,
        project_id=project,
        image_id=_id(call.images[0]),
        change=UseChange[change.upper()],
        at=service.clock(),
    )
    learning.learn(service, news)


@dataclass(frozen=True)
class _CodeBytes:
    """In the place of `secrets`: the bytes of a code follow from its name, so that every process knows them."""

    name: str

    def token_bytes(self, count: int) -> bytes:
        """See `secrets.token_bytes`."""
        return hashlib.sha512(self.name.encode()).digest()[:count]

    @property
    def text(self) -> CodeText:
        """The code."""
        return CodeText.encode(self.token_bytes(RANDOM_BYTES))


def _create_code(
    service: Service, who: Caller, call: Call, *, code: str, uses: int, valid_until: int | None, make_shared: bool, **terms: Any
) -> None:
    expires_at = None if valid_until is None else moment(valid_until)
    request = CodeRequest(uses=uses, expires_at=expires_at, terms=_terms(terms), make_shared=make_shared)
    with _LOCK, mock.patch.object(claim_codes, "secrets", _CodeBytes(code)):
        claim_codes.create_code(service, who, _id(call.images[0]), request)


def _revoke_code(service: Service, who: Caller, call: Call, *, code: str) -> None:
    claim_codes.revoke_code(service, who, _id(call.images[0]), _CodeBytes(code).text.id)


def _claim(service: Service, who: Caller, _call: Call, *, code: str) -> Any:
    return _share(claims.claim_share(service, who, str(_CodeBytes(code).text), "192.0.2.1").share, who)


def _change_rule(service: Service, who: Caller, call: Call, *, owner: str, rule: str = "") -> None:
    subject = TrustSubject(TrustKind.PROJECT, owner)
    if call.name == "set rule":
        trust.set_rule(service, who, subject, TrustAnswer(rule))
    else:
        trust.remove_rule(service, who, subject)


def _terms(terms: Mapping[str, Any]) -> TermsChange:
    given: dict[str, Any] = {}
    if "notice" in terms:
        given["notice"] = _notice(terms["notice"])
    if "expires_at" in terms:
        given["expires_at"] = None if terms["expires_at"] is None else moment(terms["expires_at"])
    return TermsChange(given=frozenset(given), **given)


def _notice(notice: model.Notice) -> Notice:
    if notice == model.WHILE_USED:
        return Notice(while_used=True)
    return Notice(timedelta(seconds=notice) if isinstance(notice, int) else None)


_ACTS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "create": _create,
        "add member": lambda service, who, call, project: members.add_member(service, who, _id(call.images[0]), project) and None,
        "update member": lambda service, who, call, project, status: (
            members.update_member(service, who, _id(call.images[0]), project, status) and None
        ),
        "remove member": lambda service, who, call, project: members.remove_member(service, who, _id(call.images[0]), project),
        "set visibility": _set_visibility,
        "deactivate": lambda service, who, call: images.deactivate_image(service, who, _id(call.images[0])),
        "reactivate": lambda service, who, call: images.reactivate_image(service, who, _id(call.images[0])),
        "delete": lambda service, who, call: images.delete_image(service, who, _id(call.images[0])),
        "offer": _offer,
        "answer": lambda service, who, call, project, status: _share(
            answers.answer_share(service, who, _id(call.images[0]), project, MemberStatus(status)), who
        ),
        "answer many": _answer_many,
        "leave": lambda service, who, call, project: answers.leave_share(service, who, _id(call.images[0]), project),
        "end": _end,
        "cancel ending": lambda service, who, call, project: _share(
            endings.cancel_ending(service, who, _id(call.images[0]), project), who
        ),
        "change terms": lambda service, who, call, project, **terms: _share(
            terms_of_shares.change_terms(service, who, _id(call.images[0]), project, _terms(terms)), who
        ),
        "restore": lambda service, who, call: endings.restore_image(service, who, _id(call.images[0])) and None,
        "restore as operator": lambda service, _who, call: pending_deletes.restore(service, _id(call.images[0])) and None,
        "adopt": _adopt,
        "show image": lambda service, who, call: _image(images.show_image(service, who, _id(call.images[0]))),
        "open data": _open_data,
        "download": _download,
        "list members": lambda service, who, call: {
            each.member_id: each.status.value for each in members.list_members(service, who, _id(call.images[0]))
        },
        "show share": _show_share,
        "list shares": _list_shares,
        "list uses": _list_uses,
        "show lineage": _show_lineage,
        "record use": _record_or_release,
        "release use": _record_or_release,
        "hear": _hear,
        "create code": _create_code,
        "revoke code": _revoke_code,
        "claim": _claim,
        "set rule": _change_rule,
        "remove rule": _change_rule,
        "close project": lambda service, _who, _call, project: [*closing.close_project(service, project)][:0] or None,
    }
)


def _image(image: Image) -> tuple[str, str, str | None]:
    return image.status.value, image.visibility.value, image.owner


def _share(share: Share, who: Caller) -> tuple[Any, ...]:
    """Write a share as the routes render it for a caller."""
    image = share.visible_image(who.project_id)
    duration = share.terms.notice.duration
    notice: model.Notice = None if duration is None else int(duration.total_seconds())
    seen = model.Membership(
        offered_at=_seconds(share.offered_at) or 0,
        notice=model.WHILE_USED if share.terms.notice.while_used else notice,
        expires_at=_seconds(share.terms.expires_at),
        status=share.status.value,
        answered_at=_seconds(share.answered_at),
    )
    ending = share.ending
    ends = None if ending is None else (ending.reason.value, _seconds(ending.began_at), _seconds(ending.ends_at))
    return share.owner_id, image.status.value, seen, ends


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int((time - START).total_seconds())
