"""Fixtures of the race suite: one database of each kind, each with a world that is made anew for every race."""

from collections.abc import Iterator

import pytest

from tests import databases
from tests.races import stages


@pytest.fixture(scope="session", params=databases.KINDS)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stages.Stage]:
    """Give the place where races are acted."""
    folder = tmp_path_factory.mktemp("races")
    with databases.serve(request.param, folder) as url:
        made = {"sqlite": stages.SQLiteStage, "postgresql": stages.PostgreSQLStage, "mariadb": stages.MariaDBStage}[request.param]
        acting = made(url, folder)
        yield acting
        acting.close()
