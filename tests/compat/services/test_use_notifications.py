"""Uses learned from Nova's and Cinder's own notifications over a real RabbitMQ, beside another consumer that loses none.

PARTAGE_COMPAT_SERVICES names the virtual environment that has Nova and Cinder; `make compat` makes it.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from partage.main.composition.listening import build_listener
from partage.main.configuration.listener_settings import ListenerSettings
from partage.model.ids import ImageID, ProjectID
from partage.operations.service import Service
from partage.records import uses
from tests import rabbitmq
from tests.api.listening import listening
from tests.operations.services import make, queued_image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not rabbitmq.SERVER.exists(), reason="apt-get install rabbitmq-server"),
]
HERE = Path(__file__).parent
PROJECT = ProjectID("b" * 32)
FORMATS = ("versioned", "unversioned", "both")


@pytest.fixture(scope="module")
def broker() -> Iterator[rabbitmq.Broker]:
    """Run a RabbitMQ for this module."""
    with rabbitmq.broker() as running:
        yield running


@dataclass(frozen=True)
class Sender:
    """A process of Nova or Cinder that sends notifications."""

    process: subprocess.Popen[str]

    def __call__(self, **asked: str) -> None:
        """Send the notification of an action that has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"project": PROJECT, **asked}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "sent\n"


@contextmanager
def sending(python: Path, program: str, configuration: str, folder: Path) -> Iterator[Sender]:
    """Run a program of this folder that sends notifications."""
    file = folder / f"{program}.conf"
    file.write_text(configuration)
    with (folder / f"{program}.log").open("w") as log:
        process = subprocess.Popen(
            [python, "-W", "ignore", HERE / program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        yield Sender(process)
        assert process.stdin is not None
        process.stdin.close()


def configure(url: str, more: str = "") -> str:
    return f"[DEFAULT]\ntransport_url = {url}\n[oslo_messaging_notifications]\ndriver = messagingv2\n{more}"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Compose a service."""
    service = make(tmp_path, clock=lambda: datetime.now(UTC))
    yield service
    service.close()


@contextmanager
def learning_from(service: Service, url: str) -> Iterator[None]:
    """Learn uses as `partage worker` does."""
    with build_listener(ListenerSettings(transport_url=SecretStr(url)), service):
        yield


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def is_using(service: Service, image_id: ImageID) -> bool:
    with service.database.read() as tx:
        return uses.has_any(tx, image_id, PROJECT)


@pytest.mark.parametrize("notification_format", FORMATS)
def test_uses_follow_the_life_of_a_server(
    notification_format: str,
    python: Path,
    broker: rabbitmq.Broker,
    service: Service,
    tmp_path: Path,
) -> None:
    first, second = queued_image(service).id, queued_image(service).id
    server = str(uuid4())
    configuration = configure(
        broker.url, f"[notifications]\nnotification_format = {notification_format}\n[glance]\napi_servers = http://image:9292\n"
    )
    with ExitStack() as stack:
        stack.enter_context(learning_from(service, broker.url))
        notify = stack.enter_context(sending(python, "nova_notifying.py", configuration, tmp_path))
        # The queue exists as soon as the listener has connected: until then messages go nowhere.
        wait_for(lambda: [notify(server=server, image=first, action="create"), is_using(service, first)][1])
        for action in ("resize_finish", "shelve_offload", "unshelve"):
            notify(server=server, image=first, action=action)
        notify(server=server, image=second, action="rebuild")
        wait_for(lambda: is_using(service, second) and not is_using(service, first))
        notify(server=server, image=second, action="delete")
        wait_for(lambda: not is_using(service, second))
        notify(server=server, image=second, action="create")
        other = str(uuid4())
        notify(server=other, image=first, action="create")
        wait_for(lambda: is_using(service, first))
        assert not is_using(service, second)


def test_uses_follow_volumes_and_other_consumers_lose_nothing(
    python: Path,
    broker: rabbitmq.Broker,
    service: Service,
    tmp_path: Path,
) -> None:
    image = queued_image(service).id
    database = f"[database]\nconnection = sqlite:///{tmp_path}/cinder.db\n"
    with ExitStack() as stack:
        stack.enter_context(learning_from(service, broker.url))
        other = stack.enter_context(listening(broker.url, exchange="cinder"))
        notify = stack.enter_context(sending(python, "cinder_notifying.py", configure(broker.url, database), tmp_path))
        volumes: list[str] = []

        def create() -> bool:
            volumes.append(str(uuid4()))
            notify(volume=volumes[-1], image=image, action="create")
            return is_using(service, image)

        wait_for(create)
        notify(volume=str(uuid4()), image="", action="create")
        for volume in volumes:
            notify(volume=volume, image=image, action="delete")
        wait_for(lambda: not is_using(service, image))
        heard = other.until("volume.delete.end")
    # The other consumer's queue has the notifications of all services.
    assert [each.payload["volume_id"] for each in heard if each.event == "volume.delete.end"] == volumes
