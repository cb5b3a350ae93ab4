"""A sample of what `make fuzz` sends: each request is answered in time and none by a 5xx, and the service serves as before.

A failing run prints its seed; PARTAGE_FUZZ_SEED=<seed> repeats it.
"""

import pytest

from tests.api.personas import Cast
from tests.fuzz.attack import Tally, by_chance, seed_of_this_run
from tests.fuzz.service import still_serves


def attacked(cast: Cast, count: int) -> Tally:
    tally = by_chance(cast, count, seed=seed_of_this_run())
    print(tally.summary())
    assert tally.failures == []
    assert still_serves(cast.owner, cast.outsider) == []
    return tally


def test_1000_requests_by_chance(cast: Cast) -> None:
    tally = attacked(cast, 1000)
    assert {200, 201, 204, 400, 401, 403, 404, 405, 409} <= set(tally.statuses)
    assert tally.statuses["none"] < tally.count / 8


@pytest.mark.usefixtures("world_on_postgresql")
def test_300_requests_by_chance_on_postgresql(cast_on_postgresql: Cast) -> None:
    attacked(cast_on_postgresql, 300)
