"""Send requests, and judge: each is answered in time and not by a 5xx, or let go of when it has no end."""

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from tests.api.connection import Answer, Connection
from tests.api.personas import Cast
from tests.fuzz import everything
from tests.fuzz.chance import Chance, Shot

PATIENCE_SECONDS = 5.0
_QUIET_SECONDS = 0.7
_TRIES = 3
_SLOW = f"no answer within {PATIENCE_SECONDS} s"
_SHOWN_BYTES = 1000
_MOST_FAILURES = 25
_NAMES_A_CODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


@dataclass
class Tally:
    """What came of many requests: how often each status, and the failures, each with what repeats it.

    `slow` ones were answered in time only when they were sent again: a request that keeps the service busy does so each time, a
    busy machine does not.
    """

    statuses: Counter[int | str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slow: int = 0

    @property
    def count(self) -> int:
        return sum(self.statuses.values())

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.statuses + other.statuses,
            self.failures + other.failures,
            max(self.slowest_seconds, other.slowest_seconds),
            self.slow + other.slow,
        )

    def summary(self) -> str:
        seen = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items(), key=str))
        return f"{self.count} requests, the slowest took {self.slowest_seconds:.1f} s, {self.slow} sent again; {seen}"


def seed_of_this_run() -> int:
    """Take the seed that the environment gives, or a new one, and print what repeats the run."""
    seed = int(os.environ.get("PARTAGE_FUZZ_SEED") or random.randrange(10**9))
    print(f"PARTAGE_FUZZ_SEED={seed}", flush=True)
    return seed


def by_chance(cast: Cast, count: int, *, seed: int, origin: str = "http://127.0.0.1:1") -> Tally:
    """Send so many requests, one after the other, each made by chance."""
    chance = Chance(seed, cast, origin)
    return _all((chance.shot() for _ in range(count)), cast, name=f"seed {seed}", learn=chance.learn)


def with_everything(cast: Cast, *, seed: int, origin: str) -> Tally:
    """Send every method to every path as every persona."""
    chance = Chance(seed, cast, origin)
    return _all(everything.shots(chance), cast, name=f"everything, seed {seed}", learn=chance.learn)


def at_once(cast: Cast, count: int, *, seed: int, origin: str, clients: int) -> Tally:
    """Let several clients send their part of so many requests at the same time, each with a seed of its own."""
    with ThreadPoolExecutor(clients) as pool:
        parts = [pool.submit(by_chance, cast, count // clients, seed=seed + each, origin=origin) for each in range(clients)]
        return sum((part.result() for part in parts), Tally())


def _all(shots: Iterable[Shot], cast: Cast, *, name: str, learn: Callable[[Answer], None]) -> Tally:
    tally = Tally()
    for number, shot in enumerate(shots):
        begun = time.monotonic()
        answer, fault = fire(cast.owner.endpoint, shot)
        for _ in range(_TRIES - 1):
            if fault == _SLOW:
                tally.slow += 1
                answer, fault = fire(cast.owner.endpoint, shot)
        took = time.monotonic() - begun
        tally.slowest_seconds = max(took, tally.slowest_seconds)
        tally.statuses["none" if answer is None else answer.status] += 1
        if answer is not None:
            learn(answer)
        if fault is not None:
            tally.failures.append(f"{name}, number {number}: {fault}: {shown(shot.data, cast)}")
        if len(tally.failures) >= _MOST_FAILURES:
            break
    return tally


def fire(endpoint: str, shot: Shot) -> tuple[Answer | None, str | None]:
    """Send one request on a connection of its own. Give its answer, if there was one, and what is wrong, if something is."""
    with Connection(endpoint, seconds=PATIENCE_SECONDS if shot.whole else _QUIET_SECONDS) as wire:
        with suppress(TimeoutError, BrokenPipeError, ConnectionResetError):  # it is answered before it is sent whole, or not at all
            wire.send(shot.data)
        try:
            answer = wire.answer(to=shot.method)
            while answer.status < 200:
                answer = wire.answer(to=shot.method)
        except TimeoutError:
            return None, _SLOW if shot.whole else _let_go(wire)
        except (EOFError, ConnectionResetError):
            return None, "closed without an answer" if shot.whole else None
        except (ValueError, IndexError):
            return None, "answered what is not HTTP"
    return answer, _fault_of(answer, shot)


def _let_go(wire: Connection) -> str | None:
    """Say that no more will be sent, upon which the service must let go of the connection."""
    wire.finish()
    wire.socket.settimeout(PATIENCE_SECONDS)
    try:
        while not wire.is_closed():
            pass
    except TimeoutError:
        return f"kept open {PATIENCE_SECONDS} s after its client had ended"
    return None


def _fault_of(answer: Answer, shot: Shot) -> str | None:
    if answer.status == 501 and _NAMES_A_CODING.search(shot.data):
        return None  # RFC 9112, 6.1: the answer to a transfer coding that a server does not understand
    return f"answered {answer.status} {answer.body[:300]!r}" if answer.status >= 500 else None


def shown(data: bytes, cast: Cast) -> str:
    """Write a request so that it can be sent again: as Python has bytes, with names of personas in the place of their tokens."""
    for name, who in cast.people.items():
        if who.token:
            data = data.replace(who.token.encode(), f"<token of {name}>".encode())
    more = f" and {len(data) - _SHOWN_BYTES} bytes more" if len(data) > _SHOWN_BYTES else ""
    return f"{data[:_SHOWN_BYTES]!r}{more}"
