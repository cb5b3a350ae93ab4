"""Health as Glance's middleware answers it, and readiness: which dependency is missing."""

import itertools
import logging
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import webob
from oslo_middleware.healthcheck import Healthcheck

from partage import problems
from partage.operations import readiness
from partage.operations.readiness import LATE_SECONDS, Readiness
from tests.api.conftest import World, make_service, serving

NAMES = ("database", "stores", "identity")


@pytest.fixture
def switch(tmp_path: Path) -> Path:
    return tmp_path / "disabled"


@pytest.fixture
def states() -> Readiness:
    return Readiness(NAMES)


@pytest.fixture
def healthy(identity: Any, tmp_path: Path, switch: Path, states: Readiness) -> Iterator[World]:
    service, rules = make_service(tmp_path / "service")
    with serving(service, identity, rules, tmp_path / "service", disabled_by=switch, readiness=states) as running:
        yield running
    service.close()


FORMS = ("text/plain", "application/json", "application/xml", "application/json;q=0.1,text/plain")


@pytest.mark.parametrize(("method", "is_disabled"), itertools.product(("GET", "HEAD", "POST", "DELETE"), (False, True)))
def test_health_is_that_of_the_middleware_of_glance(healthy: World, switch: Path, method: str, *, is_disabled: bool) -> None:
    if is_disabled:
        switch.touch()
    theirs_app = Healthcheck.app_factory({}, backends="disable_by_file", disable_by_file_path=str(switch))
    for accept in FORMS:
        asked = webob.Request.blank("/healthcheck", method=method, headers={"Accept": accept})
        theirs = asked.get_response(theirs_app)
        ours = requests.request(method, f"{healthy.endpoint}/healthcheck", headers={"Accept": accept}, timeout=60)
        assert ours.status_code == theirs.status_int == ((200 if method != "HEAD" else 204) if not is_disabled else 503)
        if theirs.content_type == "application/json":
            assert ours.json() == theirs.json
        else:
            assert ours.content == theirs.body


def readiness_of(world: World) -> tuple[int, dict[str, Any]]:
    answer = requests.get(f"{world.endpoint}/readiness", timeout=60)
    return answer.status_code, answer.json()


def test_readiness_names_the_missing_dependency_and_since_when(
    healthy: World, states: Readiness, caplog: pytest.LogCaptureFixture
) -> None:
    assert readiness_of(healthy)[0] == 200
    store = healthy.folder / "store"
    shutil.rmtree(store)
    store.write_text("no directory, planted")
    for name, act in (("database", readiness.check_database), ("stores", readiness.check_stores)):
        states.check(name, lambda act=act: act(healthy.service))  # type: ignore[misc]
    status, document = readiness_of(healthy)
    assert status == 503
    assert document["ready"] is False
    assert {each["name"]: each["ready"] for each in document["dependencies"]} == {
        "database": True,
        "stores": False,
        "identity": True,
    }
    (missing,) = [each for each in document["dependencies"] if not each["ready"]]
    assert datetime.fromisoformat(missing["since"]) <= healthy.service.clock()
    assert str(store) not in str(document)
    (line,) = [each.getMessage() for each in caplog.records if "is missing" in each.getMessage()]
    assert "the stores is missing: StoreUnavailable" in line
    store.unlink()


def test_check_logs_a_change_once_and_the_return(states: Readiness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    def fail() -> None:
        raise problems.DatabaseUnavailable("away")

    for act in (fail, fail, fail, lambda: None, lambda: None):
        states.check("database", act)
    said = [each.getMessage() for each in caplog.records]
    assert [words.partition(":")[0] for words in said] == ["the database is missing", "the database is there again after 0 s"]


def test_dependency_whose_check_hangs_is_missing() -> None:
    now = [1000.0]
    states = Readiness(NAMES, monotonic=lambda: now[0])
    now[0] += LATE_SECONDS - 1
    states.check("database", lambda: None)
    assert all(each.is_ready for each in states.report())
    now[0] += 2
    assert {each.name: each.is_ready for each in states.report()} == {"database": True, "stores": False, "identity": False}


def test_store_without_its_identity_is_missing(healthy: World) -> None:
    with pytest.raises(problems.StoreUnavailable, match="may not be mounted"):
        readiness.check_stores(healthy.service)
