"""A clock that a test can move, and a service with it whose shares have 30 days of notice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from partage.operations.service import Service
from tests import databases, postgresql
from tests.operations.services import Clock
from tests.operations.sharing_worlds import service_with


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock)


@pytest.fixture(params=databases.KINDS)
def service_of(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Service]:
    """A service on each kind of database."""
    with databases.serve(request.param, tmp_path) as url:
        yield service_with(tmp_path, clock, url=url)


@pytest.fixture
def on_postgresql(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    with postgresql.server() as url:
        yield service_with(tmp_path, clock, url=url)
