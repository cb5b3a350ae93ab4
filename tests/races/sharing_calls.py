"""Carry out the calls of the reference model on a real service, and look at what each caller sees, in the model's terms."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from partage import problems
from partage.http import errors
from partage.model.adoption import AdoptionRequest
from partage.model.caller import Caller
from partage.model.ending import EndReason
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.model.member import MemberStatus
from partage.model.offer import OfferOutcome, OfferRequest
from partage.model.patch import Change, Operation
from partage.model.query import ImageQuery
from partage.model.share import Direction, Share, ShareQuery
from partage.model.terms import Notice, Terms, TermsChange
from partage.operations import downloads, images, members, pending_deletes
from partage.operations.service import Service
from partage.operations.sharing import adoption, answers, endings, offers, shares
from partage.operations.sharing import terms as terms_of_shares
from partage.records import reservations
from partage.records.database import Transaction
from tests.crashes import worlds
from tests.races import sharing_model as model
from tests.races.sharing_model import Call
from tests.services import change_service

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
DATA = b"data" * 1000
CALLERS: Mapping[str, Caller] = MappingProxyType({p: worlds.caller(p, *(["admin"] if p == model.ADMIN else [])) for p in "ABCDZ"})
_MANY = 1000


def moment(seconds: int) -> datetime:
    """Convert the model's time to the service's."""
    return START + timedelta(seconds=seconds)


def with_rules(service: Service, clock: Callable[[], datetime]) -> Service:
    """Return the service with the model's clock and default notice, and a new id for each image."""
    terms = Terms(notice=Notice(timedelta(seconds=model.DEFAULT_NOTICE_SECONDS)))
    return change_service(service, clock=clock, default_terms=terms)


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
        for act in ("show image", "open data", "list members"):
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
        found = world.get(name)
        visible = found if found and model.sees(found, caller) else None
        seen[f"show image {name}"] = _try(visible, lambda image: model.show(image, caller))
        seen[f"open data {name}"] = _try(visible, lambda image: model.download(image, caller))
        seen[f"list members {name}"] = _try(visible, lambda image: model.list_members(image, caller))
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
    found = shares.show_share(service, who, _id(call.images[0]), project)
    if _is_taken_down(found):
        raise problems.ShareNotFound("the model does not record takedowns")
    return _share(found, who)


def _is_taken_down(share: Share) -> bool:
    return share.ending is not None and share.ending.reason is EndReason.TAKEN_DOWN


def _list_shares(service: Service, who: Caller, call: Call, *, direction: str) -> Any:
    """List the shares, of the call's images only if it names any."""
    page = shares.list_shares(service, who, ShareQuery(direction=Direction(direction), limit=_MANY))
    listed = {
        (_names.get(each.image.id, ""), each.member_id): _share(each, who) for each in page.shares if not _is_taken_down(each)
    }
    return {key: each for key, each in listed.items() if key[0] in call.images or not call.images}


def _terms(terms: Mapping[str, int | None]) -> TermsChange:
    given: dict[str, Any] = {}
    if "notice" in terms:
        given["notice"] = Notice(None if terms["notice"] is None else timedelta(seconds=terms["notice"]))
    if "expires_at" in terms:
        given["expires_at"] = None if terms["expires_at"] is None else moment(terms["expires_at"])
    return TermsChange(given=frozenset(given), **given)


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
    }
)


def _image(image: Image) -> tuple[str, str, str | None]:
    return image.status.value, image.visibility.value, image.owner


def _share(share: Share, who: Caller) -> tuple[Any, ...]:
    """Write a share as the routes render it for a caller."""
    image = share.visible_image(who.project_id)
    notice = share.terms.notice.duration
    seen = model.Membership(
        offered_at=_seconds(share.offered_at) or 0,
        notice=None if notice is None else int(notice.total_seconds()),
        expires_at=_seconds(share.terms.expires_at),
        status=share.status.value,
        answered_at=_seconds(share.answered_at),
    )
    ending = share.ending
    ends = None if ending is None else (ending.reason.value, _seconds(ending.began_at), _seconds(ending.ends_at))
    return share.owner_id, image.status.value, seen, ends


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int((time - START).total_seconds())
