"""Stores, databases and backups as an operator meets them: commands of `partage` in a terminal, beside a running `partage up`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from partage.main.process import listening
from tests import standalone
from tests.standalone import PARTAGE, LiveService


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(PARTAGE), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, text=True, capture_output=True, check=False)


def refused(*arguments: object, status: int = 1, **environment: str) -> str:
    done = run(*arguments, **environment)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1), done
    return done.stderr


class Client:
    """A project's member at a running service."""

    def __init__(self, live: LiveService) -> None:
        self._at = f"{live.image_url}/v2/images"
        self._token = {"X-Auth-Token": live.keystone.token("user-a", "project-a")}

    def upload(self, data: bytes) -> tuple[str, requests.Response]:
        document = {"disk_format": "raw", "container_format": "bare"}
        image: str = requests.post(self._at, json=document, headers=self._token, timeout=60).json()["id"]
        return image, self.put(image, data)

    def put(self, image: str, data: bytes) -> requests.Response:
        headers = {**self._token, "Content-Type": "application/octet-stream"}
        return requests.put(f"{self._at}/{image}/file", data=data, headers=headers, timeout=60)

    def download(self, image: str) -> requests.Response:
        return requests.get(f"{self._at}/{image}/file", headers=self._token, timeout=60)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    directory = tmp_path_factory.mktemp("stores") / "data"
    with standalone.up(directory) as running:
        yield running


def test_store_that_goes_away_while_it_runs_takes_no_upload(live: LiveService) -> None:
    client, store = Client(live), live.directory / "store"
    image, answer = client.upload(b"here" * 5000)
    assert answer.status_code == 204
    away = store.with_name("away")
    store.rename(away)
    absent = [client.upload(os.urandom(10_000))[1], client.download(image)]
    store.mkdir()
    waiting, answer = client.upload(os.urandom(10_000))
    empty = [answer, client.download(image)]
    assert [each.status_code for each in (*absent, *empty)] == [503] * 4
    assert "it may not be mounted" in empty[0].text
    assert list(store.iterdir()) == [], "nothing was written into the empty mount point"
    store.rmdir()
    away.rename(store)
    assert client.download(image).content == b"here" * 5000
    assert client.put(waiting, b"again" * 1000).status_code == 204
    assert client.download(waiting).content == b"again" * 1000


@pytest.mark.parametrize("folder", ["incoming", "packs"])
def test_folder_that_is_removed_while_it_runs_is_made_again(live: LiveService, folder: str) -> None:
    client = Client(live)
    assert client.upload(os.urandom(10_000))[1].status_code == 204
    moved = live.directory / f"moved-{uuid4()}"
    (live.directory / "store" / folder).rename(moved)
    image, answer = client.upload(os.urandom(10_000))
    assert answer.status_code == 204
    assert client.download(image).status_code == 200
    for path in moved.rglob("?" * 32):
        target = live.directory / "store" / folder / path.relative_to(moved)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)


def test_commands_refuse_a_store_of_another_database(live: LiveService, tmp_path: Path) -> None:
    """A typo in the URL of the database: sweep, verify, rebuild-index, backup and both services refuse."""
    client = Client(live)
    image, _ = client.upload(b"mine" * 5000)
    other = {
        "PARTAGE_DATABASE_URL": f"sqlite:///{tmp_path}/other.db",
        "PARTAGE_DATA": str(live.directory),
        "PARTAGE_PORT": str(listening.find_free_port()),
        "PARTAGE_SWEEP_GRACE_SECONDS": "0",
    }
    assert run("manage", "upgrade-database", **other).returncode == 0
    before = sorted((live.directory / "store").rglob("*"))
    for command in (("manage", "sweep"), ("manage", "verify"), ("manage", "rebuild-index"), ("serve",), ("worker",)):
        assert "belongs to another database" in refused(*command, **other)
    assert "belongs to another database" in refused("manage", "backup", tmp_path / "backup", **other)
    assert sorted((live.directory / "store").rglob("*")) == before
    assert client.download(image).content == b"mine" * 5000


