"""A start that cannot succeed says in one sentence what is wrong and what helps: real databases, a real Keystone, a full disk."""

import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from partage.main import cli, logs
from partage.main.process import listening
from tests import postgresql
from tests.main.serving import settings_at
from tests.standalone import PARTAGE, RunningKeystone

Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Run a command with settings; return its one line on standard error."""
    monkeypatch.setattr(logs, "configure", lambda _settings: None)  # levels and hooks would stay for the tests that follow

    def run(*arguments: str, **settings: str) -> str:
        for name, value in {"DATA": str(tmp_path / "data"), **settings}.items():
            monkeypatch.setenv(f"PARTAGE_{name}", value)
        assert cli.main(arguments) == 1
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert "secret" not in line
        return line

    return run


@pytest.fixture(scope="module")
def url() -> Iterator[sqlalchemy.URL]:
    """Run a PostgreSQL with a user bob that has a password, and a database of another user."""
    with postgresql.server() as found:
        parsed = sqlalchemy.make_url(found)
        rules = Path(str(parsed.query["host"])) / "data" / "pg_hba.conf"
        rules.write_text("local all bob scram-sha-256\nlocal all partage trust\n")
        engine = sqlalchemy.create_engine(parsed, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE ROLE bob LOGIN PASSWORD 'right'")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield parsed


def text_of(url: sqlalchemy.URL, **changed: Any) -> str:
    return url.set(**changed).render_as_string(hide_password=False)


UPGRADE = ("manage", "upgrade-database")


def test_wrong_password_is_named(start: Start, url: sqlalchemy.URL) -> None:
    line = start(*UPGRADE, DATABASE_URL=text_of(url, username="bob", password="secret"))
    assert "cannot be opened by user bob (password authentication failed" in line
    assert line.endswith("correct the user and the password in database_url")


def test_missing_database_is_named(start: Start, url: sqlalchemy.URL) -> None:
    line = start(*UPGRADE, DATABASE_URL=text_of(url, database="nope"))
    assert "The database nope at " in line
    assert "createdb --owner" in line


def test_user_that_the_server_does_not_admit_is_named(start: Start, url: sqlalchemy.URL) -> None:
    line = start(*UPGRADE, DATABASE_URL=text_of(url, username="nobody"))
    assert "by user nobody (no pg_hba.conf entry" in line
    assert line.endswith("permit this user and host in the server's pg_hba.conf")


def test_database_of_another_user_is_named(start: Start, url: sqlalchemy.URL) -> None:
    line = start(*UPGRADE, DATABASE_URL=text_of(url, username="bob", password="right"))
    assert "permission denied for schema public" in line
    assert line.endswith("ALTER DATABASE NAME OWNER TO USER")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("no-such-host.invalid", "correct the host in database_url"),
        ("127.0.0.1:1", "start the server, or correct the host and the port in database_url"),
    ],
)
def test_wrong_place_is_named(start: Start, place: str, words: str) -> None:
    line = start(*UPGRADE, DATABASE_URL=f"postgresql://partage:secret@{place}/partage")
    assert f"The database partage at {place}" in line
    assert line.endswith(words)


def test_every_command_names_the_fault(start: Start) -> None:
    for command in (["worker"], ["manage", "sweep"], ["manage", "verify"]):
        assert "start the server" in start(*command, DATABASE_URL="postgresql://partage:secret@127.0.0.1:1/partage")


def test_service_that_cannot_start_names_the_fault(tmp_path: Path) -> None:
    settings = {"PARTAGE_DATA": str(tmp_path), "PARTAGE_DATABASE_URL": "postgresql://partage:secret@127.0.0.1:1/partage"}
    assert "start the server" in serve(settings)


def serve(settings: dict[str, str]) -> str:
    """Run `partage serve`, which fails; return its one line on standard error."""
    port = str(listening.find_free_port())
    ended = subprocess.run([PARTAGE, "serve", "--port", port], env=settings, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, "secret" in ended.stderr) == (1, "", False)
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("url", ["mssql://p:secret@h/d", "oracle://h/d", "nonsense://"])
def test_unsupported_database_is_named_with_those_that_are_supported(start: Start, url: str) -> None:
    line = start(*UPGRADE, DATABASE_URL=url)
    assert "which is not supported; it looks like sqlite:///" in line
    assert "postgresql://" in line


@pytest.mark.parametrize("url", ["://", "postgresql://h:port/d"])
def test_url_that_cannot_be_parsed_is_refused(start: Start, url: str) -> None:
    assert "database_url cannot be parsed" in start(*UPGRADE, DATABASE_URL=url)


def test_missing_driver_is_named_with_its_extra(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "psycopg" else find(name, *rest))
    line = start(*UPGRADE, DATABASE_URL="postgresql://p:secret@h/d")
    assert line.endswith("The driver for postgresql, psycopg, is not installed; install it with: pip install 'partage[postgresql]'")


@pytest.mark.parametrize("url", ["mariadb://p:secret@h/d", "mysql+pymysql://p:secret@h/d"])
def test_missing_driver_of_mariadb_is_named_with_its_extra(start: Start, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pymysql" else find(name, *rest))
    line = start(*UPGRADE, DATABASE_URL=url)
    assert line.endswith("The driver for mariadb, pymysql, is not installed; install it with: pip install 'partage[mariadb]'")


def test_database_file_in_a_missing_directory_is_named(start: Start, tmp_path: Path) -> None:
    line = start(*UPGRADE, DATABASE_URL=f"sqlite:///{tmp_path}/none/partage.db")
    assert f"The database file {tmp_path}/none/partage.db cannot be used (unable to open database file)" in line


def test_full_disk_is_named(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare
    script = f"mount -t tmpfs -o size=128k tmpfs {tmp_path} && PARTAGE_DATA={tmp_path}/d {PARTAGE} manage upgrade-database"
    ended = subprocess.run([unshare, "--mount", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "cannot be used (database or disk is full); free space on its disk" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_user_without_the_service_role_is_named(keystone: RunningKeystone, tmp_path: Path) -> None:
    """It started before, and answered 503 to every request."""
    keystone.add_user("without-role", "service", "member", password="chosen-for-a-test")
    given = settings_at(keystone, tmp_path / "data", listening.find_free_port())
    given |= {"PARTAGE_IDENTITY__USERNAME": "without-role", "PARTAGE_IDENTITY__PASSWORD": "chosen-for-a-test"}
    subprocess.run([PARTAGE, *UPGRADE], env={"PARTAGE_DATA": str(tmp_path / "data")}, check=True, capture_output=True)
    line = serve(given)
    assert "does not permit this service's user to validate tokens" in line
    assert line.endswith("openstack role add --user without-role --project service service")
