"""Offer many images to many projects in one transaction, with an outcome for each pair."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from partage import problems
from partage.model.announcement import Event
from partage.model.caller import Caller
from partage.model.event import NewEvent
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.model.member import Member
from partage.model.offer import MOST_PAIRS, OfferOutcome, OfferRequest, RequestKey
from partage.model.terms import Terms
from partage.operations import events, promises, trust
from partage.operations.service import Service
from partage.operations.sharing import offered_images, recipients
from partage.operations.sharing.terms import check_terms
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import idempotency, members
from partage.records.database import Transaction

_KEYS_OF_PROJECT = 100
_Found = ProjectID | problems.RecipientNotFound | None
"""What a text names; None: nobody looked, because no image can be offered."""
_Resolved = Mapping[str, _Found]
_Render = Callable[[Sequence[OfferOutcome]], str]


def offer_shares(service: Service, caller: Caller, request: OfferRequest, *, key: RequestKey | None, render: _Render) -> str:
    """Offer each image to each project; return what `render` makes of the outcomes, in the order of the request.

    A request whose key has been answered within a day is not carried out again: it gets the same answer.

    Raises:
        PolicyForbids: the caller may offer none.
        TermsRefused: the operator does not allow the terms.
        OffersRefused: all or nothing was asked for, and some pair was refused.
        RequestRepeated: the key was used for another request.
        TooMany: there are more than a thousand pairs, or the projects need too many look-ups in the identity service.
        IdentityUnavailable: the identity service does not answer, or not fast enough.
    """
    service.authority.require(caller, rules.OFFER_SHARE, authority.project_target(caller.project_id))
    if len(request.image_ids) * len(request.projects) > MOST_PAIRS:
        raise problems.TooMany(f"A request offers at most {MOST_PAIRS} pairs of image and project; send several requests")
    answer = _find_answer(service, caller, key)
    if answer is not None:
        return _repeat(answer)
    terms = request.terms.apply(service.sharing.default_terms_of(caller))
    check_terms(service, caller, terms)
    resolved = _resolve(service, caller, request)
    try:
        return _offer_once(service, caller, _Job(request, terms, resolved, key, render))
    except problems.RequestRepeated:
        # The same request was carried out meanwhile.
        answer = _find_answer(service, caller, key)
        if answer is None:
            raise
        return _repeat(answer)


def _resolve(service: Service, caller: Caller, request: OfferRequest) -> _Resolved:
    """Look for the projects, if some image can be offered: nobody else makes this service ask the identity service."""
    if service.integrations.recipients is None or offered_images.can_offer_any(
        service, caller, request.image_ids, rule=rules.OFFER_SHARE, make_shared=request.make_shared
    ):
        return recipients.resolve(service, caller, request.projects)
    return dict.fromkeys(request.projects)


def _repeat(answer: idempotency.Answer) -> str:
    if answer.is_refused:
        raise problems.OffersRefused(results=answer.text)
    return answer.text


def _find_answer(service: Service, caller: Caller, key: RequestKey | None) -> idempotency.Answer | None:
    if key is None or caller.project_id is None:
        return None
    with service.database.read() as tx:
        return idempotency.find(tx, caller.project_id, key, since=service.clock() - idempotency.KEPT)


@dataclass(frozen=True, slots=True)
class _Job:
    """A request with its terms and its projects. `key` is the client's, `render` writes the answer."""

    request: OfferRequest
    terms: Terms
    resolved: _Resolved
    key: RequestKey | None
    render: _Render


def _offer_once(service: Service, caller: Caller, job: _Job) -> str:
    """Offer all pairs, and remember the answer; also a refusal, in a transaction of its own, because the offers are rolled back."""
    try:
        return _offer_all(service, caller, job)
    except problems.OffersRefused as refused:
        with service.database.write() as tx:
            _remember(service, tx, caller, job.key, idempotency.Answer(refused.results, is_refused=True))
        raise


def _remember(service: Service, tx: Transaction, caller: Caller, key: RequestKey | None, answer: idempotency.Answer) -> None:
    if key is None or caller.project_id is None:
        return
    now = service.clock()
    idempotency.add(tx, caller.project_id, key, answer, now=now)
    idempotency.trim(tx, caller.project_id, keep_rows=_KEYS_OF_PROJECT, before=now - idempotency.KEPT)


