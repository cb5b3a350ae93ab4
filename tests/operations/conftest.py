"""A clock that a test can move, and a service with it whose shares have 30 days of notice."""

from pathlib import Path

import pytest

from partage.operations.service import Service
from tests.operations.services import Clock
from tests.operations.sharing_worlds import service_with


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Service:
    return service_with(tmp_path, clock)
