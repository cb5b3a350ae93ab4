"""Whatever a service depends on fails: its operator finds the request's id in the log, with the error that caused the failure."""

import errno
import random
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import event, exc

from partage import problems
from partage.content.digest import Buffer
from partage.identity.keystone import Keystone, connect
from partage.identity.tokens import TokenCache
from partage.operations.service import NamedStore
from tests import standalone
from tests.api import personas
from tests.api.conftest import LOCAL, World, cast_of, make_service, serving
from tests.api.personas import Cast
from tests.memory_store import MemoryStore
from tests.standalone import RunningKeystone

DATA = random.Random(5).randbytes(20_000_000)
"""More than two packs."""


@pytest.fixture
def broken_world(another_world: Callable[..., World]) -> World:
    """Give a service whose parts a test may break."""
    return another_world()


@pytest.fixture
def people(broken_world: World, everybody: dict[str, tuple[str, str]]) -> Cast:
    return cast_of(broken_world, everybody)


def created(people: Cast) -> str:
    return str(people.owner.creates().json()["id"])


def lines_of(answer: requests.Response, caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the lines of the log that have the id of this answer."""
    return [words for words in (each.getMessage() for each in caplog.records) if request_id(answer) in words]


def request_id(answer: requests.Response) -> str:
    return answer.headers["x-openstack-request-id"]


def test_store_that_cannot_be_written_is_logged_with_the_systems_error(
    broken_world: World, people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    image = created(people)
    store = broken_world.folder / "store"
    shutil.rmtree(store)
    store.write_text("no directory")
    answer = people.owner.uploads(image)
    assert answer.status_code == 503
    (line,) = lines_of(answer, caplog)
    assert "StoreUnavailable" in line
    assert "NotADirectoryError: [Errno 20]" in line


class FullStore(MemoryStore):
    """A store without room, as the system says it."""

    def put(self, _key: str, _parts: Sequence[Buffer]) -> None:
        raise problems.StoreFull("The store has no room") from OSError(errno.ENOSPC, "No space left on device")


def test_full_store_is_logged_with_the_systems_error(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    full = NamedStore(id=LOCAL, store=FullStore(), type="memory", properties={})
    world = another_world(stores={LOCAL: full})
    people = cast_of(world, everybody)
    answer = people.owner.uploads(created(people))
    assert answer.status_code == 413
    (line,) = lines_of(answer, caplog)
    assert "StoreFull: The store has no room; caused by OSError: [Errno 28] No space left on device" in line


def test_database_that_is_away_is_logged_without_the_statement(
    broken_world: World, people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_given: object) -> None:
        raise exc.OperationalError("SELECT secret", {"value": "planted"}, OSError(errno.EIO, "the disk is broken"))

    engine = broken_world.service.database._engine  # noqa: SLF001 -- a driver's error on demand
    event.listen(engine, "before_cursor_execute", fail)
    event.listen(engine, "commit", fail)
    answer = people.owner.creates()
    event.remove(engine, "before_cursor_execute", fail)
    event.remove(engine, "commit", fail)
    assert answer.status_code == 503
    (line,) = lines_of(answer, caplog)
    assert "DatabaseUnavailable" in line
    assert "the disk is broken" in line
    assert "planted" not in caplog.text
    assert "SELECT secret" not in caplog.text


def test_identity_service_that_is_away_is_logged_with_its_error(
    keystone: RunningKeystone, everybody: dict[str, tuple[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    away = replace(keystone.credentials, url=f"http://127.0.0.1:{port}", timeout_seconds=1.0)
    service, rules = make_service(tmp_path)
    identity = Keystone(connect(away), TokenCache(seconds=1), is_admin=service.authority.is_admin)
    with serving(service, identity, rules, tmp_path) as world:
        answer = personas.at(world.endpoint, everybody).owner.call("GET", "/v2/images")
    service.close()
    assert answer.status_code == 503
    (line,) = lines_of(answer, caplog)
    assert "IdentityUnavailable" in line
    assert "caused by" in line
    assert everybody["owner"][1] not in caplog.text


def rot(world: World, *, from_pack: int) -> None:
    """Change bytes in the middle of each pack but the first ones, in the order in which they were written."""
    packs = sorted((world.folder / "store").rglob("packs/**/*"), key=lambda path: path.stat().st_mtime_ns)
    found = [path for path in packs if path.is_file()]
    assert len(found) > from_pack
    for path in found[from_pack:]:
        content = bytearray(path.read_bytes())
        for at in range(2000, len(content), 4096):
            content[at] ^= 1
        path.write_bytes(content)


def test_rotten_bytes_are_logged_when_nothing_was_sent(broken_world: World, people: Cast, caplog: pytest.LogCaptureFixture) -> None:
    image = created(people)
    assert people.owner.uploads(image, DATA).status_code == 204
    rot(broken_world, from_pack=0)
    answer = people.owner.downloads(image)
    assert answer.status_code == 503
    (line,) = lines_of(answer, caplog)
    assert "ContentCorrupt" in line


def test_rotten_bytes_are_logged_when_the_answer_breaks_off(
    broken_world: World, people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    image = created(people)
    assert people.owner.uploads(image, DATA).status_code == 204
    rot(broken_world, from_pack=1)
    session: Any = people.owner.http
    answer = session.get(
        f"{people.owner.endpoint}/v2/images/{image}/file", headers={"X-Auth-Token": people.owner.token}, stream=True, timeout=60
    )
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        answer.raw.decode_content = False
        for _ in answer.iter_content(1 << 20):
            pass
    # The client sees the connection break before the service has logged why.
    standalone.wait_for(lambda: lines_of(answer, caplog), seconds=10)
    (line,) = lines_of(answer, caplog)
    assert "image data broken off: ContentCorrupt" in line


def test_failed_import_is_logged_with_the_request_that_asked_for_it(
    broken_world: World, people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    image = created(people)
    assert people.owner.stages(image, DATA).status_code == 204
    rot(broken_world, from_pack=0)
    answer = people.owner.imports(image)
    assert answer.status_code == 202
    broken_world.works()
    (line,) = lines_of(answer, caplog)
    assert "ContentCorrupt" in line


def test_mistakes_of_clients_are_not_logged(people: Cast, caplog: pytest.LogCaptureFixture) -> None:
    image = created(people)
    answers = [
        people.owner.creates(id="no uuid"),
        people.owner.downloads("nowhere"),
        people.outsider.downloads(image),
        people.owner.uploads(image, b"QFI\xfb" + bytes(600), **{"Content-Type": "text/plain"}),
    ]
    assert [each.status_code for each in answers] == [400, 404, 404, 415]
    assert [line for each in answers for line in lines_of(each, caplog)] == []
