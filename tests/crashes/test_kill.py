"""kill -9 in the middle of every operation, at every call of the system that changes a file.

Whatever the moment: the next start needs no help and takes less than five seconds; what was acknowledged is there, what was not is
there whole or not at all; every image has all its bytes; the operation can be done again; a sweep frees the rest.

Without `-m slow` some points of every operation are taken, spread evenly from a random beginning: pytest-randomly prints its seed.
"""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.crashes import worlds
from tests.crashes.acts import Server

RECOVERY_SECONDS = 5
ACTS = [*worlds.ACTS, "first-start"]
POINTS = {"upload": 4, "sweep": 3, "maintain": 3}
POINTS_OF_OTHERS = 2
ACTS_ON_SERVER = ["create", "upload", "delete", "accept", "sweep", "maintain", "close-project", "claim", "end-guarded"]
POINTS_ON_SERVER = 2


def survive(actors: Server, folder: Path, act: str, point: int) -> None:
    """Kill `act` just before its call number `point`, start again and compare with what must be."""
    actors.copy(folder, act)
    answer = actors.ask("act", folder, act=act, kill_at=point)
    acknowledged = answer["word"] == "done"
    where = f"{act} killed at {point}: {answer['calls'][-1] if answer['calls'] else 'nothing'}"
    assert acknowledged or (answer["killed"] and not answer["word"]), f"{where}: {answer}"
    check(actors, folder, act, where, acknowledged=acknowledged)


def check(actors: Server, folder: Path, act: str, where: str, *, acknowledged: bool) -> None:
    """Hold what is there after a crash against what was there before it and what the operation would have made."""
    before: dict[str, Any] = {} if act == "first-start" else actors.before
    try:
        looked = actors.look(folder, act)
    except AssertionError as failure:
        raise AssertionError(f"{where}: {failure}") from failure
    allowed = [actors.after[act]] if acknowledged else [before, actors.after[act]]
    if act in worlds.ACTS and worlds.ACTS[act].goes_on:  # several steps, some of which are repeated
        looked["found"], allowed = without_effects(looked["found"]), [without_effects(each) for each in allowed]
    assert looked["found"] in allowed, where
    assert looked["faults"] == [], where
    assert looked["repeated"] in ("done", "done before"), f"{where}: {looked['repeated']}"
    assert looked["after"] == without_effects(actors.after[act]), where
    assert looked["seconds"] < RECOVERY_SECONDS, where


def without_effects(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out what an operation adds each time that it is repeated, such as events."""
    return {name: value for name, value in state.items() if name != worlds.EFFECTS}


@pytest.mark.parametrize("act", ACTS)
def test_killed_anywhere_the_next_start_finds_everything_in_order(actors: Server, tmp_path: Path, act: str) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    points = POINTS.get(act, POINTS_OF_OTHERS)
    first = random.random()
    for number in range(points):
        survive(actors, tmp_path / "world", act, 1 + int((number + first) * (len(calls) + 1) / points))


@pytest.mark.parametrize("act", ACTS_ON_SERVER)
def test_killed_anywhere_beside_a_server(actors_on_server: Server, tmp_path: Path, act: str) -> None:
    """Here a point is also every message to the server."""
    calls = actors_on_server.calls_of(act, tmp_path / "copy")
    first = random.random()
    for number in range(POINTS_ON_SERVER):
        survive(actors_on_server, tmp_path / "copy", act, 1 + int((number + first) * (len(calls) + 1) / POINTS_ON_SERVER))


@pytest.mark.slow
@pytest.mark.parametrize("act", worlds.ACTS)
def test_killed_at_every_point_beside_a_server(actors_on_server: Server, tmp_path: Path, act: str) -> None:
    calls = actors_on_server.calls_of(act, tmp_path / "copy")
    for point in range(1, len(calls) + 2):
        survive(actors_on_server, tmp_path / "copy", act, point)


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_point_the_next_start_finds_everything_in_order(actors: Server, tmp_path: Path, act: str) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    for point in range(1, len(calls) + 4):
        survive(actors, tmp_path / "world", act, point)
