"""Operations side by side, step by step, in orders that are drawn at random, or all of a kind. See scheduling.py and races.py."""

import random

import pytest

from tests import databases
from tests.races import races, scheduling
from tests.races.races import RACES
from tests.races.stages import Stage

ORDERS_AT_RANDOM = {"sqlite": 12, "postgresql": 4, "mariadb": 4}


@pytest.mark.parametrize("name", RACES)
def test_any_order_of_steps_ends_well(stage: Stage, name: str) -> None:
    for _ in range(ORDERS_AT_RANDOM[stage.name]):
        seed = random.randrange(1 << 32)
        try:
            races.attempt(stage, RACES[name], scheduling.by_seed(seed))
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_every_order_with_few_interruptions_ends_well(stage: Stage, name: str) -> None:
    few = 2 if stage.name == "sqlite" and len(RACES[name].actors) == 2 else 1
    orders = scheduling.systematic(lambda chooser: races.attempt(stage, RACES[name], chooser), interruptions=few)
    print(f"{stage.name}: {name}: {orders} orders with up to {few} interruptions")


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_many_orders_drawn_at_random_end_well(stage: Stage, name: str) -> None:
    for seed in range(200 if stage.name == "sqlite" else 40):
        try:
            races.attempt(stage, RACES[name], scheduling.by_seed(seed))
        except AssertionError as failure:
            raise AssertionError(f"seed {seed}: {failure}") from failure


SCRIPTS = {
    # It marked what an upload had named meanwhile, and before it could unmark it, the other one removed it.
    ("sqlite", "upload, two sweeps of the same bytes"): [
        ("sweep", "write in _mark"),
        ("sweep too", "in _empty_packs"),
        ("upload", ""),
        ("sweep", "read in _unmark"),
        ("sweep too", ""),
    ],
    # The upload unmarked what was not marked yet, then waited for the sweep that was about to; it was marked all the same.
    (databases.SERVER, "upload, sweep of the same bytes"): [
        ("sweep", "UPDATE chunks SET"),
        ("sweep", "COMMIT"),
        ("upload", ""),
        ("sweep", ""),
    ],
    # The id was looked for among those of deleted images before the deletion was there, and taken once it was.
    (databases.SERVER, "delete, create under the same id"): [
        ("delete", "COMMIT"),
        ("create", ""),
        ("delete", ""),
    ],
}


@pytest.mark.parametrize(("stage", "name"), [each for each in SCRIPTS if each[0] in databases.KINDS], indirect=["stage"])
def test_order_that_once_failed_ends_well(stage: Stage, name: str) -> None:
    races.attempt(stage, RACES[name], scheduling.Script(list(SCRIPTS[stage.name, name])))


def test_upload_and_delete_never_deadlock(stage: Stage) -> None:
    """The one held its upload's row and wanted the image's, the other the other way round."""
    scheduling.systematic(lambda chooser: races.attempt(stage, RACES["upload, delete"], chooser), interruptions=1)
