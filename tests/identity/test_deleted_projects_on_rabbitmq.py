"""A project that is deleted in a real Keystone is closed here: Keystone's own notification over a real RabbitMQ."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from partage import problems
from partage.identity.keystone import connect
from partage.identity.projects import Projects
from partage.main.composition.listening import build_listener
from partage.main.configuration.listener_settings import ListenerSettings
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.operations import images
from partage.operations.service import Service
from partage.operations.sharing import closing
from tests import rabbitmq, standalone
from tests.operations.services import image_with, make

pytestmark = rabbitmq.MARKS
PROGRAM = Path(__file__).with_name("notifying_keystone.py")


@pytest.fixture(scope="module")
def broker() -> Iterator[rabbitmq.Broker]:
    """Run a RabbitMQ for this module."""
    with rabbitmq.broker() as running:
        yield running


@pytest.fixture(scope="module")
def stopped_keystone(tmp_path_factory: pytest.TempPathFactory) -> standalone.RunningKeystone:
    """Make a Keystone that does not run any more."""
    with standalone.keystone(tmp_path_factory.mktemp("notifying")) as made:
        return made


@contextmanager
def run_notifying(
    stopped_keystone: standalone.RunningKeystone, url: str, notification_format: str
) -> Iterator[standalone.RunningKeystone]:
    """Run that Keystone with notifications, configured as its documentation says."""
    home = stopped_keystone.kept.directory / "keystone"
    file = home / "notifications.conf"
    file.write_text(
        f"[DEFAULT]\nnotification_format = {notification_format}\n"
        f"[oslo_messaging_notifications]\ndriver = messagingv2\ntransport_url = {url}\n"
    )
    command = [sys.executable, "-W", "ignore", PROGRAM, str(stopped_keystone.kept.keystone_port), home / "keystone.conf", file]
    with (
        (home / "notifying.log").open("a") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", (home / "notifying.log").read_text()
        try:
            yield standalone.RunningKeystone(stopped_keystone.kept)
        finally:
            process.terminate()


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def somebody_of(project: ProjectID) -> Caller:
    return Caller(user_id=UserID("u"), project_id=project, roles=frozenset({"member", "reader"}))


def has_image(service: Service, project: ProjectID, image_id: ImageID) -> bool:
    try:
        images.show_image(service, somebody_of(project), image_id)
    except problems.ImageNotFound:
        return False
    return True


def carry_out_due(service: Service) -> bool:
    """Carry out a closing, as a worker does: while Keystone does not respond, it stays due."""
    try:
        return closing.carry_out_due(service)
    except problems.IdentityUnavailable:
        return False


@pytest.mark.parametrize("notification_format", ["basic", "cadf"])
def test_project_is_closed_when_keystone_says_that_it_was_deleted(
    notification_format: str, broker: rabbitmq.Broker, stopped_keystone: standalone.RunningKeystone, tmp_path: Path
) -> None:
    def create_project() -> ProjectID:
        made = keystone.call("POST", "/projects", {"project": {"name": f"leaver-{uuid4()}"}})
        return ProjectID(made["project"]["id"])

    def close_deleted() -> bool:
        """Delete a project; return whether the service has closed any since the last time, as a worker does it."""
        keystone.call("DELETE", f"/projects/{create_project()}")
        return carry_out_due(service)

    settings = ListenerSettings(transport_url=SecretStr(broker.url), pool=f"partage-{uuid4()}")
    with run_notifying(stopped_keystone, broker.url, notification_format) as keystone:
        recipients = Projects(connect(keystone.credentials, system=True), seconds=0)
        service = make(tmp_path, clock=lambda: datetime.now(UTC), recipients=recipients, tokens_cached=timedelta(0))
        stays, leaves = create_project(), create_project()
        kept, deleted = (image_with(service, b"data", somebody_of(each)).id for each in (stays, leaves))
        with build_listener(settings, service):
            # The queue exists as soon as the listener has connected: until then messages go nowhere.
            wait_for(close_deleted)
            keystone.call("PATCH", f"/projects/{stays}", {"project": {"enabled": False}})
            keystone.call("DELETE", f"/projects/{leaves}")
            wait_for(lambda: [carry_out_due(service), not has_image(service, leaves, deleted)][1])
            assert has_image(service, stays, kept)
        service.close()
