"""Sharing with the sharing API of the image service (/partage/v1)."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from partageclient import connections, errors, images, parallel
from partageclient.connections import Cloud
from partageclient.images import Image
from partageclient.outcomes import FAILED, NOT_BEGUN, Attempts, Outcome
from partageclient.previews import begin_outcome, preview_offers
from partageclient.projects import Project
from partageclient.shares import Share, Terms

_SHARES = "/partage/v1/shares"
_PAGE = 1000
_MOST_PAIRS, _MOST_PROJECTS = 1000, 25
"""Of one request. Source: docs/sharing-api.md; a name that no project has needs two of its fifty look-ups."""
_ABSENT, _CONFLICT = 404, 409
_TYPE = "urn:partage:problem:"
_WRONG_PROJECT = frozenset(f"{_TYPE}{each}" for each in ("recipient-not-found", "recipient-refused"))
_EXISTS = f"{_TYPE}member-exists"
_Results = list[dict[str, Any]]
_Value = TypeVar("_Value")


class ServedSharing:
    """Shares of a cloud whose image service has the sharing API."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def check_terms(self, terms: Terms) -> None:
        """Accept any terms: the service knows its bounds."""

    def list_received(self, *, status: str | None = None, owner: str | None = None) -> list[Share]:
        """List what is offered to the project, the newest images first."""
        return list(self._list({"direction": "in", "status": status, "project": owner}))

    def list_offered(
        self, *, status: str | None = None, member: str | None = None, progress: parallel.Progress | None = None
    ) -> list[Share]:
        """List what the project offers, the newest images first."""
        found: list[Share] = []
        for share in self._list({"direction": "out", "status": status, "project": member}):
            found.append(share)
            if progress is not None:
                progress(len(found), len(found))
        return found

    def list_of_image(self, image_id: str) -> list[Share]:
        """List the shares of an image, also of one that its owner has deleted."""
        return [share for direction in ("out", "in") for share in self._list({"direction": direction, "image": image_id})]

    def preview_offers(self, given: Sequence[Image], projects: Sequence[Project], *, make_shared: bool) -> list[Outcome]:
        """Return what `offer` would do; change nothing."""
        return preview_offers(lambda image: self.list_of_image(str(image["id"])), given, projects, make_shared=make_shared)

    def offer(
        self,
        given: Sequence[Image],
        projects: Sequence[Project],
        terms: Terms,
        *,
        make_shared: bool,
        force: bool,
        progress: parallel.Progress | None,
    ) -> list[Outcome]:
        """Offer each image to each project, many in one request.

        Raises:
            Invalid: the service knows no such project, or it owns an image, and `force` is not set. Nothing was changed, unless
                there are more than 25 projects: those before may have their offers.
        """
        body = {"terms": terms.to_json(), "make_shared": make_shared}
        parts = [(part, some) for some in _cut(projects, _MOST_PROJECTS) for part in _cut(given, _MOST_PAIRS // len(some))]
        begun = [[begin_outcome(image, each) for image in part for each in some] for part, some in parts]
        outcomes = _send_parts(lambda part: self._offer_batch(*part, body, force=force), parts, begun, progress)
        found = {(each.image_id, each.project): each for each in outcomes}
        ordered = [found[str(image["id"]), project.given] for image in given for project in projects]
        try:
            statuses = self._read_statuses([str(each["id"]) for each in given])
        except errors.Interrupted as interrupt:
            raise errors.Interrupted(list(ordered), 0) from interrupt
        return [_add_status(each, statuses, terms) for each in ordered]

    def answer(self, image_ids: Sequence[str], status: str, *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """Answer the offers of these images, a thousand in one request."""
        me, path = self._cloud.project_id, f"{_SHARES}/{'accept' if status == 'accepted' else 'reject'}"

        def answer_some(some: Sequence[str]) -> list[Outcome]:
            asked = f"Answer the offers of {len(some)} images with {status}"
            results = self._cloud.request("POST", path, asked=asked, body={"image_ids": list(some)}).document["results"]
            return [_read_answer(each, me, status) for each in results]

        parts = list(_cut(image_ids, _MOST_PAIRS))
        begun = [[Outcome(each, me, each, me) for each in part] for part in parts]
        return _send_parts(answer_some, parts, begun, progress)

    def leave(self, image_ids: Sequence[str], *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """Give up the shares of these images."""
        me, attempts = self._cloud.project_id, Attempts()

        def leave_one(image_id: str) -> Outcome:
            outcome = Outcome(image_id, me, image_id, me)
            path = f"{_SHARES}/{image_id}/{me}/leave"
            asked = f"Give up the share of image {image_id}"

            def give_up() -> Outcome:
                self._cloud.request("POST", path, asked=asked)
                return replace(outcome, result="left")

            return attempts.attempt(give_up, outcome)

        return parallel.run(leave_one, image_ids, progress=progress)

    def end(self, pairs: Sequence[tuple[str, str]], *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """End shares. Members keep access until their notice has run out."""
        attempts = Attempts()

        def end_one(pair: tuple[str, str]) -> Outcome:
            outcome = Outcome(*pair, *pair)
            return attempts.attempt(lambda: self._end(outcome), outcome)

        return parallel.run(end_one, pairs, progress=progress)

    def change_terms(self, image_id: str, member_id: str, terms: Terms) -> Share:
        """Change what is promised; what a member has accepted can only be extended.

        Raises:
            Invalid, Conflict: the service refuses the terms.
        """
        asked = f"Change the terms of image {image_id} for project {member_id}"
        return Share.from_json(
            self._cloud.request("PATCH", f"{_SHARES}/{image_id}/{member_id}", asked=asked, body=terms.to_json()).document
        )

    def _offer_batch(
        self, given: Sequence[Image], projects: Sequence[Project], body: Mapping[str, Any], *, force: bool
    ) -> list[Outcome]:
        """Offer all or nothing first: so a project that cannot be right is found before anything changes."""
        texts = {each.id or each.given: each for each in projects}
        wanted = {**body, "image_ids": [str(each["id"]) for each in given], "projects": list(texts)}
        first = begin_outcome(given[0], projects[0])
        asked = f"Share image {first.image} with project {first.project}"
        if len(given) * len(projects) > 1:
            asked = f"Share {len(given)} images with {len(projects)} projects"
        refused, results = self._send({**wanted, "all_or_nothing": True}, asked)
        wrong = [each for each in results if (each["problem"] or {}).get("type") in _WRONG_PROJECT]
        if wrong and not force:
            details = "; ".join(dict.fromkeys(str(each["problem"]["detail"]) for each in wrong))
            raise errors.Invalid(
                asked, details, "Nothing was changed. Name the project by its id, or use --force to go on with the others"
            )
        if refused:
            _refused, results = self._send({**wanted, "all_or_nothing": False}, asked)
        by_id = {str(each["id"]): each for each in given}
        found = []
        for each in results:
            image = by_id[each["image_id"]]
            becomes_shared = bool(body["make_shared"]) and image.get("visibility") == "private"
            found.append(_read_offer(each, begin_outcome(image, texts[each["project"]]), make_shared=becomes_shared))
        return found

    def _send(self, body: Mapping[str, Any], asked: str) -> tuple[bool, _Results]:
        """Send a request that can be repeated; return whether all of it was refused, and a result for each pair."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        try:
            response = self._cloud.request("POST", _SHARES, asked=asked, body=body, headers=key, also=(_CONFLICT,))
        except errors.Unreachable:  # the response may be lost, or the connection was; with the key nothing is done twice
            response = self._cloud.request("POST", _SHARES, asked=asked, body=body, headers=key, also=(_CONFLICT,))
        document = response.document if isinstance(response.document, dict) else {}
        if response.status == _CONFLICT and "results" not in document:
            raise connections.error_of_status(response.status, document, asked)
        return response.status == _CONFLICT, document["results"]

    def _read_statuses(self, image_ids: Sequence[str]) -> dict[tuple[str, str], Share]:
        """Read what the shares of these images are now, one list for each image."""

        def read(image_id: str) -> list[Share]:
            return list(self._list({"direction": "out", "image": image_id}))

        return {(each.image_id, each.member_id): each for part in parallel.read(read, image_ids) for each in part}

    def _end(self, outcome: Outcome) -> Outcome:
        asked = f"End the share of image {outcome.image_id} with project {outcome.project_id}"
        path = f"{_SHARES}/{outcome.image_id}/{outcome.project_id}"
        response = self._cloud.request("DELETE", path, asked=asked, also=(_ABSENT,))
        if response.status == _ABSENT:
            images.find_image(self._cloud, outcome.image_id)  # an image that is not there is another matter
            return replace(outcome, result="no member")
        if response.document is None:
            return replace(outcome, result="ended")
        share = Share.from_json(response.document)
        return replace(outcome, result="ending", status=share.status, ends_at=share.ends_at)

    def _list(self, filters: Mapping[str, str | None]) -> Iterator[Share]:
        path, seen = _SHARES, set[str]()
        query: dict[str, str | int] = {"limit": _PAGE, **{name: value for name, value in filters.items() if value}}
        while path:
            document = self._cloud.request("GET", path, asked="List shares", query=query).document
            yield from (Share.from_json(each) for each in document["shares"])
            path, query = str(document.get("next") or ""), {}
            if path in seen:
                raise errors.Unexpected("List shares", "the image service repeats the same page of its list")
            seen.add(path)


def _send_parts(
    send: Callable[[_Value], list[Outcome]],
    parts: Sequence[_Value],
    begun: Sequence[Sequence[Outcome]],
    progress: parallel.Progress | None,
) -> list[Outcome]:
    """Send one part after the other; return the outcomes of all. `begun` has the pairs of each part.

    Nothing was changed when the first part fails, so its problem is raised. Later ones are outcomes.

    Raises:
        Interrupted: Ctrl-C was pressed; the part that had been sent was waited for.
    """
    sizes, stopped_by = [len(each) for each in begun], list[errors.ClientError]()

    def send_one(index: int) -> list[Outcome]:
        if stopped_by:
            return [replace(each, result=NOT_BEGUN, problem=stopped_by[0]) for each in begun[index]]
        try:
            return send(parts[index])
        except errors.ClientError as problem:
            if index == 0:
                raise
            stopped_by.append(problem)
            return [replace(each, result=FAILED, problem=problem) for each in begun[index]]

    def show(done: int, _count: int) -> None:
        if progress is not None:
            progress(sum(sizes[:done]), sum(sizes))

    try:
        found = parallel.run(send_one, range(len(parts)), progress=show, concurrency=1)
    except errors.Interrupted as interrupt:
        done: list[object] = [each for part in interrupt.results if isinstance(part, list) for each in part]
        raise errors.Interrupted(done, sum(sizes) - len(done)) from interrupt
    return [each for part in found for each in part]


def _cut(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    yield from (values[start : start + size] for start in range(0, len(values), max(1, size)))


def _read_offer(result: Mapping[str, Any], outcome: Outcome, *, make_shared: bool) -> Outcome:
    problem, found = result["problem"], replace(outcome, project_id=result["project_id"] or outcome.project_id)
    if problem is None:
        return replace(found, result="offered", was_made_shared=make_shared)
    if problem["type"] == _EXISTS:
        return replace(found, result="unchanged")
    asked = f"Share image {outcome.image} with project {outcome.project}"
    return replace(found, result=FAILED, problem=connections.error_of_status(int(problem["status"]), problem, asked))


def _add_status(outcome: Outcome, statuses: Mapping[tuple[str, str], Share], terms: Terms) -> Outcome:
    """Add the member's answer. Terms that an offer has already, and that differ from those asked for, are a problem."""
    share = statuses.get((outcome.image_id, outcome.project_id))
    if share is None:
        return outcome
    found = replace(outcome, status=share.status, ends_at=share.ends_at)
    has = {"notice": share.notice, "expires_at": share.expires_at, "message": share.message}
    differing = [name for name, value in terms.to_json().items() if has[name] != value]
    if outcome.result != "unchanged" or not differing:
        return found
    found_terms = ", ".join(f"{name} {has[name] or 'none'}" for name in differing)
    problem = errors.Conflict(
        f"Share image {outcome.image} with project {outcome.project}",
        f"it is shared already, with other terms ({found_terms})",
        "Change them with `openstack image share set`",
    )
    return replace(found, result=FAILED, problem=problem)


def _read_answer(result: Mapping[str, Any], me: str, status: str) -> Outcome:
    outcome = Outcome(result["image_id"], me, result["image_id"], me)
    if result["problem"] is None:
        return replace(outcome, result=status, status=result["share"]["status"], ends_at=Share.from_json(result["share"]).ends_at)
    asked = f"Answer the offer of image {outcome.image_id} with {status}"
    problem = connections.error_of_status(int(result["problem"]["status"]), result["problem"], asked)
    return replace(outcome, result=FAILED, problem=problem)
