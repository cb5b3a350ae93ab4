"""Which projects there are, as the real Keystone knows them; and members that are checked with it."""

import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import adapter, session

from partage import problems
from partage.identity.keystone import connect
from partage.identity.projects import Projects
from partage.main.process import listening
from partage.model.closing import ProjectState
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, Visibility
from partage.operations import members
from partage.operations.service import Service
from partage.records import images as image_rows
from tests.operations.services import OWNER, make
from tests.standalone import RunningKeystone

NOBODY = ProjectID("0" * 32)


def projects(keystone: RunningKeystone, seconds: float = 0, **changed: Any) -> Projects:
    return Projects(connect(replace(keystone.credentials, **changed), system=True), seconds=seconds)


def test_existing_project_is_distinguished_from_a_missing_one(keystone: RunningKeystone) -> None:
    asked = projects(keystone)
    assert asked.has(ProjectID(keystone.project_id("project-b")))
    assert not asked.has(NOBODY)
    for odd in ("project-b", "..", "../users", "a/b", "%2e%2e", "?x", "", "x" * 255, f"{NOBODY}\n", "é"):
        assert not asked.has(ProjectID(odd))


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000"])
def test_no_project_and_no_domain_has_a_blank_name(keystone: RunningKeystone, blank: str) -> None:
    search = projects(keystone).search(None)
    assert search.find_by_name(blank, "default") is None
    assert search.find_domain(blank) is None


def test_disabled_project_exists(keystone: RunningKeystone) -> None:
    made = keystone.call("POST", "/projects", {"project": {"name": "asleep", "enabled": False}})["project"]["id"]
    try:
        assert projects(keystone).has(ProjectID(made))
    finally:
        keystone.call("DELETE", f"/projects/{made}")


def test_state_of_a_project_is_read_anew_each_time(keystone: RunningKeystone) -> None:
    asked = projects(keystone, seconds=1000)
    made = ProjectID(keystone.call("POST", "/projects", {"project": {"name": "closing"}})["project"]["id"])
    assert asked.read_state(made) is ProjectState.ENABLED
    keystone.call("PATCH", f"/projects/{made}", {"project": {"enabled": False}})
    assert asked.read_state(made) is ProjectState.DISABLED
    keystone.call("DELETE", f"/projects/{made}")
    assert asked.read_state(made) is asked.read_state(ProjectID("../users")) is ProjectState.ABSENT


@pytest.mark.parametrize("body", [b"<html>no such page</html>", b'{"error": {"code": 503}}', b"[]"])
def test_404_that_is_not_of_keystone_says_nothing_of_a_project(body: bytes) -> None:
    """A load balancer without a backend answers 404 too; every image of the project would be deleted."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked = Projects(adapter.Adapter(session.Session(), endpoint_override=f"http://127.0.0.1:{server.server_port}"), seconds=0)
    with pytest.raises(problems.IdentityUnavailable, match="does not respond to the check"):
        asked.read_state(NOBODY)
    server.shutdown()
    server.server_close()


def test_answers_are_remembered_for_seconds(keystone: RunningKeystone) -> None:
    now = [0.0]
    asked = Projects(connect(keystone.credentials, system=True), seconds=10, monotonic=lambda: now[0])
    made = ProjectID(keystone.call("POST", "/projects", {"project": {"name": "passing"}})["project"]["id"])
    assert asked.has(made)
    keystone.call("DELETE", f"/projects/{made}")
    now[0] = 9.9
    assert asked.has(made)
    now[0] = 10.1
    assert not asked.has(made)


def test_account_that_may_not_read_projects_is_the_operators_fault(keystone: RunningKeystone) -> None:
    other = connect(keystone.credentials)  # the account under the scope of its project
    with pytest.raises(problems.IdentityUnavailable, match="system role reader"):
        Projects(other, seconds=0).has(ProjectID(keystone.project_id("project-b")))
    with pytest.raises(problems.IdentityUnavailable, match="system role reader"):
        projects(keystone, password="wrong").has(NOBODY)


def test_unavailable_keystone_is_an_error_not_a_guess(keystone: RunningKeystone) -> None:
    away = projects(keystone, url=f"http://127.0.0.1:{listening.find_free_port()}")
    with pytest.raises(problems.IdentityUnavailable, match="does not respond to the check"):
        away.has(NOBODY)


def test_keystone_that_hangs_holds_few_threads(keystone: RunningKeystone) -> None:
    """Every further question is refused at once."""
    release = threading.Event()

    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            release.wait(60)

    server = HTTPServer(("127.0.0.1", 0), Hanging)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked = projects(keystone, url=f"http://127.0.0.1:{server.server_port}", timeout_seconds=30.0)
    refused: list[float] = []

    def ask() -> None:
        with pytest.raises(problems.IdentityUnavailable):
            asked.has(NOBODY)
        refused.append(time.monotonic())

    askers = [threading.Thread(target=ask) for _ in range(20)]
    for each in askers:
        each.start()
    deadline = time.monotonic() + 20
    while len(refused) < 16 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(refused) == 16  # two ask, two wait
    release.set()
    server.shutdown()
    server.server_close()
    for each in askers:
        each.join(60)


@pytest.fixture
def checked(keystone: RunningKeystone, tmp_path: Path) -> Service:
    return make(tmp_path, projects=projects(keystone))


def shared(service: Service, visibility: Visibility = Visibility.SHARED) -> ImageID:
    now = service.clock()
    image = Image(id=ImageID(service.new_id()), owner=OWNER.project_id, created_at=now, updated_at=now, visibility=visibility)
    with service.database.write() as tx:
        image_rows.add(tx, image)
    return image.id


def test_members_are_checked_where_the_operator_wants_it(checked: Service, keystone: RunningKeystone) -> None:
    image, b = shared(checked), ProjectID(keystone.project_id("project-b"))
    assert members.add_member(checked, OWNER, image, b).status == "pending"
    for nobody in (NOBODY, ProjectID("project-b")):
        with pytest.raises(problems.BodyInvalid, match=f"There is no project with the id {nobody}"):
            members.add_member(checked, OWNER, image, nobody)
    assert OWNER.project_id is not None
    with pytest.raises(problems.BodyInvalid, match="an image is shared with other projects"):
        members.add_member(checked, OWNER, image, OWNER.project_id)
    assert [each.member_id for each in members.list_members(checked, OWNER, image)] == [b]


def test_only_callers_who_may_add_members_learn_of_projects(checked: Service) -> None:
    stranger = replace(OWNER, project_id=ProjectID("another"))
    with pytest.raises(problems.ImageNotFound):
        members.add_member(checked, stranger, shared(checked), NOBODY)
    with pytest.raises(problems.PolicyForbids):
        members.add_member(checked, replace(OWNER, roles=frozenset({"reader"})), shared(checked), NOBODY)
    with pytest.raises(problems.ImageNotShared):
        members.add_member(checked, OWNER, shared(checked, Visibility.PRIVATE), NOBODY)


def test_members_are_not_checked_unless_the_operator_wants_it(tmp_path: Path) -> None:
    service = make(tmp_path)
    assert OWNER.project_id is not None
    for anybody in (NOBODY, ProjectID("a name"), OWNER.project_id):
        assert members.add_member(service, OWNER, shared(service), anybody).member_id == anybody
