"""Fixtures of the race suite: both databases, each with a world that is made anew for every race."""

from collections.abc import Iterator

import pytest

from tests import postgresql
from tests.races import stages


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stages.Stage]:
    """Give the place where races are acted."""
    folder = tmp_path_factory.mktemp("races")
    if request.param == "sqlite":
        on_file = stages.SQLiteStage(folder)
        yield on_file
        on_file.close()
        return
    with postgresql.server() as url:
        on_server = stages.PostgreSQLStage(url, folder)
        yield on_server
        on_server.close()
