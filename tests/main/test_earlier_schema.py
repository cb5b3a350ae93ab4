"""The schema of an earlier commit is upgraded beside a running process of that commit, and a backup leads back to it.

The earlier code really runs: it is taken from the history of the repository, as the release before would be.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from partage.main import cli
from partage.model.ids import ImageID
from partage.operations import images, verify
from partage.records import schema
from tests.operations.services import OWNER, download, image_with, make

ROOT = Path(__file__).parents[2]
EARLIER = "def9576"
OLDER_PROGRAM = """
import json, sys
from pathlib import Path
from partage.operations import images, sweep, verify
from datetime import timedelta
from tests.operations.services import OWNER, download, image_with, make
service = make(Path(sys.argv[1]))
for line in sys.stdin:
    act, _, given = line.strip().partition(" ")
    if act == "upload":
        answer = image_with(service, given.encode() * 50_000).id
    elif act == "read":
        answer = download(service, given).decode()[:20]
    elif act == "delete":
        answer = images.delete(service, OWNER, given) and None
    elif act == "list":
        with service.database.read() as tx:
            answer = sorted(row[0] for row in tx.exec_driver_sql("SELECT id FROM images"))
    else:
        answer = [verdict.fault for verdict in verify.verify(service) if verdict.fault]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take the code of the earlier commit from the history."""
    folder = tmp_path_factory.mktemp("earlier")
    command = ["git", "-C", str(ROOT), "archive", EARLIER, "src", "tests"]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode:
        pytest.skip(f"the history does not reach back to {EARLIER}")
    with tarfile.open(fileobj=io.BytesIO(ended.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Older:
    """A running process of the earlier code."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, act: str, given: object = "") -> object:
        assert self._process.stdin
        assert self._process.stdout
        print(act, given, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(earlier: Path, data: Path) -> Iterator[Older]:
    environment = {**os.environ, "PYTHONPATH": f"{earlier / 'src'}:{earlier}"}
    command = [sys.executable, "-c", OLDER_PROGRAM, str(data)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, cwd=earlier, text=True, **pipes) as process:  # type: ignore[call-overload]
        yield Older(process)
        process.stdin.close()
        assert process.wait(60) == 0


def test_process_of_the_earlier_commit_goes_on_after_the_upgrade(earlier: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(earlier, data) as older:
        before = str(older.do("upload", "before"))
        service = make(data)  # upgrades the schema
        schema.require_current(service.database)
        assert download(service, ImageID(before)) == b"before" * 50_000
        beside = str(older.do("upload", "beside"))
        new = image_with(service, b"new" * 50_000)
        assert download(service, ImageID(beside)) == b"beside" * 50_000
        assert older.do("read", new.id) == "new" * 6 + "ne"
        images.delete_image(service, OWNER, ImageID(before))
        assert older.do("list") == sorted([beside, new.id])
        assert older.do("verify") == []
    assert [verdict.fault for verdict in verify.verify(service)] == [None, None]


def test_backup_from_before_the_upgrade_leads_back(earlier: Path, tmp_path: Path) -> None:
    """Everything stops, the database's copy is put back, the earlier release starts: the store has all that it needs."""
    data = tmp_path / "data"
    data.mkdir()
    with running(earlier, data) as older:
        before = str(older.do("upload", "before"))
    shutil.copy(data / "partage.db", tmp_path / "copy.db")
    service = make(data)
    image_with(service, b"new" * 50_000)
    images.delete_image(service, OWNER, ImageID(before))
    service.close()
    for left in data.glob("partage.db*"):
        left.unlink()
    shutil.copy(tmp_path / "copy.db", data / "partage.db")
    with running(earlier, data) as older:
        assert older.do("list") == [before]
        assert older.do("read", before) == "before" * 3 + "be"
        assert older.do("verify") == []


def test_check_names_what_an_earlier_schema_lacks_and_changes_nothing(
    earlier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with running(earlier, data):
        pass
    for _ in range(2):
        assert cli.main(["manage", "upgrade-database", "--check", "--data", str(data)]) == 1
        printed = capsys.readouterr().out
        assert "has the schema 2026_11_24; it lacks" in printed
        assert "2026_11_29_maintenance: Maintenance jobs" in printed
        assert "Processes of the older release can go on" in printed
    assert cli.main(["manage", "upgrade-database", "--data", str(data)]) == 0
    assert cli.main(["manage", "upgrade-database", "--check", "--data", str(data)]) == 0
    assert "up to date: 2026_" in capsys.readouterr().out


def test_check_of_a_database_that_is_not_there_creates_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["manage", "upgrade-database", "--check", "--data", str(tmp_path)]) == 1
    assert "There is no database at" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_check_of_an_empty_database_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "partage.db").touch()
    assert cli.main(["manage", "upgrade-database", "--check", "--data", str(tmp_path)]) == 1
    assert "The database is empty; it lacks" in capsys.readouterr().out


def test_earlier_release_refuses_the_newer_schema(earlier: Path, tmp_path: Path) -> None:
    make(tmp_path / "data").close()
    environment = {**os.environ, "PYTHONPATH": str(earlier / "src"), "PARTAGE_DATA": str(tmp_path / "data")}
    code = "from partage.main import cli; raise SystemExit(cli.main(['manage', 'verify']))"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=earlier, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "a newer release made it" in ended.stderr
