"""Two worlds that differ only in what an observer must not know: every answer to the observer is the same in both.

An observer sends one long list of requests, every route of the sharing API and routes of the Image API that show shares, to
two services with clocks that a test moves. Statuses, headers and bodies are compared byte for byte, after names that nobody could
predict (ids, cursors, codes, secrets) were replaced by the numbers of their first appearance. So are the messages to the observer's
webhook.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import requests

from partage.http.partage.routes import ROWS
from partage.http.routing import Body
from partage.model.terms import Notice, Terms
from partage.operations import promises
from partage.operations.sharing import deliveries
from partage.policies import sharing as rules
from tests import databases
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import EVENTS, SHARES, WEBHOOKS, offer, share_path
from tests.api.personas import Cast, Persona
from tests.unit.outbound import origins
from tests.webhook_receiver import Receiver, receive

IMAGE = str(UUID(int=0xA11CE))
"""The id of the image on which something is hidden."""
GUESS = bytes(range(256)) * 400 + b"\x01" * 70_000
FOREIGN_ID = "f" * 32
UNPREDICTABLE = re.compile(
    r"whsec_[\w+/=]+|partage-claim-[\w-]+|req-[\w-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b"
    r'|(?:(?<=/codes/)|(?<="id":")|(?<="code_id":"))[0-9a-z]{12}(?=[" ])'
)
CHANGING = {"date", "etag", "x-openstack-request-id", "content-length"}
"""Headers that depend on the time, or on names that nobody could predict."""


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Observer:
    """Sends requests as a persona, one each second, and keeps what comes back."""

    who: Persona
    clock: Clock
    answers: list[tuple[str, requests.Response]] = field(default_factory=list)

    def sends(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request and keep its answer."""
        self.clock.passes(seconds=1)
        answer = self.who.call(method, path, **more)
        self.answers.append((f"{method} {path} {json.dumps(more.get('json'))}", answer))
        return answer


@dataclass(frozen=True)
class Scene:
    """What is the same in both worlds, what is hidden, and who observes."""

    observer: str
    prepare: Callable[[Cast], object]
    hide: Callable[[Cast, bool], object]
    later: Callable[[Cast, bool], object] = lambda _cast, _there: None


def own_image(cast: Cast) -> None:
    assert cast.owner.creates(id=IMAGE, name="golden", visibility="shared").status_code == 201
    assert cast.owner.uploads(IMAGE, GUESS).status_code == 204


def refuse(cast: Cast, there: bool) -> None:
    rule = "refuse" if there else "ask"
    for who in (cast.pending, cast.rejected):
        answer = who.call("PUT", f"/partage/v1/trust/projects/{cast.owner.project_id}", json={"rule": rule})
        assert answer.status_code == 200


def offer_to_all(cast: Cast) -> None:
    own_image(cast)


def store_same_bytes(cast: Cast, there: bool) -> None:
    if there:
        cast.outsider.has_an_image(b"\x07" * 3000 + GUESS)
        cast.outsider.has_an_image(GUESS)
        cast.outsider.has_an_image(GUESS[:60_000])


def share_with_member(cast: Cast) -> None:
    own_image(cast)
    assert offer(cast.owner, [IMAGE], [cast.member.project_id], terms={"notice": "P2D"}).status_code == 200


def share_with_others(cast: Cast, there: bool) -> None:
    if there:
        others = [cast.pending.project_id, cast.rejected.project_id]
        assert offer(cast.owner, [IMAGE], others, terms={"notice": "P9D", "message": "s3cr3t"}).status_code == 200
        assert cast.pending.call("POST", share_path(IMAGE, cast.pending.project_id, "accept")).status_code == 200
        assert cast.pending.call("PUT", f"/partage/v1/images/{IMAGE}/uses/server/s3cr3t").status_code == 200


def end_for_all(cast: Cast, there: bool) -> None:
    if there:
        cast.pending.downloads(IMAGE)
    assert cast.owner.sets(IMAGE, "visibility", "private").status_code == 200
    if there:
        cast.pending.call("POST", share_path(IMAGE, cast.pending.project_id, "leave"))


def keep_image(cast: Cast, there: bool) -> None:
    if there:
        own_image(cast)
        share_with_others(cast, there=True)
        code = cast.owner.call("POST", f"/partage/v1/images/{IMAGE}/codes", json={})
        assert code.status_code == 201


def delete_image(cast: Cast, there: bool) -> None:
    if there:
        assert cast.owner.deletes(IMAGE).status_code == 204


def rename_private(cast: Cast, there: bool) -> None:
    name = "s3cr3t" if there else "golden"
    assert cast.owner.sets(IMAGE, "name", name).status_code == 200
    assert cast.owner.call("DELETE", share_path(IMAGE, cast.member.project_id)).status_code in {200, 204}


