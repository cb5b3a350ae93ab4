"""The running application for stories: real Keystone, SQLite and a POSIX store in a temporary folder, uvicorn on a socket."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import uvicorn

from partage.http.app import application
from partage.http.options import EdgeOptions
from partage.http.server.protocol import BoundedProtocol
from partage.identity.keystone import Keystone, connect
from partage.identity.tokens import TokenCache
from partage.model.claim_code import ClaimRules
from partage.model.ids import StoreID
from partage.model.import_request import ImportMethod
from partage.operations import cache
from partage.operations.imports import run as import_runs
from partage.operations.service import Cache, Service
from partage.policies.authority import Authority
from partage.records import schema
from partage.stores.cache.cache_directory import Bounds, CacheDirectory
from partage.stores.cache.copies import LIFE_BYTES
from partage.stores.cache.fills import Fills
from partage.stores.drivers.posix import PosixStore
from tests import databases, invariants, services
from tests.api import personas
from tests.api.personas import Cast, register
from tests.memory_store import MemoryStore
from tests.standalone import RunningKeystone

LOCAL, SECOND = services.LOCAL, StoreID("second")


class World:
    """One running service with all that stands behind it."""

    def __init__(self, service: Service, endpoint: str, folder: Path, rules: list[str]) -> None:
        self.service = service
        self.endpoint = endpoint
        self.folder = folder
        self.rules_asked = rules

    def works(self) -> int:
        """Do the tasks that wait, as a worker does; return how many there were."""
        done = 0
        while (work := import_runs.claim(self.service)) is not None:
            import_runs.run(self.service, work)
            done += 1
        return done

    def fetches(self) -> int:
        """Bring near what is queued for this node's cache, as its own process does; return how many images there were."""
        done = 0
        while self.service.stores.cache and cache.fetch_next(self.service, self.service.stores.cache, may_go_on=lambda: True):
            done += 1
        return done


def make_service(folder: Path, *, database_url: str | None = None, **changed: Any) -> tuple[Service, list[str]]:
    """Compose a service below `folder`; `changed` replaces parts of it. Also returns the list that notes the rules it requires."""
    rules: list[str] = []
    (folder / "store").mkdir(parents=True, exist_ok=True)
    parts: dict[str, Any] = {
        "stores": services.name_stores({LOCAL: PosixStore(folder / "store"), SECOND: MemoryStore()}),
        "authority": Authority(on_require=rules.append),
        "claims": ClaimRules(failures_per_project=0, failures_per_address=0),  # stories share the service, and many claims fail
    }
    if "database" not in changed:
        parts["database"] = databases.open_database(database_url or databases.make_url(folder))
        schema.upgrade(parts["database"])
        invariants.watch(parts["database"])
    return services.build(folder, **{**parts, **changed}), rules


def with_cache(
    folder: Path, *, near: Path | None = None, node: str = "http://node-1.example", limit_bytes: int = 1 << 30
) -> dict[str, Any]:
    """Give the parts of a service that has a cache, for `make_service`; `near`: where that is."""
    near, store = near or folder / "cache", folder / "store"
    for each in (near, store):
        each.mkdir(parents=True, exist_ok=True)
    bounds = Bounds(free_share=1.0, most_bytes=limit_bytes)
    directory = CacheDirectory(near, bounds=bounds, life=bytes(LIFE_BYTES))
    return {
        "stores": services.name_stores({LOCAL: PosixStore(store), SECOND: MemoryStore()}),
        "cache": Cache(node=node, fills=Fills(directory)),
    }


@contextmanager
def serving(
    service: Service,
    identity: Keystone,
    rules: list[str],
    folder: Path,
    protocol: type[BoundedProtocol] = BoundedProtocol,
    **options: Any,
) -> Iterator[World]:
    """Serve on a free port in a thread until the block ends."""
    app = application(
        service=service,
        identity=identity,
        options=EdgeOptions(
            www_authenticate_uri="http://identity.example",
            **{"import_methods": tuple(ImportMethod), "has_cache": service.stores.cache is not None, **options},
        ),
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    config = uvicorn.Config(
        app, http=protocol, log_level="warning", lifespan="on", ws="none", access_log=False, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield World(service, f"http://127.0.0.1:{listener.getsockname()[1]}", folder, rules)
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="session")
def everybody(keystone: RunningKeystone) -> dict[str, tuple[str, str]]:
    """Register the personas once for a test run: persona to project id and token."""
    return register(keystone)


@pytest.fixture(scope="session")
def identity(keystone: RunningKeystone) -> Keystone:
    """Validate tokens against the real Keystone, remembered for a minute so that the suites are quick."""
    authority = Authority()
    return Keystone(connect(keystone.credentials), TokenCache(seconds=60), is_admin=authority.is_admin)


@pytest.fixture(scope="session")
def world(identity: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service for all stories that change none of its settings."""
    folder = tmp_path_factory.mktemp("world")
    service, rules = make_service(folder)
    with serving(service, identity, rules, folder) as running:
        yield running
    service.close()


@pytest.fixture(scope="session")
def caching_world(identity: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service with a cache for all stories that need one and change none of its settings."""
    folder = tmp_path_factory.mktemp("caching")
    service, rules = make_service(folder, **with_cache(folder))
    with serving(service, identity, rules, folder) as running:
        yield running
    service.close()


@pytest.fixture
def caching_cast(caching_world: World, everybody: dict[str, tuple[str, str]]) -> Iterator[Cast]:
    """Everybody, on the service with a cache."""
    people = cast_of(caching_world, everybody)
    yield people
    people.leave()


@pytest.fixture(scope="session")
def world_on_postgresql(identity: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service for all stories that are told on PostgreSQL as well."""
    folder = tmp_path_factory.mktemp("postgresql")
    with databases.serve_server() as url:
        service, rules = make_service(folder, database_url=url)
        with serving(service, identity, rules, folder) as running:
            yield running
        service.close()


@pytest.fixture
def cast_on_postgresql(world_on_postgresql: World, everybody: dict[str, tuple[str, str]]) -> Iterator[Cast]:
    """Everybody, on the service that keeps its records in PostgreSQL."""
    people = cast_of(world_on_postgresql, everybody)
    yield people
    people.leave()


class Impatient(BoundedProtocol):
    head_seconds = 0.5
    stall_seconds = 0.5


@pytest.fixture
def stalling_world(identity: Keystone, tmp_path: Path) -> Iterator[World]:
    """Give a service that waits for no client longer than half a second."""
    service, rules = make_service(tmp_path / "stalling")
    with serving(service, identity, rules, tmp_path / "stalling", Impatient, stall_seconds=0.5) as running:
        yield running
    service.close()


@pytest.fixture
def another_world(identity: Keystone, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make a service with other parts, for one test: call it with what `Service`, and in `options` the edge, shall have instead."""
    running = []

    def make(options: Mapping[str, Any] = MappingProxyType({}), **changed: Any) -> World:
        folder = tmp_path / f"world-{len(running)}"
        service, rules = make_service(folder, **changed)
        context = serving(service, identity, rules, folder, **options)
        running.append(context)
        return context.__enter__()

    yield make
    for context in running:
        context.__exit__(None, None, None)


def cast_of(world: World, everybody: dict[str, tuple[str, str]]) -> Cast:
    """Let every persona act on this service."""
    return personas.at(world.endpoint, everybody)


@pytest.fixture
def cast(world: World, everybody: dict[str, tuple[str, str]]) -> Iterator[Cast]:
    """Everybody, on the service that all stories share."""
    people = cast_of(world, everybody)
    yield people
    people.leave()
