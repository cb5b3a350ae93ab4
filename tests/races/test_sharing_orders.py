"""Calls of sharing side by side, step by step: whatever the order of their steps, the reference model does the same one by one.

The scheduler chooses the order of steps (scheduling.py). Afterwards the answers, and what every caller sees then, must come from
some order of whole calls (linearizability.py). The clock and the periodic jobs are actors too.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from partage.operations import promises, sweep
from partage.operations.service import Service
from tests import databases
from tests.races import linearizability, scheduling, sharing_calls, sharing_model
from tests.races.linearizability import Event
from tests.races.scheduling import Actor, Chooser
from tests.races.sharing_model import Call
from tests.races.sharing_world import DEFAULT_NOTICE_SECONDS, GRACE_SECONDS, WHILE_USED, World, at
from tests.races.stages import Stage

ORDERS_AT_RANDOM = {"sqlite": 10, "postgresql": 4, "mariadb": 4}
X, Y = "image 0", "image 1"


@dataclass
class Clock:
    """A clock that an actor moves."""

    now: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Scene:
    """Calls that make a world, one after the other, and calls that race in it. `seconds`: an actor moves the clock so far."""

    before: Sequence[Call]
    race: Mapping[str, Call]
    seconds: int = 0
    jobs: bool = False


def call(name: str, caller: str, *images: str, **given: Any) -> Call:
    return Call(name, caller, images or (X,), given)


def offer(project: str = "B", *images: str, **given: Any) -> Call:
    return call("offer", "A", *images, projects=(project,), make_shared=True, all_or_nothing=False, **given)


def accept(project: str = "B") -> Call:
    return call("answer", project, project=project, status="accepted")


def of_b(name: str, caller: str = "A") -> Call:
    return call(name, caller, project="B")


CREATE = call("create", "A")
DELETE = call("delete", "A")
SHARED = (CREATE, offer(), accept())
ENDING = (*SHARED, of_b("end"))
RETAINED = (*SHARED, DELETE)


def make_code() -> Call:
    return call("create code", "A", code="k", uses=1, valid_until=7 * 86400, make_shared=False)


def claim(project: str) -> Call:
    return call("claim", project, code="k")


def release(server: str) -> Call:
    return call("release use", "B", server=server)


def trust(rule: str) -> Call:
    return call("set rule", "B", owner="A", rule=rule)


USED = (CREATE, offer(notice=WHILE_USED), accept(), call("record use", "B", server="one"))
CODE = (CREATE, make_code())

SCENES = {
    "offer, delete": Scene(SHARED, {"offer": offer("C"), "delete": DELETE}),
    "offer anew, delete": Scene(ENDING, {"offer": offer(), "delete": DELETE}),
    "offer of a private image, make shared": Scene(
        (*SHARED, call("set visibility", "A", visibility="private")),
        {"offer": offer("C"), "share": call("set visibility", "A", visibility="shared"), "leave": of_b("leave", "B")},
    ),
    "two offers of two images": Scene(
        (CREATE, call("create", "A", Y)), {"offer": offer("B", X, Y), "offer too": offer("B", Y, X), "delete": DELETE}
    ),
    "accept, end": Scene((CREATE, offer()), {"accept": accept(), "end": of_b("end")}),
    "accept, remove, offer anew": Scene((CREATE, offer()), {"accept": accept(), "end": of_b("remove member"), "offer": offer()}),
    "accept, delete": Scene((CREATE, offer(notice=None)), {"accept": accept(), "delete": DELETE}),
    "accept, make private": Scene(
        (CREATE, offer()), {"accept": accept(), "private": call("set visibility", "A", visibility="private")}
    ),
    "accept many, end, expiry": Scene(
        (CREATE, call("create", "A", Y), offer("B", X, Y, expires_at=5)),
        {"accept": call("answer many", "B", X, Y, status="accepted"), "end": of_b("end")},
        seconds=5,
    ),
    "accept, expiry": Scene(
        (CREATE, offer(expires_at=5)), {"accept": accept(), "look": call("download", "B")}, seconds=5, jobs=True
    ),
    "change terms, accept": Scene(
        (CREATE, offer()), {"change": call("change terms", "A", project="B", notice=0), "accept": accept()}
    ),
    "change terms, end": Scene(SHARED, {"change": call("change terms", "A", project="B", notice=None), "end": of_b("end")}),
    "adopt, delete": Scene((CREATE, offer(notice=0)), {"adopt": call("adopt", "B", X, Y), "delete": DELETE}),
    "adopt, end of notice": Scene(RETAINED, {"adopt": call("adopt", "B", X, Y)}, seconds=DEFAULT_NOTICE_SECONDS, jobs=True),
    "cancel ending, end of notice": Scene(
        ENDING, {"cancel": of_b("cancel ending"), "look": call("download", "B")}, seconds=DEFAULT_NOTICE_SECONDS, jobs=True
    ),
    "cancel ending, delete, leave": Scene(ENDING, {"cancel": of_b("cancel ending"), "delete": DELETE, "leave": of_b("leave", "B")}),
    "cancel ending, deactivate": Scene(ENDING, {"cancel": of_b("cancel ending"), "deactivate": call("deactivate", "A")}),
    "leave, restore": Scene(
        (CREATE, offer(), accept(), offer("C"), accept("C"), DELETE),
        {"leave": of_b("leave", "B"), "restore": call("restore", "A"), "look": call("download", "C")},
    ),
    "last member leaves, restore": Scene(RETAINED, {"leave": of_b("leave", "B"), "restore": call("restore", "A")}, jobs=True),
    "restore, restore by the operator": Scene(
        RETAINED, {"restore": call("restore", "A"), "restore too": call("restore as operator", "Z")}
    ),
    "restore, end of notice": Scene(RETAINED, {"restore": call("restore", "A")}, seconds=DEFAULT_NOTICE_SECONDS, jobs=True),
    "restore, takedown": Scene(RETAINED, {"restore": call("restore", "A"), "takedown": call("delete", "Z")}),
    "last member leaves, takedown": Scene(RETAINED, {"leave": of_b("leave", "B"), "takedown": call("deactivate", "Z")}),
    "delete, takedown": Scene(SHARED, {"delete": DELETE, "takedown": call("deactivate", "Z"), "look": call("download", "B")}),
    "reactivate, make private": Scene(
        (*SHARED, call("deactivate", "A")),
        {"reactivate": call("reactivate", "A"), "private": call("set visibility", "A", visibility="private")},
    ),
    "release the last use, end": Scene(USED, {"release": release("one"), "end": of_b("end"), "look": call("download", "B")}),
    "record a use, end of grace": Scene(
        (*USED, release("one"), of_b("end")),
        {"record": call("record use", "B", server="two"), "look": call("download", "B")},
        seconds=GRACE_SECONDS,
        jobs=True,
    ),
    "release, message of a new server, leave": Scene(
        (*USED, of_b("end")),
        {
            "release": release("one"),
            "hear": call("hear", "Z", project="B", server="two", change="seen"),
            "leave": of_b("leave", "B"),
        },
    ),
    "two claims of one use": Scene(
        CODE, {"claim": claim("B"), "claim too": claim("C"), "revoke": call("revoke code", "A", code="k")}
    ),
    "claim, make private": Scene(
        CODE, {"claim": claim("B"), "private": call("set visibility", "A", visibility="private"), "end": of_b("end")}
    ),
    "claim, delete": Scene(CODE, {"claim": claim("B"), "delete": DELETE}),
    "offer, refuse, allow": Scene(
        (CREATE, trust("refuse")), {"offer": offer(), "allow": trust("ask"), "look": call("download", "B")}
    ),
    "offer, refuse": Scene(
        (CREATE,), {"offer": offer(), "refuse": trust("refuse"), "look": call("list shares", "B", direction="in")}
    ),
    "claim a refused offer, allow": Scene(
        (CREATE, trust("refuse"), offer(), make_code()), {"claim": claim("B"), "allow": call("remove rule", "B", owner="A")}
    ),
    "reject, end": Scene(SHARED, {"reject": call("update member", "B", project="B", status="rejected"), "end": of_b("end")}),
}


def play(stage: Stage, scene: Scene, chooser: Chooser) -> None:
    """Play a scene once, and look for an order of whole calls that explains what came of it."""
    clock = Clock()
    with stage.world(_nothing) as plain:
        service = sharing_calls.with_rules(plain, lambda: sharing_calls.moment(clock.now))
        world = World()
        for each in scene.before:
            world, expected = sharing_model.carry_out(world, each, clock.now)
            assert sharing_calls.carry_out(service, each) == expected, f"{each} of the scene"
        history: list[Event] = []
        actors = {name: _record(each, clock, history) for name, each in scene.race.items()}
        if scene.seconds:
            actors["clock"] = _move(clock, scene.seconds)
        if scene.jobs:
            actors["jobs"] = _run_jobs
        ended = stage.race(service, actors, chooser)
        names = list(dict.fromkeys(name for each in (*scene.before, *scene.race.values()) for name in each.images))
        seen = {caller: sharing_calls.look(service, names, caller) for caller in "ABCDZ"}

        def explains(world: World) -> bool:
            present = at(world, clock.now)
            return all(sharing_calls.expect(present, names, caller) == seen[caller] for caller in seen)

        try:
            linearizability.find_order(linearizability.divide(history), world, accepts=explains)
        except linearizability.NoOrder as failure:
            raise AssertionError(f"{ended}: {failure}\nand what is seen is {seen}") from failure


def _nothing(_service: Service) -> None:
    """Begin with an empty database."""


def _record(each: Call, clock: Clock, history: list[Event]) -> Actor:
    def act(service: Service) -> None:
        clock.steps += 1
        started, earliest = clock.steps, clock.now
        answer = sharing_calls.carry_out(service, each)
        clock.steps += 1
        history.append(Event(each, answer, started, clock.steps, earliest, clock.now))

    return act


def _move(clock: Clock, seconds: int) -> Actor:
    def act(_service: Service) -> None:
        clock.now += seconds

    return act


def _run_jobs(service: Service) -> None:
    promises.remove_expired(service)
    sweep.sweep(service, grace=timedelta(0))


@pytest.mark.parametrize("name", SCENES)
def test_any_order_of_steps_is_an_order_of_calls(stage: Stage, name: str) -> None:
    for _ in range(ORDERS_AT_RANDOM[stage.name]):
        _play_with_seed(stage, SCENES[name], random.randrange(1 << 32))


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_every_order_with_few_interruptions_is_an_order_of_calls(stage: Stage, name: str) -> None:
    few = 2 if stage.name == "sqlite" else 1
    orders = scheduling.systematic(lambda chooser: play(stage, SCENES[name], chooser), interruptions=few)
    print(f"{stage.name}: {name}: {orders} orders with up to {few} interruptions")


SCRIPTS = {
    # The takedown waited for the deletion, and looked for the endings of before: the administrator got 404, and nothing was ended.
    (databases.SERVER, "delete, takedown"): [("delete", "COMMIT"), ("takedown", ""), ("delete", "")],
    # It found the notice that the member gave up meanwhile, and took down an image that was gone.
    (databases.SERVER, "last member leaves, takedown"): [("leave", "COMMIT"), ("takedown", ""), ("leave", "")],
}


@pytest.mark.parametrize(("stage", "name"), [each for each in SCRIPTS if each[0] in databases.KINDS], indirect=["stage"])
def test_order_that_once_failed_is_an_order_of_calls(stage: Stage, name: str) -> None:
    play(stage, SCENES[name], scheduling.Script(list(SCRIPTS[stage.name, name])))


def _play_with_seed(stage: Stage, scene: Scene, seed: int) -> None:
    try:
        play(stage, scene, scheduling.by_seed(seed))
    except AssertionError as failure:
        raise AssertionError(f"seed {seed}: {failure}") from failure
