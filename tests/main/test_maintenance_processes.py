"""Real workers on one database share the maintenance jobs; one that is killed in the middle of a run is replaced."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from partage.model.maintenance import MaintenanceJob, MaintenanceState, Outcome
from partage.operations import images, maintenance
from partage.operations.service import Service
from partage.stores import layout
from tests.operations.services import OWNER, image_with, make
from tests.standalone import PARTAGE

PATIENCE_SECONDS = 120
IMAGES, SIZE = 12, 300_000


def wait_for(condition: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@contextmanager
def working(data: Path, log: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run a `partage worker` on that data."""
    given = {f"PARTAGE_MAINTENANCE__{name.upper()}": value for name, value in settings.items()}
    environment = {**os.environ, "PARTAGE_DATA": str(data), **given}
    with log.open("w") as file, subprocess.Popen([PARTAGE, "worker"], env=environment, stderr=file, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make(tmp_path / "data")


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(SIZE)


def find_state(service: Service, job: MaintenanceJob) -> MaintenanceState:
    found = [each for each in maintenance.list_states(service) if each.job is job]
    return found[0] if found else MaintenanceState(job=job)


def stored_files(data: Path) -> list[Path]:
    return [each for each in (data / "store" / layout.PACKS).rglob("*") if each.is_file()]


def test_worker_sweeps_by_itself(service: Service, tmp_path: Path) -> None:
    images.delete_image(service, OWNER, image_with(service, noise(1)).id)
    data = tmp_path / "data"
    os.environ["PARTAGE_SWEEP_GRACE_SECONDS"] = "0"
    try:
        with working(data, tmp_path / "log", sweep_interval_seconds="1"):
            wait_for(lambda: not stored_files(data))
    finally:
        del os.environ["PARTAGE_SWEEP_GRACE_SECONDS"]
    assert "sweep ended after" in (tmp_path / "log").read_text()


def test_sweep_that_is_switched_off_never_runs(service: Service, tmp_path: Path) -> None:
    with working(tmp_path / "data", tmp_path / "log", sweep_interval_seconds="0", expiry_interval_seconds="1"):
        wait_for(lambda: find_state(service, MaintenanceJob.EXPIRY).runs)
    assert find_state(service, MaintenanceJob.SWEEP).due_at is None


def test_killed_run_goes_on_in_another_process_and_repeats_nothing(service: Service, tmp_path: Path) -> None:
    """Two workers; the process that verifies is killed after the first image, which is damaged, was recorded."""
    data = tmp_path / "data"
    made = [image_with(service, noise(seed)) for seed in range(IMAGES)]
    first = next(each for each in stored_files(data) if noise(0)[:64] in each.read_bytes())
    stored = first.read_bytes()
    first.chmod(0o600)
    first.write_bytes(stored.replace(noise(0)[:64], bytes(64)))
    logs = [tmp_path / "one", tmp_path / "two"]
    paced = {"verify_interval_seconds": "1", "verify_bytes_per_second": str(SIZE)}

    def state() -> MaintenanceState:
        return find_state(service, MaintenanceJob.VERIFY)

    with ExitStack() as stack:
        for log in logs:
            stack.enter_context(working(data, log, **paced))
        wait_for(lambda: state().cursor)
        killed = state().worker or ""
        os.kill(int(killed.split(":")[1]), signal.SIGKILL)
        wait_for(lambda: state().outcome is Outcome.SUCCESS)
        ended = state()
    written = "".join(log.read_text() for log in logs)
    assert ended.report == {"contents": IMAGES, "bytes": IMAGES * SIZE, "damaged": 1, "images": [made[0].id]}
    assert ended.worker != killed
    assert ended.runs == 2
    assert written.count(f"of image {made[0].id} is damaged") == 1
    assert written.count("verify: its process") == 1