def end_at_once(cast: Cast) -> None:
    own_image(cast)
    assert offer(cast.owner, [IMAGE], [cast.member.project_id], terms={"notice": "P0D"}).status_code == 200
    assert cast.member.call("POST", share_path(IMAGE, cast.member.project_id, "accept")).status_code == 200
    assert cast.owner.sets(IMAGE, "visibility", "private").status_code == 200


def nothing(_cast: Cast) -> None:
    """Prepare nothing."""


def flood(cast: Cast, there: bool) -> None:
    if there:
        image = cast.outsider.has_an_image(GUESS, visibility="shared")
        assert offer(cast.outsider, [image], [cast.pending.project_id]).status_code == 200
        assert cast.outsider.deletes(image).status_code == 204


SCENES = {
    "refused or waiting": Scene("owner", offer_to_all, refuse),
    "foreign bytes": Scene("owner", own_image, store_same_bytes, store_same_bytes),
    "other members": Scene("member", share_with_member, share_with_others, end_for_all),
    "invisible or nonexistent": Scene("outsider", nothing, keep_image, delete_image),
    "renamed after access ended": Scene("member", end_at_once, lambda _cast, _there: None, rename_private),
    "events of others": Scene("owner", own_image, flood, flood),
}

BODIES: Mapping[str | None, list[Any]] = {
    rules.CHANGE_TERMS: [{"notice": "P3D"}, {"message": "more"}],
    rules.ADOPT_IMAGE: [{"name": "mine"}],
    rules.SWITCH_GUARD: [{"mode": "block"}, {"mode": "off"}],
    rules.END_ACCESS: [{"action": "deactivate"}, {"action": "private", "acknowledge": True}],
    rules.CREATE_CODE: [{"uses": 2}],
    rules.CLAIM_SHARE: [{"code": "partage-claim-7k3m-9x2q-4fjd-aaaa-bbbb-cccc-dddd"}],
    rules.CREATE_WEBHOOK: [{"url": "https://hooks.example.org/"}],
    rules.CHANGE_WEBHOOK: [{"description": "seen"}],
    rules.SET_TRUST: [{"rule": "accept"}],
}
ACTIONS = ("delete", "private", "deactivate", "unshare")
MOVES = {rules.END_ACCESS, rules.END_SHARE}
"""Rules of requests that end what the others look at: they are sent last."""


def look(observer: Observer, projects: list[str]) -> None:
    """Look at everything, in both APIs, and change nothing."""
    for path in (
        *(f"{SHARES}?direction={side}&limit={limit}" for side in ("in", "out") for limit in (1, 100)),
        *(f"{SHARES}?direction={side}&image={IMAGE}" for side in ("in", "out")),
        *(f"{SHARES}?direction=out&project={each}&status=pending" for each in projects),
        *(f"{EVENTS}?limit=500", f"{EVENTS}?after=latest", f"{EVENTS}?limit=2"),
        WEBHOOKS,
        "/partage/v1/trust",
        *(f"/v2/images/{IMAGE}{more}" for more in ("", "/members", "/file", "/tasks", *(f"/members/{each}" for each in projects))),
        *("/v2/images?limit=100", "/v2/images?visibility=shared&member_status=all", "/v2/images?owner=" + projects[0]),
        *("/v2/info/usage", "/v2/info/stores", "/v2/info/stores/detail", "/v2/tasks"),
        *(f"/partage/v1/images/{IMAGE}/{each}" for each in ("lineage", "uses", "uses/projects", "codes", "guard", "manifest")),
        *(f"/partage/v1/images/{IMAGE}/{each}" for each in ("manifest?limit=1", "chunks?ranges=0-9", "chunks?ranges=0-0,5-9")),
        *(f"/partage/v1/images/{IMAGE}/impact?action={each}" for each in ACTIONS[:3]),
        *(f"/partage/v1/images/{IMAGE}/impact?action=unshare&project={each}" for each in projects),
        *(share_path(IMAGE, each) for each in projects),
    ):
        observer.sends("GET", path)
    for path in next_pages(observer):
        observer.sends("GET", path)


def next_pages(observer: Observer) -> list[str]:
    """Return the links to next pages in the last answers, and the positions from which events continue."""
    found = []
    for _request, answer in observer.answers[-60:]:
        if answer.headers.get("Content-Type", "").startswith("application/json") and isinstance(answer.json(), dict):
            found += [answer.json()[name] for name in ("next",) if name in answer.json()]
            found += [f"{EVENTS}?after={answer.json()['after']}"] if "events" in answer.json() else []
    return found


