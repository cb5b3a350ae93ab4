"""Recipients of offers, found in the real Keystone: by id always, by name as far as the operator lets owners."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from partage import problems
from partage.identity.keystone import connect
from partage.identity.projects import Projects
from partage.model.ids import ProjectID
from partage.model.offer import NamesResolved
from partage.operations.service import Service
from partage.operations.sharing import recipients
from tests.operations.services import OWNER, make
from tests.services import change_service
from tests.standalone import RunningKeystone

CALLER = replace(OWNER, project_domain_id="default")


@pytest.fixture
def service(keystone: RunningKeystone, tmp_path: Path) -> Service:
    return make(tmp_path, recipients=Projects(connect(keystone.credentials, system=True), seconds=0))


@pytest.fixture
def elsewhere(keystone: RunningKeystone) -> Iterator[str]:
    """Make a domain with a project of its own; return the project's id."""
    domain = keystone.call("POST", "/domains", {"domain": {"name": "elsewhere"}})["domain"]["id"]
    project = keystone.call("POST", "/projects", {"project": {"name": "theirs", "domain_id": domain}})["project"]["id"]
    yield project
    keystone.call("PATCH", f"/domains/{domain}", {"domain": {"enabled": False}})
    keystone.call("DELETE", f"/domains/{domain}")


def resolve(service: Service, *texts: str, names: NamesResolved = NamesResolved.OWN_DOMAIN) -> list[ProjectID | None]:
    found = recipients.resolve(change_service(service, names_resolved=names), CALLER, texts)
    return [None if isinstance(found[each], problems.Problem) else found[each] for each in texts]  # type: ignore[misc]


def test_ids_are_always_checked(service: Service, keystone: RunningKeystone, elsewhere: str) -> None:
    b = keystone.project_id("project-b")
    assert resolve(service, b, elsewhere, "0" * 32, "../users", names=NamesResolved.NONE) == [b, elsewhere, None, None]


def test_name_is_found_in_the_domain_of_the_caller(service: Service, keystone: RunningKeystone) -> None:
    b = keystone.project_id("project-b")
    assert resolve(service, "project-b", "default/project-b", "Default/project-b", "project-x", "/project-b") == [
        b,
        b,
        b,
        None,
        None,
    ]
    assert resolve(service, "project-b", "default/project-b", names=NamesResolved.NONE) == [None, None]


def test_names_of_other_domains_are_found_where_the_operator_wants_it(service: Service, elsewhere: str) -> None:
    texts = ("elsewhere/theirs", "theirs", "elsewhere/project-b", "nowhere/theirs")
    assert resolve(service, *texts) == [None] * 4
    assert resolve(service, *texts, names=NamesResolved.ALL) == [elsewhere, None, None, None]


def test_name_that_may_not_be_resolved_seems_not_to_exist(service: Service, elsewhere: str) -> None:
    assert elsewhere
    found = recipients.resolve(service, CALLER, ("elsewhere/theirs", "elsewhere/nobody"))
    there, absent = (str(each) for each in found.values())
    assert there.replace("theirs", "nobody") == absent


def test_unknown_recipient_is_named_in_the_problem(service: Service) -> None:
    found = recipients.resolve(service, CALLER, ("nobody",))["nobody"]
    assert "'nobody'" in str(found)
