"""Unified limits as the real Keystone keeps them: whose count, for how long they are remembered, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from partage import problems
from partage.identity.keystone import connect
from partage.identity.limits import LimitScope, UnifiedLimits
from partage.main.process import listening
from partage.model.ids import ProjectID
from tests import registering
from tests.standalone import RunningKeystone

SIZE, COUNT = "image_size_total", "image_count_total"


@pytest.fixture
def registered(keystone: RunningKeystone) -> Iterator[registering.Registry]:
    with registering.registry(keystone, {SIZE: 10, COUNT: 3}) as made:
        yield made


def limits(keystone: RunningKeystone, seconds: float = 0, **whose: Any) -> UnifiedLimits:
    return UnifiedLimits(connect(keystone.credentials), LimitScope(**whose), seconds=seconds)


def test_a_projects_own_limit_wins_over_the_registered_one(keystone: RunningKeystone, registered: registering.Registry) -> None:
    mine, other = (ProjectID(keystone.project_id(name)) for name in ("project-a", "project-b"))
    registered.sets(mine, SIZE, 2)
    asked = limits(keystone)
    assert asked.find_limits(mine) == {SIZE: 2, COUNT: 3}
    assert asked.find_limits(other) == {SIZE: 10, COUNT: 3}
    registered.sets(mine, SIZE, -1)
    assert asked.find_limits(mine)[SIZE] == -1


def test_limits_are_remembered_for_seconds_unless_fresh_ones_are_wanted(
    keystone: RunningKeystone, registered: registering.Registry
) -> None:
    project = ProjectID(keystone.project_id("project-a"))
    now = [0.0]
    asked = UnifiedLimits(connect(keystone.credentials), LimitScope(), seconds=10, monotonic=lambda: now[0])
    assert asked.find_limits(project)[SIZE] == 10
    registered.sets(project, SIZE, 4)
    assert asked.find_limits(project)[SIZE] == 10
    assert asked.find_limits(project, fresh=True)[SIZE] == 4
    registered.sets(project, SIZE, 5)
    now[0] = 9.9
    assert asked.find_limits(project)[SIZE] == 4
    now[0] = 10.1
    assert asked.find_limits(project)[SIZE] == 5


def test_limits_of_another_service_do_not_count(keystone: RunningKeystone, registered: registering.Registry) -> None:
    assert registered
    project = ProjectID(keystone.project_id("project-a"))
    assert limits(keystone, service_type="identity").find_limits(project) == {}
    endpoint = keystone.call("GET", f"/endpoints?service_id={registered.service_id}&interface=public")["endpoints"][0]["id"]
    assert limits(keystone, endpoint_id=endpoint).find_limits(project)[SIZE] == 10
    assert limits(keystone, region="RegionOne").find_limits(project)[SIZE] == 10


@pytest.mark.parametrize("whose", [{"service_type": "volume"}, {"region": "nowhere"}, {"endpoint_id": "none"}])
def test_limits_without_a_matching_endpoint_are_unavailable(keystone: RunningKeystone, whose: dict[str, str]) -> None:
    with pytest.raises(problems.IdentityUnavailable, match="0 endpoints match them"):
        limits(keystone, **whose).find_limits(ProjectID("p"))


def test_unavailable_keystone_makes_limits_unavailable(keystone: RunningKeystone) -> None:
    nowhere = replace(keystone.credentials, url=f"http://127.0.0.1:{listening.find_free_port()}")
    stranger = replace(keystone.credentials, password="wrong")
    for credentials in (nowhere, stranger):
        asked = UnifiedLimits(connect(credentials), LimitScope(), seconds=10)
        for _ in range(2):
            with pytest.raises(problems.IdentityUnavailable, match="does not return the limits"):
                asked.find_limits(ProjectID("p"))
