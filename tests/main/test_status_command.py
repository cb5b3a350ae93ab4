"""`partage manage status`: what an operator sees on one screen, and a program in JSON."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import partage
from partage.main.process import liveness
from partage.model.maintenance import MaintenanceJob, MaintenanceState
from partage.model.process_state import ProcessState, Purpose
from partage.records import maintenance, processes, uploads
from partage.records.uploads import UploadRow
from tests import databases
from tests.operations import services
from tests.standalone import PARTAGE


def run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PARTAGE, "manage", "status", "--data", str(data), *arguments]
    return subprocess.run(command, env={**os.environ}, text=True, capture_output=True, check=False)


def prepare_data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    subprocess.run(
        [PARTAGE, "manage", "upgrade-database"], env={**os.environ, "PARTAGE_DATA": str(data)}, check=True, capture_output=True
    )
    return data


def test_status_fits_one_screen_of_80_columns(tmp_path: Path) -> None:
    done = run(prepare_data(tmp_path))
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert 8 <= len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Partage ")
    assert "Sweep                never" in lines


def test_status_names_the_process_that_did_maintenance_last(tmp_path: Path) -> None:
    data = prepare_data(tmp_path)
    assert "Maintained by        no process yet" in run(data).stdout.splitlines()
    (tmp_path / "other").mkdir()
    service = services.make(tmp_path / "other", database=databases.open_database(f"sqlite:///{data}/partage.db"))
    now, worker = service.clock(), liveness.name_own_process()
    planned = MaintenanceState(job=MaintenanceJob.EXPIRY)
    with service.database.write() as tx:
        maintenance.add(tx, planned.start(token="t", worker=worker, now=now).succeed({}, interval=timedelta(minutes=1), now=now))
    found = json.loads(run(data, "--json").stdout)["maintainer"]
    assert (found["worker"], found["lives"]) == (worker, True)
    (line,) = [each for each in run(data).stdout.splitlines() if each.startswith("Maintained by")]
    assert re.fullmatch(r"Maintained by        \S+, lives, seen \d+ \w+ ago", line)


def test_status_as_json_has_every_part(tmp_path: Path) -> None:
    document = json.loads(run(prepare_data(tmp_path), "--json").stdout)
    assert set(document) == {
        "version",
        "database",
        "schema",
        "at",
        "work",
        "sizes",
        "stores",
        "processes",
        "workers",
        "maintainer",
        "maintenance",
        "taken_over",
    }
    assert document["work"]["tasks"] == {"pending": 0, "processing": 0, "success": 0, "failure": 0}
    assert document["sizes"]["stored_bytes"] == {"local": 0}
    assert document["stores"] == [{"id": "local", "type": "posix", "read_only": False, "problem": ""}]


def test_missing_store_is_named_and_the_status_is_1(tmp_path: Path) -> None:
    data = prepare_data(tmp_path)
    swept = subprocess.run([PARTAGE, "manage", "sweep", "--data", str(data)], capture_output=True, text=True, check=False)
    assert swept.returncode == 0, swept.stderr  # the first use of the store gives it its identity
    (job,) = json.loads(run(data, "--json").stdout)["maintenance"]
    assert (job["job"], job["outcome"], job["runs"], job["token"]) == ("sweep", "success", 1, None)
    assert "Sweep                0 s ago" in run(data).stdout or " s ago, next in " in run(data).stdout
    shutil.rmtree(data / "store")
    (data / "store").mkdir()
    done = run(data)
    assert done.returncode == 1
    assert "MISSING" in done.stdout
    assert "is it mounted?" in done.stdout


def test_worker_that_died_with_an_upload_is_shown_as_dead(tmp_path: Path) -> None:
    data = prepare_data(tmp_path)
    (tmp_path / "other").mkdir()
    service = services.make(tmp_path / "other", database=databases.open_database(f"sqlite:///{data}/partage.db"))
    image = services.queued_image(service)
    dead = liveness.name_own_process().rpartition(":")[0] + ":1"  # the start time is another, so the pid was reused
    with service.database.write() as tx:
        uploads.begin(tx, UploadRow(image.id, "token", dead, service.clock()))
    (worker,) = json.loads(run(data, "--json").stdout)["workers"]
    assert (worker["uploads"], worker["tasks"], worker["lives"]) == (1, 0, False)
    assert "1 uploads, 0 imports, dead" in run(data).stdout


def test_processes_that_run_are_listed_with_purpose_and_release(tmp_path: Path) -> None:
    data = prepare_data(tmp_path)
    (tmp_path / "other").mkdir()
    service = services.make(tmp_path / "other", database=databases.open_database(f"sqlite:///{data}/partage.db"))
    own, now = liveness.name_own_process(), service.clock()
    reported = ProcessState(worker=own, purpose=Purpose.REQUESTS, version=partage.__version__, started_at=now, seen_at=now)
    elsewhere = replace(reported, worker="far/boot/1:7:1", purpose=Purpose.IMPORTS, version="0.0.1")
    with service.database.write() as tx:
        processes.write(tx, reported)
        processes.write(tx, replace(reported, worker=own.rpartition(":")[0] + ":1"))  # the pid was reused
        processes.write(tx, elsewhere)
        processes.write(tx, replace(elsewhere, worker="far/boot/1:8:1", seen_at=now - timedelta(minutes=3)))
    lines = run(data).stdout.splitlines()
    assert "Processes            2 run, 1 silent, 1 dead" in lines
    assert f"  {reported.host[:20]}: 1 requests" in lines
    assert "  far: 1 imports, Partage 0.0.1" in lines
    assert "  far: 1 imports, silent, seen 3 min ago, Partage 0.0.1" in lines
    conditions = {each["worker"]: each["condition"] for each in json.loads(run(data, "--json").stdout)["processes"]}
    assert conditions[own] == "runs"
    assert sorted(conditions.values()) == ["dead", "runs", "runs", "silent"]
