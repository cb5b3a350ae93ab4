"""Fixtures for every suite: the real Keystone, and the whole of `partage up`. Each is started once, when first asked for."""

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases, standalone

pytest_plugins = ("tests.object_stores.fixtures",)


def pytest_configure() -> None:
    """Let a database connection that nobody closed fail the run, whichever Python it is."""
    databases.watch()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked slow out, unless the command line speaks of them."""
    if "slow" in config.getoption("-m"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))


@pytest.fixture(autouse=True)
def _the_same_chance_every_time(request: pytest.FixtureRequest) -> None:
    """Let a test that samples draw the same sample in every run; PARTAGE_TEST_SEED=anything draws others."""
    random.seed(f"{os.environ.get('PARTAGE_TEST_SEED', '')} {request.node.nodeid}")


@pytest.fixture(scope="session", autouse=True)
def _databases_of_the_run_are_closed() -> Iterator[None]:
    """Close what fixtures of a wide scope opened, after them; nothing may be open then."""
    with databases.scope():
        yield
    gc.collect()
    assert not databases.list_open()


@pytest.fixture(autouse=True)
def _databases_of_a_test_are_closed() -> Iterator[None]:
    """Close what a test opened, after it and after its other fixtures."""
    with databases.scope():
        yield


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[standalone.RunningKeystone]:
    """Give a real Keystone: .url, .admin_password, .token(user, project), .project_id(name), .add_user(...), .revoke(token)."""
    with standalone.keystone(tmp_path_factory.mktemp("keystone")) as running:
        yield running


@pytest.fixture(scope="session")
def live_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[standalone.LiveService]:
    """Give a running `partage up`: .image_url, .identity_url, .clouds_file, .keystone, .openstack(cloud, *arguments)."""
    directory: Path = tmp_path_factory.mktemp("live") / "data"
    with standalone.up(directory) as running:
        yield running
