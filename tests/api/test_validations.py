"""Tokens that are not valid hold up nobody whose token is known. Real Keystone, behind a gate that lets it be slow."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests

from partage.identity.keystone import Keystone, connect
from partage.identity.tokens import TokenCache
from partage.policies.authority import Authority
from tests.api import gates
from tests.api.conftest import cast_of, make_service, serving
from tests.api.gates import STRANGER, Gate
from tests.api.personas import Cast
from tests.standalone import RunningKeystone, wait_for

THREADS = 3
WAITING = 12
BELIEVED_SECONDS = 1.0

Everybody = dict[str, tuple[str, str]]


@pytest.fixture
def gate(keystone: RunningKeystone) -> Iterator[Gate]:
    with gates.before(keystone) as made:
        yield made


@pytest.fixture
def people(gate: Gate, everybody: Everybody, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    folder = tmp_path_factory.mktemp("gated")
    service, rules = make_service(folder)
    cache = TokenCache(seconds=BELIEVED_SECONDS, refused_seconds=30)
    identity = Keystone(connect(gate.credentials), cache, is_admin=Authority().is_admin)
    with serving(service, identity, rules, folder, validation_threads=THREADS, validations_waiting=WAITING) as world:
        yield cast_of(world, everybody)
    service.close()


@pytest.fixture
def flood(people: Cast) -> Iterator[Callable[..., list["Future[requests.Response]"]]]:
    """Send requests with these tokens at the same time, each on a connection of its own."""
    with ThreadPoolExecutor(64) as pool:

        def send(*tokens: str) -> list[Future[requests.Response]]:
            strangers = [replace(people.owner, token=token, http=requests.Session()) for token in tokens]
            return [pool.submit(each.call, "GET", "/v2/images") for each in strangers]

        yield send


def strangers(count: int, since: int = 0) -> list[str]:
    return [f"{STRANGER}{number}" for number in range(since, since + count)]


def test_cached_callers_are_answered_while_validations_are_stuck(
    people: Cast, gate: Gate, flood: Callable[..., list["Future[requests.Response]"]]
) -> None:
    image = people.owner.has_an_image(None)
    stuck = flood(*strangers(40))
    wait_for(lambda: gate.waiting == THREADS, seconds=30)
    for _ in range(3):
        assert people.owner.shows(image).status_code == 200
        assert people.owner.sets(image, "name", "changed").status_code == 200
        # Longer than an answer is believed: the next request asks Keystone again, beside the tokens that nobody knows.
        time.sleep(BELIEVED_SECONDS * 1.2)
    assert gate.waiting == THREADS, "the strangers were stuck all the time"
    gate.opened.set()
    answers = [each.result() for each in stuck]
    assert {each.status_code for each in answers} == {401, 503}
    refused_at_once = [each for each in answers if each.status_code == 503]
    assert len(refused_at_once) == 40 - WAITING
    assert all(each.headers["Retry-After"] for each in refused_at_once)
    assert all("wait to be validated" in each.text for each in refused_at_once)


def test_concurrent_requests_with_one_unknown_token_share_a_validation(
    people: Cast, gate: Gate, flood: Callable[..., list["Future[requests.Response]"]]
) -> None:
    """However many requests bring it, they take one thread and one place in the queue."""
    stuck = flood(*[f"{STRANGER}same"] * 40)
    wait_for(lambda: gate.waiting == 1, seconds=30)
    gate.opened.set()
    assert {each.result().status_code for each in stuck} == {401}
    assert replace(people.owner, token=f"{STRANGER}same").call("GET", "/v2/images").status_code == 401, "remembered as refused"
    assert gate.asked.count(f"{STRANGER}same") == 1


def test_cached_service_token_does_not_wait_for_unknown_tokens(
    people: Cast, gate: Gate, flood: Callable[..., list["Future[requests.Response]"]]
) -> None:
    image = people.owner.has_an_image(None)
    beside = {"X-Service-Token": people.service.token or ""}
    assert people.owner.call("GET", f"/v2/images/{image}", headers=beside).status_code == 200
    stuck = flood(*strangers(THREADS))
    wait_for(lambda: gate.waiting == THREADS, seconds=30)
    for _ in range(2):
        assert people.owner.call("GET", f"/v2/images/{image}", headers=beside).status_code == 200
        time.sleep(BELIEVED_SECONDS * 1.2)
    asked = len(gate.asked)
    random = [{"X-Service-Token": each} for each in strangers(1, since=100)]
    with ThreadPoolExecutor(1) as pool:
        # A service token that nobody knows waits with the strangers, whoever brings it: it takes no place of known callers.
        waits = pool.submit(people.member.call, "GET", "/v2/images", headers=random[0])
        time.sleep(0.3)
        assert not waits.done()
        assert people.owner.shows(image).status_code == 200
        gate.opened.set()
        assert waits.result().status_code == 200
    assert len(gate.asked) > asked
    assert {each.result().status_code for each in stuck} == {401}