def send_everything(observer: Observer, projects: list[str]) -> None:
    """Send every route, with every body, for every project; those that end access last."""
    webhook = str(observer.sends("POST", WEBHOOKS, json={"url": "https://hooks.example.org/"}).json().get("id"))
    code = str(observer.sends("POST", f"/partage/v1/images/{IMAGE}/codes", json={}).json().get("id", "0" * 12))
    for request in (
        {"image_ids": [IMAGE], "projects": projects},
        {"image_ids": [IMAGE], "projects": projects, "make_shared": True},
    ):
        for more in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}):
            observer.sends("POST", SHARES, json=request, headers=more)
        observer.sends("POST", SHARES, json={**request, "all_or_nothing": True})
    for verb in ("reject", "accept"):
        observer.sends("POST", f"{SHARES}/{verb}", json={"image_ids": [IMAGE]})
    for row in sorted(ROWS, key=lambda each: each.rule in MOVES):
        if row.method == "POST" and row.path in (SHARES, f"{SHARES}/accept", f"{SHARES}/reject"):
            continue
        names = {"image_id": IMAGE, "kind": "server", "use_id": "s1", "code_id": code, "webhook_id": webhook}
        for project in projects if "{project_id}" in row.path else projects[:1]:
            path = row.path.format(**names, project_id=project, domain_id="default")
            for body in BODIES.get(row.rule, [None]) if row.body is Body.TAKEN else [None]:
                given = {} if body is None else {"json": body}
                observer.sends(row.method, path, params={"action": "delete"} if row.rule == rules.GET_IMPACT else None, **given)


def change_in_v2(observer: Observer, projects: list[str]) -> None:
    """Share, change and end as clients of the Image API do."""
    for each in projects:
        observer.sends("POST", f"/v2/images/{IMAGE}/members", json={"member": each})
        observer.sends("PUT", f"/v2/images/{IMAGE}/members/{each}", json={"status": "accepted"})
        observer.sends("DELETE", f"/v2/images/{IMAGE}/members/{each}")
        observer.sends("POST", f"/v2/images/{IMAGE}/members", json={"member": each})
    for verb in ("deactivate", "reactivate"):
        observer.sends("POST", f"/v2/images/{IMAGE}/actions/{verb}")
    observer.sends("DELETE", f"/v2/images/{IMAGE}/tags/unknown")
    observer.sends("PUT", f"/v2/images/{IMAGE}/tags/new")


def observe(world: World, cast: Cast, scene: Scene, receiver: Receiver, *, there: bool) -> Iterator[str]:
    """Play a scene; yield what the observer got."""
    clock = world.service.clock
    assert isinstance(clock, Clock)
    observer = Observer(cast.people[scene.observer], clock)
    projects = [each.project_id for each in (cast.member, cast.pending, cast.rejected)] + [FOREIGN_ID]
    scene.prepare(cast)
    start = len(receiver.messages)
    observer.sends("POST", WEBHOOKS, json={"url": receiver.url()})
    scene.hide(cast, there)
    look(observer, projects)
    send_everything(observer, projects)
    look(observer, projects)
    change_in_v2(observer, projects)
    scene.later(cast, there)
    look(observer, projects)
    clock.passes(days=3)
    promises.remove_expired(world.service)
    send_everything(observer, projects)
    look(observer, projects)
    observer.sends("DELETE", f"/v2/images/{IMAGE}")
    look(observer, projects)
    while deliveries.deliver_next(world.service):
        pass
    names: dict[str, str] = {}
    for request, answer in observer.answers:
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in CHANGING}
        yield rename(f"{request}\n{answer.status_code} {headers}\n{answer.text}", names)
    for message in receiver.messages[start:]:
        yield rename(f"{message.headers['webhook-id']} {message.body.decode()}", names)


def rename(text: str, names: dict[str, str]) -> str:
    """Replace what nobody could predict by the number of its first appearance."""
    return UNPREDICTABLE.sub(lambda found: names.setdefault(found[0], f"<{len(names)}>"), text)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as found:
        yield found


def compare(
    name: str,
    another_world: Callable[..., World],
    everybody: dict[str, tuple[str, str]],
    receiver: Receiver,
    urls: list[str | None],
) -> None:
    """Play a scene with what is hidden and without it, and compare what the observer got."""
    found = []
    for there, url in zip((True, False), urls, strict=True):
        world = another_world(
            database_url=url,
            clock=Clock(),
            default_terms=Terms(notice=Notice.parse("P1D")),
            fetch=origins.rules(receiver.port, hides_failures=False),
        )
        cast = cast_of(world, everybody)
        found.append(list(observe(world, cast, SCENES[name], receiver, there=there)))
        cast.leave()
    for with_it, without in itertools.zip_longest(*found):
        assert with_it == without
    assert len(found[0]) > 400
    assert not any(re.search(r"\n5\d\d ", each) for each in found[0])
    assert not any("s3cr3t" in each for each in found[0])


@pytest.mark.parametrize("name", SCENES)
def test_observer_gets_the_same_answers_in_both_worlds(
    name: str, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], receiver: Receiver
) -> None:
    compare(name, another_world, everybody, receiver, [None, None])


def test_refused_offer_gets_the_same_answers_on_postgresql(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], receiver: Receiver
) -> None:
    with databases.serve_server() as one, databases.serve_server() as other:
        compare("refused or waiting", another_world, everybody, receiver, [one, other])
