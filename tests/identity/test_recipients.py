"""Recipients of offers, found in the real Keystone: by id always, by name as far as the operator lets owners."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from partage import problems
from partage.identity.keystone import connect
from partage.identity.projects import MOST_LOOKUPS, Projects
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID
from partage.model.offer import NamesResolved, OfferRequest
from partage.model.terms import TermsChange
from partage.operations.service import Service
from partage.operations.sharing import names, offers, recipients
from tests.operations.services import OWNER, make, queued_image
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


class Counting:
    """The connection to Keystone, with a count of its requests and a clock that a test sets."""

    def __init__(self, keystone: RunningKeystone) -> None:
        self.connection = connect(keystone.credentials, system=True)
        self.paths: list[str] = []
        self.now = 0.0
        self.seconds_each = 0.0

    def get(self, path: str, **more: Any) -> Any:
        """Count a request and send it."""
        self.paths.append(path)
        self.now += self.seconds_each
        return self.connection.get(path, **more)

    def build(self, folder: Path, seconds: float = 60) -> Service:
        """Make a service that looks recipients up over this connection."""
        found = Projects(cast("Any", self), seconds=seconds, monotonic=lambda: self.now)
        return make(folder, recipients=found, names_resolved=NamesResolved.ALL)


@pytest.fixture
def counting(keystone: RunningKeystone) -> Counting:
    return Counting(keystone)


@pytest.fixture
def many(keystone: RunningKeystone) -> Iterator[list[tuple[str, str]]]:
    """Make projects in the caller's domain; return their names and ids."""
    made = []
    for number in range(6):
        project = keystone.call("POST", "/projects", {"project": {"name": f"many-{number}", "domain_id": "default"}})["project"]
        made.append((project["name"], project["id"]))
    yield made
    for _, project_id in made:
        keystone.call("DELETE", f"/projects/{project_id}")


def test_projects_of_one_domain_need_one_look_up(counting: Counting, many: list[tuple[str, str]], tmp_path: Path) -> None:
    """Each name needed two requests of a tenth of a second, one after the other."""
    service = counting.build(tmp_path)
    texts = [*(name for name, _ in many[:3]), *(project_id for _, project_id in many[3:])]
    found = recipients.resolve(service, CALLER, texts)
    assert [*found.values()] == [project_id for _, project_id in many]
    assert counting.paths == ["/projects"]
    known = names.find_names(service, CALLER, [ProjectID(project_id) for _, project_id in many[3:]])
    assert sorted(known.values()) == ["many-3", "many-4", "many-5"]
    assert counting.paths == ["/projects"]


def test_unknown_names_need_a_bounded_number_of_look_ups(counting: Counting, tmp_path: Path) -> None:
    service = counting.build(tmp_path)
    with pytest.raises(problems.TooMany, match="name fewer projects"):
        recipients.resolve(service, CALLER, [f"nobody-{number}" for number in range(200)])
    assert len(counting.paths) == MOST_LOOKUPS


def test_names_that_were_not_found_are_cached_shortly(counting: Counting, tmp_path: Path) -> None:
    service = counting.build(tmp_path)
    for now, lookups in ((0.0, 2), (9.9, 2), (10.1, 4), (10.2, 4)):
        counting.now = now
        assert isinstance(recipients.resolve(service, CALLER, ["nobody"])["nobody"], problems.RecipientNotFound)
        assert len(counting.paths) == lookups


def test_request_has_a_bounded_time_for_its_look_ups(counting: Counting, tmp_path: Path) -> None:
    service = counting.build(tmp_path)
    counting.seconds_each = 4.0
    with pytest.raises(problems.IdentityUnavailable, match="more than 10 seconds"):
        recipients.resolve(service, CALLER, [f"nobody-{number}" for number in range(9)])
    assert len(counting.paths) == 3


def test_domain_of_many_projects_is_not_read(
    counting: Counting, many: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("partage.identity.projects.LARGEST_DOMAIN", 5)
    service = counting.build(tmp_path)
    for _ in range(2):
        found = recipients.resolve(service, CALLER, [name for name, _ in many])
        assert [*found.values()] == [project_id for _, project_id in many]
    assert len(counting.paths) == 1 + len(many)


def offer(service: Service, caller: Caller, *image_ids: str) -> list[str]:
    request = OfferRequest(
        image_ids=tuple(ImageID(each) for each in image_ids), projects=("nobody",), terms=TermsChange(), all_or_nothing=False
    )
    kinds: list[str] = []
    offers.offer_shares(
        service, caller, request, key=None, render=lambda found: kinds.extend(type(each.problem).__name__ for each in found) or ""
    )
    return kinds


def test_images_are_checked_before_keystone_is_asked(counting: Counting, tmp_path: Path) -> None:
    """Every project could make this service ask Keystone, for images that are not there or not its own."""
    service = counting.build(tmp_path)
    mine, theirs = queued_image(service), queued_image(service, replace(CALLER, project_id=ProjectID("Z")))
    assert offer(service, CALLER, theirs.id, "missing") == ["ImageNotFound"] * 2
    assert counting.paths == []
    assert offer(service, CALLER, theirs.id, mine.id) == ["ImageNotFound", "RecipientNotFound"]
    assert counting.paths != []


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
