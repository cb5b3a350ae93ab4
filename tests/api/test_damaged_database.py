"""A database file that is damaged under a running service is 503 with a sentence, and its restoring needs no new start."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from partage.identity.keystone import Keystone
from tests import databases
from tests.api.conftest import cast_of, make_service, serving
from tests.api.personas import Cast

pytestmark = pytest.mark.skipif("sqlite" not in databases.KINDS, reason="damages a file of SQLite")
PAGE_BYTES = 4096


def overwrite_all_but_head(file: Path) -> None:
    """Keep the first page, so that the file still looks like a database."""
    size = file.stat().st_size
    with file.open("r+b") as out:
        out.seek(PAGE_BYTES)
        out.write(random.Random(1).randbytes(size - PAGE_BYTES))


def zero_all_but_head(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as out:
        out.seek(PAGE_BYTES)
        out.write(bytes(size - PAGE_BYTES))


def zero_head(file: Path) -> None:
    with file.open("r+b") as out:
        out.write(b"\x01" * PAGE_BYTES)


def replace_by_text(file: Path) -> None:
    file.with_name("text").write_bytes(b"this is a text\n" * 10_000)
    file.with_name("text").replace(file)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // PAGE_BYTES // 4 * PAGE_BYTES)


DAMAGES: tuple[Callable[[Path], None], ...] = (overwrite_all_but_head, zero_all_but_head, zero_head, replace_by_text, cut_short)


def ask_everything(cast: Cast, image: str) -> list[int]:
    owner = cast.owner
    answers = [
        owner.call("GET", "/v2/images"),
        owner.shows(image),
        owner.downloads(image),
        owner.call("GET", f"/v2/images/{image}/members"),
        owner.call("GET", "/v2/metadefs/namespaces"),
        owner.call("GET", "/v2/tasks"),
        owner.creates(),
        owner.uploads(str(uuid4())),
        owner.call("DELETE", f"/v2/images/{image}"),
    ]
    for answer in answers:
        assert "Traceback" not in answer.text
    assert any("The database is damaged" in answer.text for answer in answers)
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_database_is_503_until_it_is_restored(
    damage: Callable[[Path], None], identity: Keystone, everybody: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    service, rules = make_service(tmp_path)
    file = tmp_path / "partage.db"
    with serving(service, identity, rules, tmp_path) as world:
        cast = cast_of(world, everybody)
        image = cast.owner.has_an_image()
        for _ in range(20):
            cast.owner.creates()
        service.database.close()  # writes everything into the one file
        sound = file.read_bytes()
        damage(file)
        statuses = ask_everything(cast, image)
        assert 503 in statuses
        assert not [status for status in statuses if status >= 500 and status != 503]
        service.database.close()
        for name in ("partage.db-wal", "partage.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / "backup").write_bytes(sound)
        os.replace(tmp_path / "backup", file)  # noqa: PTH105 - what an operator's mv does
        assert cast.owner.shows(image).status_code == 200
        cast.leave()
    service.database.close()


CUT_SHORT = """
import os, sys
from partage import problems
from partage.records import schema
from partage.records.database import Database
from sqlalchemy import text

file = sys.argv[1]
database = Database(f"sqlite:///{file}")
schema.upgrade(database)
with database.write() as tx:
    tx.execute(text("CREATE TABLE much (number INTEGER PRIMARY KEY, bytes BLOB)"))
    for _ in range(5):
        tx.execute(text("INSERT INTO much (bytes) SELECT randomblob(4000) FROM (" + " UNION ALL ".join(["SELECT 1"] * 400) + ")"))
with database.connection() as connection:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("SELECT sum(length(bytes)) FROM much").fetchall()
    connection.execute("PRAGMA shrink_memory").fetchall()  # what is in the cache of pages is not read
os.truncate(file, 4096 * 50)
try:
    with database.read() as tx:
        tx.execute(text("SELECT sum(length(bytes)) FROM much")).all()
except problems.DatabaseUnavailable as problem:
    print(problem)
"""


def test_file_cut_short_under_open_connections_ends_no_process(tmp_path: Path) -> None:
    """A process of its own reads it, because what must not happen is a signal (SIGBUS) that ends the process."""
    ended = subprocess.run(
        [sys.executable, "-c", CUT_SHORT, str(tmp_path / "partage.db")], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "The database is damaged" in ended.stdout
