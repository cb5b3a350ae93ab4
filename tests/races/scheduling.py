"""Run operations side by side in an order that is chosen, step by step, so that a race can be repeated from its seed.

An actor is an operation on a thread of its own, with a service that stops before every step. A step is a call of the store, and a
transaction on SQLite, where one writes at a time; on PostgreSQL it is a statement or a commit. One actor moves at a time and a
chooser says which; one that has to wait for a lock of the database is passed over until it has got it. `systematic` walks all
orders in which few actors are interrupted, which is where races hide; `by_seed` draws an order at random.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from partage import problems
from partage.operations.service import Service

Actor = Callable[[Service], object]
Step = Callable[[str], None]
Stepping = Callable[[str, Step], Service]
"""Given an actor's name and what to call before each step, give the actor its service."""
Chooser = Callable[[Mapping[str, str], str], str]
"""Given who could move, with the step that each would do, and who moved last, say who moves."""

_GOES_ON = 0.8
_PATIENCE_SECONDS = 30
_LOOK_FOR_LOCKS_SECONDS = 0.01


class Stuck(Exception):
    """An actor neither moves on nor ends: it waits for something that nobody here will do."""


@dataclass
class Ended:
    """What came of all actors: the value or problem of each, and the order of steps that led there."""

    results: dict[str, object] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.results} after {' → '.join(self.order)}"


def run(actors: Mapping[str, Actor], stepping: Stepping, chooser: Chooser, blocked: Callable[[str], bool] | None = None) -> Ended:
    """Let actors run to their ends in the order of the chooser. Problems are results; anything else is raised.

    `blocked` says whether an actor waits for a lock of the database that another one holds.
    """
    return _Stage(chooser, blocked).play(actors, stepping)


def by_seed(seed: int) -> Chooser:
    """Choose at random, the same for the same seed: who moves goes on, but now and then somebody else gets in between."""
    generator = random.Random(seed)
    return lambda ready, last: last if last in ready and generator.random() < _GOES_ON else generator.choice(sorted(ready))


@dataclass
class Script:
    """Choose as a script says: each line an actor and the step before which it stops; "" where it has ended or waits for a lock.

    A line whose step never comes is an error: steps that were renamed make a race fail, not pass.
    """

    lines: list[tuple[str, str]]

    def __call__(self, ready: Mapping[str, str], last: str) -> str:
        while self.lines:
            name, stop = self.lines[0]
            if name in ready and not (stop and stop in ready[name]):
                return name
            if name not in ready and stop:
                raise Stuck(f"{name} never came to {stop}; the script does not fit the steps any more")
            del self.lines[0]
        return last if last in ready else min(ready)


def systematic(attempt: Callable[[Chooser], None], *, interruptions: int) -> int:
    """Attempt every order in which actors that could go on are interrupted so often or less; return how many those were."""
    orders = 0
    to_try: list[tuple[int, ...]] = [()]
    while to_try:
        walk = _Walk(to_try.pop(), interruptions)
        attempt(walk)
        orders += 1
        to_try += walk.branches()
    return orders


@dataclass
class _Walk:
    """Choose as the prefix says, then let whoever moved last go on; note where other choices would have been possible."""

    prefix: tuple[int, ...]
    interruptions: int
    taken: list[int] = field(default_factory=list)
    options: list[int] = field(default_factory=list)

    def __call__(self, ready: Mapping[str, str], last: str) -> str:
        ordered = sorted(ready, key=lambda name: (name != last, name))
        at = len(self.taken)
        choice = self.prefix[at] if at < len(self.prefix) else 0
        choice = min(choice, len(ordered) - 1)  # locks may have made the order another one than when it was planned
        interrupts = last in ready
        self.options.append(len(ordered) if self.interruptions > 0 or not interrupts else 1)
        self.interruptions -= choice > 0 and interrupts
        self.taken.append(choice)
        return ordered[choice]

    def branches(self) -> Iterator[tuple[int, ...]]:
        for at in range(len(self.prefix), len(self.taken)):
            for other in range(1, self.options[at]):
                yield (*self.taken[:at], other)


class _Stage:
    """Where actors wait for their turn. An actor may step on any of its threads, as long as it does so on one at a time."""

    def __init__(self, chooser: Chooser, blocked: Callable[[str], bool] | None) -> None:
        self._chooser = chooser
        self._blocked = blocked
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[str, object]] = {}
        self._alive: set[str] = set()
        self._unexpected: list[BaseException] = []
        self._ended = Ended()

    def play(self, actors: Mapping[str, Actor], stepping: Stepping) -> Ended:
        self._alive = set(actors)
        threads = [
            threading.Thread(target=self._act, args=(name, actor, stepping(name, self._step_of(name))), daemon=True)
            for name, actor in actors.items()
        ]
        for thread in threads:
            thread.start()
        self._direct()
        for thread in threads:
            thread.join(_PATIENCE_SECONDS)
        if self._unexpected:
            raise self._unexpected[0]
        return self._ended

    def _step_of(self, name: str) -> Step:
        def step(what: str) -> None:
            ticket = object()
            with self._changed:
                self._waiting[name] = (what, ticket)
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._waiting.get(name, ("", None))[1] is not ticket, _PATIENCE_SECONDS):
                    raise Stuck(f"{name} waits before {what} for ever")

        return step

    def _direct(self) -> None:
        last = ""
        with self._changed:
            while self._alive:
                self._wait_until_all_stand()
                if not self._waiting:
                    continue  # all wait for each other: the database will end that
                last = self._chooser({name: what for name, (what, _ticket) in self._waiting.items()}, last)
                what, _ticket = self._waiting.pop(last)
                self._ended.order.append(f"{last}: {what}")
                self._changed.notify_all()

    def _wait_until_all_stand(self) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not self._changed.wait_for(lambda: set(self._waiting) == self._alive, _LOOK_FOR_LOCKS_SECONDS):
            moving = self._alive - set(self._waiting)
            if self._blocked is not None and moving and all(self._blocked(name) for name in moving):
                return
            if time.monotonic() > give_up:
                raise Stuck(f"{sorted(moving)} neither step nor end: {self._ended}")

    def _act(self, name: str, actor: Actor, service: Service) -> None:
        result: object = None
        try:
            self._step_of(name)("begin")
            result = actor(service)
        except problems.Problem as problem:
            result = problem
        except BaseException as unexpected:  # noqa: BLE001 -- carried to the thread of the test, which raises it
            self._unexpected.append(unexpected)
        with self._changed:
            self._ended.results[name] = result
            self._alive.discard(name)
            self._changed.notify_all()
