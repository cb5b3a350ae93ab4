"""Sharing with what plain Glance has: lists of images, and members of each image."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from partageclient import errors, images, parallel
from partageclient.connections import Cloud
from partageclient.images import Image
from partageclient.outcomes import Attempts, Outcome
from partageclient.previews import begin_outcome, preview_offers
from partageclient.projects import Project
from partageclient.shares import STATUSES, Share, Terms

_SHARED = [{"op": "replace", "path": "/visibility", "value": "shared"}]
_ABSENT, _CONFLICT = 404, 409
_NO_LONGER_OFFERED = "it is not offered to your project: it never was, or its owner has removed your project since"


class PlainSharing:
    """Shares of a cloud whose image service is plain Glance."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def check_terms(self, terms: Terms) -> None:
        """Refuse terms: Glance keeps none.

        Raises:
            Unsupported: some are given.
        """
        if terms.are_given:
            raise errors.Unsupported(
                "Promise a notice, an expiry or a message",
                "this image service is plain Glance, where an owner ends a share at once, and nothing is promised",
                "Share without --notice, --expires and --message; a member that needs the image for longer copies it "
                "(openstack image adopt)",
            )

    def list_received(self, *, status: str | None = None, owner: str | None = None) -> list[Share]:
        """List what is offered to the project. Glance filters by the member's answer, so no image is asked for its members."""
        me = self._cloud.project_id
        wanted = [(each, hidden) for each in ([status] if status else STATUSES) for hidden in ("false", "true")]

        def list_one(answer_and_hidden: tuple[str, str]) -> list[Share]:
            answer, hidden = answer_and_hidden
            query: dict[str, str | int] = {"visibility": "shared", "member_status": answer, "os_hidden": hidden}
            query |= {"owner": owner} if owner else {}
            listed = images.list_images(self._cloud, query, asked="List what is shared with the project")
            return [Share.from_member(each, {"member_id": me, "status": answer}) for each in listed if each.get("owner") != me]

        return [share for part in parallel.read(list_one, wanted) for share in part]

    def list_offered(
        self, *, status: str | None = None, member: str | None = None, progress: parallel.Progress | None = None
    ) -> list[Share]:
        """List what the project offers: its shared images, and the members of each."""
        me, asked = self._cloud.project_id, "List what the project shares"
        own = [
            each
            for hidden in ("false", "true")
            for each in images.list_images(self._cloud, {"visibility": "shared", "owner": me, "os_hidden": hidden}, asked=asked)
            if each.get("owner") == me
        ]
        found = parallel.read(self._list_members, own, progress=progress)
        return [
            each
            for shares in found
            for each in shares
            if (not status or each.status == status) and (not member or each.member_id == member)
        ]

    def list_of_image(self, image_id: str) -> list[Share]:
        """List the members of an image that the project may see. Members of an image that is not shared are none.

        Raises:
            NotFound: there is no such image, or the project cannot see it.
        """
        image = images.find_image(self._cloud, image_id)
        return self._list_members(image) if image.get("visibility") == "shared" else []

    def preview_offers(self, given: Sequence[Image], projects: Sequence[Project], *, make_shared: bool) -> list[Outcome]:
        """Return what `offer` would do; change nothing."""
        return preview_offers(self._list_members, given, projects, make_shared=make_shared)

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
        """Add each project to each image, after the image was made shared. `force` changes nothing: Glance takes every id."""
        del force
        self.check_terms(terms)
        ready = {str(each["id"]): _Preparation(self._cloud, each, make_shared=make_shared) for each in given}
        attempts = Attempts()

        def offer_one(pair: tuple[Image, Project]) -> Outcome:
            image, project = pair
            outcome = begin_outcome(image, project)
            return attempts.attempt(lambda: self._add_member(outcome, ready[outcome.image_id]), outcome)

        return parallel.run(offer_one, [(image, project) for image in given for project in projects], progress=progress)

    def answer(self, image_ids: Sequence[str], status: str, *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """Answer the offers of these images: one request for each."""
        me, attempts = self._cloud.project_id, Attempts()

        def answer_one(image_id: str) -> Outcome:
            outcome = Outcome(image_id, me, image_id, me)
            return attempts.attempt(lambda: self._set_status(outcome, status), outcome)

        return parallel.run(answer_one, image_ids, progress=progress)

    def leave(self, image_ids: Sequence[str], *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """Reject these images: only their owner can remove a member from Glance's list."""
        return self.answer(image_ids, "rejected", progress=progress)

    def end(self, pairs: Sequence[tuple[str, str]], *, progress: parallel.Progress | None = None) -> list[Outcome]:
        """Remove members. Access ends at once."""
        attempts = Attempts()

        def end_one(pair: tuple[str, str]) -> Outcome:
            outcome = Outcome(*pair, *pair)
            return attempts.attempt(lambda: self._remove_member(outcome), outcome)

        return parallel.run(end_one, pairs, progress=progress)

    def change_terms(self, image_id: str, member_id: str, terms: Terms) -> Share:
        """Refuse: Glance keeps no terms.

        Raises:
            Unsupported: always.
        """
        raise errors.Unsupported(
            f"Set {', '.join(terms.to_json())} of image {image_id} for project {member_id}",
            "this image service is plain Glance, which keeps no terms: an owner ends a share at once",
            "A member that needs the image for longer copies it (openstack image adopt)",
        )

    def _list_members(self, image: Image) -> list[Share]:
        """List the shares of an image; none if it was deleted meanwhile."""
        asked = f"List the members of image {image['id']}"
        response = self._cloud.request("GET", f"/v2/images/{image['id']}/members", asked=asked, also=(_ABSENT,))
        members: list[dict[str, Any]] = [] if response.status == _ABSENT else response.document["members"]
        return [Share.from_member(image, each) for each in members]

    def _add_member(self, outcome: Outcome, preparation: "_Preparation") -> Outcome:
        asked = f"Share image {outcome.image} with project {outcome.project}"
        was_made_shared = preparation.make_shared(asked)
        path = f"/v2/images/{outcome.image_id}/members"
        response = self._cloud.request(
            "POST", path, asked=asked, body={"member": outcome.project_id}, also=(_CONFLICT,), repeat=True
        )
        is_new = response.status != _CONFLICT
        member = response.document if is_new else self._find_member(outcome, asked)
        result = "offered" if is_new else "unchanged"
        return replace(outcome, status=str(member["status"]), result=result, was_made_shared=was_made_shared)

    def _find_member(self, outcome: Outcome, asked: str) -> dict[str, Any]:
        """Read a member that is there already. If there is none, the conflict was another one."""
        path = f"/v2/images/{outcome.image_id}/members/{outcome.project_id}"
        member: dict[str, Any] = self._cloud.request("GET", path, asked=asked).document
        return member

    def _set_status(self, outcome: Outcome, status: str) -> Outcome:
        asked = f"Answer the offer of image {outcome.image_id} with {status}"
        path = f"/v2/images/{outcome.image_id}/members/{outcome.project_id}"
        response = self._cloud.request("PUT", path, asked=asked, body={"status": status}, also=(_ABSENT,), repeat=True)
        if response.status == _ABSENT:
            raise errors.NotFound(asked, _NO_LONGER_OFFERED, "`openstack image share list` shows what is offered now")
        return replace(outcome, status=str(response.document["status"]), result=status)

    def _remove_member(self, outcome: Outcome) -> Outcome:
        asked = f"End the share of image {outcome.image_id} with project {outcome.project_id}"
        path = f"/v2/images/{outcome.image_id}/members/{outcome.project_id}"
        response = self._cloud.request("DELETE", path, asked=asked, also=(_ABSENT,), repeat=True)
        if response.status == _ABSENT:
            images.find_image(self._cloud, outcome.image_id)  # an image that is not there is another matter
        return replace(outcome, result="no member" if response.status == _ABSENT else "ended")


class _Preparation:
    """Makes an image shared when its first member is added, once for all threads."""

    def __init__(self, cloud: Cloud, image: Image, *, make_shared: bool) -> None:
        self._cloud, self._image, self._may = cloud, image, make_shared
        self._lock = threading.Lock()
        self._is_done = self._was_made_shared = False

    def make_shared(self, asked: str) -> bool:
        """Make the image shared if it is not; return whether it was not.

        Raises:
            Conflict: it may not become shared.
            ClientError: the service refuses.
        """
        with self._lock:
            if not self._is_done and images.needs_to_be_shared(self._image, asked, make_shared=self._may):
                self._cloud.request(
                    "PATCH", f"/v2/images/{self._image['id']}", asked=asked, body=_SHARED, headers=images.JSON_PATCH, repeat=True
                )
                self._was_made_shared = True
            self._is_done = True
            return self._was_made_shared