def test_backup_beside_the_running_service_is_restored_elsewhere(live: LiveService, tmp_path: Path) -> None:
    client = Client(live)
    image, _ = client.upload(b"kept" * 5000)
    made = run("manage", "backup", tmp_path / "backup", "--data", live.directory)
    assert made.returncode == 0, made.stderr
    assert "are hard links to the store's files" in made.stdout
    inside = refused("manage", "backup", live.directory / "store" / "backup", "--data", live.directory, status=2)
    assert "is inside the store local" in inside
    restored = run("manage", "restore-backup", tmp_path / "backup", "--to", tmp_path / "new")
    assert restored.returncode == 0, restored.stderr
    verified = run("manage", "verify", "--data", tmp_path / "new")
    assert verified.returncode == 0, verified.stdout
    assert "0 damaged" in verified.stdout
    assert "is there already" in refused("manage", "restore-backup", tmp_path / "backup", "--to", tmp_path / "new", status=2)
    next((tmp_path / "backup" / "stores").glob("*/packs/*/*")).unlink()
    assert "is damaged" in refused("manage", "restore-backup", tmp_path / "backup", "--to", tmp_path / "newer", status=2)
    assert not (tmp_path / "newer" / "partage.db").exists()
    assert client.download(image).status_code == 200


def test_start_without_its_store_and_with_a_damaged_database_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with standalone.up(directory) as live:
        Client(live).upload(b"x" * 10_000)
        live.stop()
    (directory / "store").rename(directory / "away")
    settings = ("--data", directory, "--port", listening.find_free_port())
    assert "Is it mounted?" in refused("up", *settings)
    assert "Is it mounted?" in refused("manage", "sweep", "--data", directory)
    assert list((directory / "store").iterdir()) == []
    (directory / "store").rmdir()
    (directory / "away").rename(directory / "store")
    shutil.copy(directory / "partage.db", tmp_path / "sound.db")
    (directory / "partage.db").write_bytes(b"no database" * 1000)
    assert "The database is damaged (file is not a database)" in refused("up", *settings)
    for command in ("verify", "sweep", "upgrade-database", "rebuild-index"):
        assert "The database is damaged" in refused("manage", command, "--data", directory)
    shutil.copy(tmp_path / "sound.db", directory / "partage.db")
    assert run("manage", "verify", "--data", directory).returncode == 0


def test_verify_finds_damaged_pages_of_the_database(tmp_path: Path) -> None:
    assert run("manage", "upgrade-database", "--data", tmp_path).returncode == 0
    file = tmp_path / "partage.db"
    size = file.stat().st_size
    with file.open("r+b") as out:
        out.seek(size - 4096)
        out.write(bytes(4096))
    done = run("manage", "verify", "--data", tmp_path)
    assert done.returncode == 1
    assert "Damaged: the database: " in done.stdout or "The database is damaged" in done.stderr


def test_store_is_taken_over_with_the_command_that_the_refusal_names(tmp_path: Path) -> None:
    settings = ("--data", tmp_path)
    assert run("manage", "upgrade-database", *settings).returncode == 0
    assert run("manage", "verify", *settings).returncode == 0
    (tmp_path / "partage.db").rename(tmp_path / "old.db")
    assert run("manage", "upgrade-database", *settings).returncode == 0
    sentence = refused("manage", "verify", *settings)
    command = sentence.rpartition(": ")[2].split()
    assert command[:3] == ["partage", "manage", "take-over-store"]
    assert "not to the database 0000" in refused(*command[1:-1], "0000", *settings)
    assert "There is no store fast" in refused("manage", "take-over-store", "fast", "--from", "nobody", *settings, status=2)
    taken = run(*command[1:], *settings)
    assert taken.returncode == 0, taken.stderr
    assert "now belongs to this database" in taken.stdout
    assert run("manage", "verify", *settings).returncode == 0


def test_cache_among_files_of_a_store_is_refused(tmp_path: Path) -> None:
    """The cache removes packs that are not its own copies: it took all of a store's for damaged ones."""
    assert run("manage", "upgrade-database", "--data", tmp_path).returncode == 0
    (tmp_path / "link").symlink_to(tmp_path / "store")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "identity").touch()
    for place in ("store/", "link", "link/packs", "foreign"):
        refusal = refused("manage", "upgrade-database", status=2, **with_cache(tmp_path, place))
        assert "Name a directory that holds nothing else" in refusal
    assert "cache.directory is" in refused("serve", "--port", listening.find_free_port(), status=2, **with_cache(tmp_path, "store"))
    assert run("manage", "upgrade-database", **with_cache(tmp_path, "cache")).returncode == 0


def with_cache(data: Path, place: str) -> dict[str, str]:
    return {"PARTAGE_DATA": str(data), "PARTAGE_CACHE__DIRECTORY": f"{data}/{place}"}
