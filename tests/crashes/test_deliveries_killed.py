"""kill -9 in the middle of deliveries to a webhook, at every call of the system that changes a file or sends a byte.

The next worker sends every event that was not acknowledged by the database, in order, and at most one of them again.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partage.model.image import NewImage
from partage.model.webhook import NewWebhook
from partage.operations import images
from partage.operations.sharing import webhooks
from partage.records import schema
from tests.crashes import worlds
from tests.unit.outbound import origins
from tests.webhook_receiver import Receiver, receive

ROOT = Path(__file__).parents[2]
NAMES = ["one", "two", "three"]
POINTS = 12
"""Without `-m slow`, spread evenly."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as found:
        yield found


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.crashes.delivering"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process


@pytest.fixture
def world(tmp_path: Path, receiver: Receiver) -> Path:
    """Make a webhook and three events that wait."""
    folder = tmp_path / "world"
    folder.mkdir()
    service = worlds.compose(folder, fetch=origins.rules(receiver.port, hides_failures=False))
    schema.upgrade(service.database)
    webhooks.create_webhook(service, worlds.OWNER, NewWebhook(url=receiver.url()))
    for name in NAMES:
        images.create_image(service, worlds.OWNER, NewImage(name=name))
    service.close()
    return folder


def deliver(
    worker: subprocess.Popen[str], folder: Path, receiver: Receiver, *, kill_at: int = 0, minutes: int = 0
) -> dict[str, Any]:
    assert worker.stdin
    assert worker.stdout
    request = {"folder": str(folder), "port": receiver.port, "kill_at": kill_at, "minutes": minutes}
    print(json.dumps(request), file=worker.stdin, flush=True)
    answer: dict[str, Any] = json.loads(worker.stdout.readline())
    if "refused" in answer:
        pytest.skip(answer["refused"])
    return answer


def names_of(receiver: Receiver) -> list[str]:
    return [each.event["data"]["data"]["name"] for each in receiver.messages]


def survive(worker: subprocess.Popen[str], world: Path, receiver: Receiver, point: int) -> None:
    folder = world.parent / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, folder)
    receiver.messages.clear()
    answer = deliver(worker, folder, receiver, kill_at=point)
    where = f"killed at {point}: {answer['calls'][-1] if answer['calls'] else 'nothing'}"
    assert answer["killed"], where
    assert deliver(worker, folder, receiver, minutes=3)["word"] == "done", where
    found = names_of(receiver)
    assert list(dict.fromkeys(found)) == NAMES, where
    assert len(found) <= len(NAMES) + 1, f"{where}: more than the event under way was sent again"


def list_points(worker: subprocess.Popen[str], world: Path, receiver: Receiver) -> range:
    folder = world.parent / "counted"
    shutil.copytree(world, folder)
    answer = deliver(worker, folder, receiver)
    assert (answer["word"], names_of(receiver)) == ("done", NAMES)
    assert any("socket:" in call for call in answer["calls"])
    return range(1, len(answer["calls"]) + 1)


def test_worker_killed_during_a_delivery_delivers_later(worker: subprocess.Popen[str], world: Path, receiver: Receiver) -> None:
    points = list_points(worker, world, receiver)
    assert len(points) > POINTS
    for number in range(POINTS):
        survive(worker, world, receiver, points[number * len(points) // POINTS])


@pytest.mark.slow
def test_worker_killed_at_every_point_of_deliveries(worker: subprocess.Popen[str], world: Path, receiver: Receiver) -> None:
    for point in list_points(worker, world, receiver):
        survive(worker, world, receiver, point)
