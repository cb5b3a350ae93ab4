"""The memory of validations, without any identity service."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from partage import problems
from partage.identity.tokens import TokenCache, TokenValidation
from partage.model.caller import Caller
from partage.model.ids import UserID

SOMEBODY = TokenValidation(caller=Caller(user_id=UserID("u"), project_id=None, roles=frozenset()))
NOBODY = TokenValidation(caller=None)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Question:
    """Answers in turn and counts how often it was asked."""

    def __init__(self, *validations: TokenValidation) -> None:
        self.asked = 0
        self._validations: Iterator[TokenValidation] = iter(validations)

    def __call__(self) -> TokenValidation:
        self.asked += 1
        return next(self._validations)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_answer_is_remembered_until_its_time_is_over(clock: Clock) -> None:
    cache, ask = TokenCache(seconds=10, monotonic=clock, wall=clock), Question(SOMEBODY, NOBODY)
    assert cache.find("t", ask) == SOMEBODY
    clock.now += 9.9
    assert cache.find("t", ask) == SOMEBODY
    clock.now += 0.1
    assert cache.find("t", ask) == NOBODY
    assert ask.asked == 2


def test_time_of_an_answer_runs_from_the_question(clock: Clock) -> None:
    cache = TokenCache(seconds=10, monotonic=clock, wall=clock)

    def slow() -> TokenValidation:
        clock.now += 4
        return SOMEBODY

    cache.find("t", slow)
    clock.now += 6
    assert cache.find("t", Question(NOBODY)) == NOBODY


def test_refusal_is_remembered_briefly(clock: Clock) -> None:
    cache, ask = TokenCache(seconds=10, refused_seconds=2, monotonic=clock, wall=clock), Question(NOBODY, SOMEBODY)
    cache.find("t", ask)
    clock.now += 1.9
    assert cache.find("t", ask) == NOBODY
    clock.now += 0.1
    assert cache.find("t", ask) == SOMEBODY


def test_answer_does_not_outlive_its_token(clock: Clock) -> None:
    cache = TokenCache(seconds=10, monotonic=Clock(), wall=clock)  # only the wall clock moves
    expiring = TokenValidation(caller=SOMEBODY.caller, expires_at=clock.now + 3)
    ask = Question(expiring, NOBODY)
    cache.find("t", ask)
    clock.now += 3
    assert cache.find("t", ask) == NOBODY


def test_zero_seconds_remember_nothing() -> None:
    cache, ask = TokenCache(seconds=0), Question(SOMEBODY, SOMEBODY, NOBODY)
    assert [cache.find("t", ask) for _ in range(3)] == [SOMEBODY, SOMEBODY, NOBODY]


def test_size_is_bounded_and_least_recently_used_is_evicted() -> None:
    cache = TokenCache(seconds=10, entries=3)
    for token in ("a", "b", "c", "a", "d"):
        cache.find(token, lambda: SOMEBODY)
    assert len(cache) == 3
    kept = Question(NOBODY)
    assert cache.find("a", kept) == SOMEBODY
    assert cache.find("b", kept) == NOBODY


def test_kinds_are_kept_apart() -> None:
    cache = TokenCache(seconds=10)
    assert cache.find("t", lambda: SOMEBODY, kind=b"expired") == SOMEBODY
    assert cache.find("t", lambda: NOBODY) == NOBODY


def test_failure_is_not_remembered() -> None:
    cache = TokenCache(seconds=10)

    def fails() -> TokenValidation:
        raise problems.IdentityUnavailable("away")

    with pytest.raises(problems.IdentityUnavailable, match="away"):
        cache.find("t", fails)
    assert cache.find("t", lambda: SOMEBODY) == SOMEBODY


@pytest.mark.parametrize("fails", [False, True])
def test_requests_at_the_same_time_share_one_question(fails: bool) -> None:
    cache, everybody, waiting = TokenCache(seconds=10), threading.Barrier(33), threading.Semaphore(0)
    asked = []

    def ask() -> TokenValidation:
        asked.append(1)
        everybody.wait()  # every other thread has at least been started and is about to look
        waiting.acquire(timeout=0.2)  # and gets the time to find the question open
        if fails:
            raise problems.IdentityUnavailable("away")
        return SOMEBODY

    def request(number: int) -> TokenValidation | str:
        if number:
            everybody.wait()
        try:
            return cache.find("t", ask)
        except problems.IdentityUnavailable as problem:
            return problem.reason

    with ThreadPoolExecutor(33) as pool:
        answers = list(pool.map(request, range(33)))
    assert answers == (["away"] if fails else [SOMEBODY]) * 33
    assert len(asked) == 1


def test_token_itself_is_not_kept() -> None:
    cache = TokenCache(seconds=10)
    cache.find("gAAAA-a-secret", lambda: SOMEBODY)
    assert "gAAAA-a-secret" not in repr(vars(cache))


def test_refused_tokens_evict_no_caller() -> None:
    cache = TokenCache(seconds=10, entries=3)
    cache.find("good", lambda: SOMEBODY)
    for number in range(100):
        cache.find(f"random-{number}", lambda: NOBODY)
    assert len(cache) == 4
    assert cache.find_cached("good") == SOMEBODY


def test_caller_counts_as_known_after_the_answer_expires(clock: Clock) -> None:
    cache = TokenCache(seconds=10, monotonic=clock, wall=clock)
    cache.find("t", lambda: SOMEBODY)
    clock.now += 11
    assert cache.find_cached("t") is None
    assert cache.was_valid("t")
    assert not cache.was_valid("another")
    cache.find("t", lambda: NOBODY)
    assert not cache.was_valid("t")


def test_token_refused_once_is_accepted_when_it_becomes_valid(clock: Clock) -> None:
    """One that Keystone knew a moment later only, such as a node that had the new keys late, is refused no longer than said."""
    cache = TokenCache(seconds=10, refused_seconds=2, monotonic=clock, wall=clock)
    cache.find("t", lambda: NOBODY)
    assert cache.find_cached("t") == NOBODY
    assert cache.find_cached("another") is None, "no other token is refused with it"
    clock.now += 2
    assert cache.find("t", lambda: SOMEBODY) == SOMEBODY
    assert cache.find_cached("t") == SOMEBODY