def _offer_all(service: Service, caller: Caller, job: _Job) -> str:
    request = job.request
    outcomes: dict[tuple[ImageID, str], OfferOutcome] = {}
    done: list[_Done] = []
    happened: list[NewEvent] = []
    with service.database.write() as tx:
        for image_id in sorted(set(request.image_ids)):  # in one order, so that two requests never wait for each other
            offer = _ImageOffer(service, tx, caller, request, job.terms)
            outcomes |= offer.carry_out(image_id, job.resolved)
            done += offer.done
            happened += offer.happened
        ordered = [outcomes[image_id, project] for image_id in request.image_ids for project in request.projects]
        if request.all_or_nothing and any(each.problem is not None for each in ordered):
            raise problems.OffersRefused(outcomes=tuple(ordered), results=job.render(ordered))
        events.record(tx, *happened)
        answer = job.render(ordered)
        _remember(service, tx, caller, job.key, idempotency.Answer(answer))
    for event, subject in done:
        service.announce(event, subject)
    return answer


_Done = tuple[Event, Image | Member]


class _ImageOffer:
    """Offers one image to projects, in a transaction. `happened` are the events to record in it, `done` those to announce later."""

    def __init__(self, service: Service, tx: Transaction, caller: Caller, request: OfferRequest, terms: Terms) -> None:
        self._service, self._tx, self._caller = service, tx, caller
        self._request, self._terms = request, terms
        self.done: list[_Done] = []
        self.happened: list[NewEvent] = []

    def carry_out(self, image_id: ImageID, resolved: _Resolved) -> dict[tuple[ImageID, str], OfferOutcome]:
        """Offer the image to every project that can have it; return what became of each pair."""
        try:
            image, shared = offered_images.find_shared(
                self._service, self._tx, self._caller, image_id, rule=rules.OFFER_SHARE, make_shared=self._request.make_shared
            )
        except (problems.NotFound, problems.Forbidden, problems.Conflict) as problem:
            return {(image_id, text): _outcome(image_id, text, found, problem) for text, found in resolved.items()}
        answers = trust.find_answers(self._tx, self._caller, image, [each for each in resolved.values() if isinstance(each, str)])
        promises.settle_ended(self._service, self._tx, image_id)
        now = self._service.clock()
        there = {each.member_id for each in members.list_all(self._tx, image_id)}
        # The memberships of a private image are no shares: a new offer, with its terms, replaces them.
        offered = set(there) if image.visibility is Visibility.SHARED else set[ProjectID]()
        outcomes, new = {}, list[Member]()
        for text, found in resolved.items():
            refusal = _refuse(image, found, offered) or self._exceeds(there, found)
            outcomes[image_id, text] = _outcome(image_id, text, found, refusal)
            if refusal is None and found is not None and not isinstance(found, problems.RecipientNotFound):
                there.add(found)
                offered.add(found)
                member = Member(image_id=image_id, member_id=found, created_at=now, updated_at=now, terms=self._terms)
                new.append(answers.apply(member, now=now))
        if new:
            self._save(image, shared, new)
        return outcomes

    def _save(self, image: Image, shared: Image, new: Sequence[Member]) -> None:
        for member in new:
            if shared != image:
                promises.keep_notice(self._tx, image, member.member_id)
            members.remove(self._tx, member)  # a row that a private image kept, perhaps
        if shared != image:
            offered_images.save_shared(self._service, self._tx, self._caller, shared, was=image)
            self.done.append((Event.IMAGE_UPDATE, shared))
            self.happened += events.describe_change(self._service, self._caller, shared, was=image)
        for member in new:
            members.add(self._tx, member, shared)
            promises.drop_former_notice(self._service, self._tx, shared, member)
            self.done.append((Event.MEMBER_CREATE, member))
            self.happened += events.describe_offer(self._service, self._caller, shared, member)

    def _exceeds(self, there: set[ProjectID], found: _Found) -> problems.TooMany | None:
        try:
            self._service.limits.check_members(len({*there, found}))
        except problems.TooMany as problem:
            return problem
        return None


def _refuse(image: Image, found: _Found, offered: set[ProjectID]) -> problems.Problem | None:
    if isinstance(found, problems.RecipientNotFound):
        return found
    if found is None:
        return problems.ShareConflict(f"Image {image.id} could not be offered a moment ago; send the request again")
    if found == image.owner:
        return problems.RecipientRefused(f"Project {found} owns image {image.id}; an image is offered to other projects")
    if found in offered:
        return problems.MemberExists(f"Image {image.id} is offered to project {found} already")
    return None


def _outcome(image_id: ImageID, text: str, found: _Found, problem: problems.Problem | None) -> OfferOutcome:
    project_id = None if isinstance(found, problems.RecipientNotFound) else found
    return OfferOutcome(image_id=image_id, project=text, project_id=project_id, problem=problem)
