"""The power fails in the middle of every operation, and everything that was not synced is lost, or all but names: see power.py.

What kill -9 cannot show: that what was acknowledged was on the disk by then, and that nothing came onto it in the wrong order.
"""

import random
from pathlib import Path

import pytest

from tests.crashes import worlds
from tests.crashes.acts import Server
from tests.crashes.test_kill import check

ACTS = [*worlds.ACTS, "first-start"]
POINTS = {"upload": 4, "upload-large": 2, "sweep": 4}
POINTS_OF_OTHERS = 1


def survive(actors: Server, folder: Path, act: str, point: int, *, early_names: bool) -> None:
    """Cut the power just before call number `point` of `act`, start again on what is left and compare with what must be."""
    before, after = folder / "before", folder / "after"
    actors.copy(before, act)
    actors.empty(after)
    answer = actors.ask("act", before, act=act, kill_at=point, leave=str(after), early_names=early_names)
    where = f"{act} without power at {point}: {answer['calls'][-1] if answer['calls'] else 'nothing'}"
    check(actors, after, act, where, acknowledged=answer["word"] == "done")


@pytest.mark.parametrize("early_names", [False, True], ids=["late", "early"])
@pytest.mark.parametrize("act", ACTS)
def test_the_power_fails_anywhere(actors: Server, tmp_path: Path, act: str, early_names: bool) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    points = POINTS.get(act, POINTS_OF_OTHERS)
    first = random.random()
    for number in range(points):
        survive(actors, tmp_path, act, 1 + int((number + first) * len(calls) / points), early_names=early_names)
    survive(actors, tmp_path, act, 0, early_names=early_names)  # never before the end: what is acknowledged is on the disk


@pytest.mark.slow
@pytest.mark.parametrize("early_names", [False, True], ids=["late", "early"])
@pytest.mark.parametrize("act", ACTS)
def test_the_power_fails_at_every_point(actors: Server, tmp_path: Path, act: str, early_names: bool) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    for point in range(len(calls) + 1):
        survive(actors, tmp_path, act, point, early_names=early_names)
