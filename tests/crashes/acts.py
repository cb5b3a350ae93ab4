"""The other end of tests/crashes/acting.py: start it, let it act on a copy of the world, have it killed, look at what is left."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests import databases, mariadb

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """A running acting.py, and the world that it made."""

    process: subprocess.Popen[str]
    world: Path
    url: str
    before: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self, do: str, folder: Path, **more: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        url = self.url and _of_database(self.url, folder.name)
        request = {"url": url, "do": do, "folder": str(folder), **more}
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            pytest.skip(answer["refused"])
        return answer

    def copy(self, to: Path, act: str) -> Path:
        """Give a fresh copy of the world, or an empty folder where the first start is to be watched."""
        shutil.rmtree(to, ignore_errors=True)
        if self.url:
            self._copy_database(to.name)
        if act == "first-start":
            to.mkdir()
        else:
            shutil.copytree(self.world, to)
        return to

    def empty(self, folder: Path) -> None:
        """Make sure that there is no such folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def _copy_database(self, name: str) -> None:
        if databases.SERVER == "mariadb":
            mariadb.copy_database(self.url, self.world.name, to=name)
            return
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {self.world.name}")
        engine.dispose()

    def calls_of(self, act: str, folder: Path) -> list[str]:
        """Let an operation finish, once; return the calls that it makes, and remember what the world is like afterwards."""
        if act not in self.calls:
            answer = self.ask("act", self.copy(folder, act), act=act)
            assert answer["word"] == "done", answer["word"]
            self.after[act] = self.look(folder, act)["found"]
            self.calls[act] = answer["calls"]
        return self.calls[act]

    def look(self, folder: Path, act: str) -> dict[str, Any]:
        """Start anew on what is there and check everything that must be true of it."""
        answer = self.ask("look", folder, act=act, before=self.before)
        assert answer["word"].startswith("{"), answer["word"]
        looked: dict[str, Any] = json.loads(answer["word"])
        return looked


@contextmanager
def server(folder: Path, url: str = "") -> Iterator[Server]:
    """Start acting.py and have it make the world, on SQLite or on the server of `url`."""
    command = [sys.executable, "-m", "tests.crashes.acting"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        running = Server(process, folder / "world", url)
        running.world.mkdir(parents=True)
        if url:
            engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.exec_driver_sql("CREATE DATABASE world")
            engine.dispose()
        made = running.ask("make", running.world)
        assert made["word"].startswith("{"), made["word"]
        running.before = json.loads(made["word"])
        running.before = running.look(running.copy(folder / "look", "none"), "none")["found"]
        yield running  # leaving the block closes its standard input, which ends it


def _of_database(url: str, name: str) -> str:
    return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
