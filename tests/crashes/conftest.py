"""Fixtures of the crash suite. `pytest -m slow` runs it at every point; without, at some points of every operation."""

from collections.abc import Iterator

import pytest

from tests import databases
from tests.crashes import acts


@pytest.fixture(scope="session")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[acts.Server]:
    """Give the program that acts on copies of one world, is killed, and looks at what is left."""
    if "sqlite" not in databases.KINDS:
        pytest.skip("on SQLite")
    with acts.server(tmp_path_factory.mktemp("crashes")) as running:
        yield running


@pytest.fixture(scope="session")
def actors_on_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[acts.Server]:
    """Give the same on a server."""
    with databases.serve_server() as url, acts.server(tmp_path_factory.mktemp("crashes"), url) as running:
        yield running
