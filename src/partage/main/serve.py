"""`partage serve`: the image service alone, against somebody's Keystone and database."""

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import uvicorn

from partage.http.app import Application
from partage.http.server.accepting import Shares
from partage.http.server.connections import Connections
from partage.http.server.protocol import BoundedProtocol
from partage.http.server.server import Patience, Server, most_connections
from partage.main import cache_keeper, housekeeping, logs, reloading
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.main.process import descriptors, listening, memory, priority
from partage.main.process.supervisor import Dependency, Job, Supervisor, block_signals
from partage.model.ids import StoreID
from partage.stores.identity import Identity

_LOG = logging.getLogger(__name__)


def serve(load: Callable[[], Settings]) -> int:
    """Check everything, start the workers, and return the exit status when a stop signal has ended them.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: something stands in the way of every worker.
    """
    settings = load()
    listener = listening.listen(settings.host, settings.port)
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        identities = readiness.check_stores(service)
        settings = readiness.fit_connections(settings, service)
        readiness.check_identity(compose.build_keystone(settings, service.authority))
    with block_signals():
        print(f"Partage answers at {url(settings)}; Ctrl-C ends it", flush=True)
        return run(settings, listener, identities, load=load)


def url(settings: Settings) -> str:
    """Return the URL that clients of this machine use."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not listened on
    return settings.public_endpoint or f"http://{host}:{settings.port}"


def run(
    settings: Settings,
    listener: socket.socket,
    identities: Mapping[StoreID, Identity],
    *,
    load: Callable[[], Settings],
    dependencies: Sequence[Dependency] = (),
    jobs: Sequence[Callable[[Settings], None]] = (),
) -> int:
    """Answer requests on `listener` with as many workers as the settings say; return the exit status when all have ended.

    `identities` are those of the stores, as they were found at the start.
    Each of the further `jobs` is done by a process of its own, and so is looking after the cache, if there is one. After SIGHUP
    other workers, with the settings that `load` reads, take over.
    """
    logs.configure(settings.log)
    for name in compose.list_unused_rules(settings):
        _LOG.warning(
            "the policy file %s has the rule %s, which nothing asks for; look at how it is written", settings.policy_file, name
        )
    supervisor = Supervisor(
        jobs=_list_jobs(settings, listener, identities, jobs),
        grace_seconds=settings.grace_seconds,
        dependencies=dependencies,
        close_shared=listener.close,
    )

    def reload() -> Sequence[Job]:
        again = reloading.reload(settings, load)
        supervisor.grace_seconds = again.grace_seconds
        return _list_jobs(again, listener, identities, jobs)

    supervisor.reload = reload
    return supervisor.run()


def _list_jobs(
    settings: Settings,
    listener: socket.socket,
    identities: Mapping[StoreID, Identity],
    further: Sequence[Callable[[Settings], None]],
) -> list[Job]:
    shares = Shares(settings.workers)
    jobs: list[Job] = [partial(_work, settings, listener, identities, (shares, number)) for number in range(settings.workers)]
    if settings.cache.directory:
        readiness.prepare_cache(settings)
        further = [*further, partial(cache_keeper.maintain_cache, identities=identities)]
    return [*jobs, *(partial(_work_beside, settings, listener, job) for job in further)]


def _work_beside(settings: Settings, listener: socket.socket, job: Callable[[Settings], None]) -> None:
    listener.close()  # it would stay open for as long as this process runs, and nobody would answer
    job(settings)


def _work(settings: Settings, listener: socket.socket, identities: Mapping[StoreID, Identity], share: tuple[Shares, int]) -> None:
    memory.reuse_freed_buffers()
    priority.shorten_switch_interval()
    given = settings.connections
    connections = Connections(
        most=most_connections(given.per_worker, descriptors.raise_limit(), descriptors.RESERVED),
        head_seconds=given.header_timeout_seconds,
        idle_seconds=given.idle_seconds,
        unsent_bytes=given.max_unsent_bytes,
    )
    patience = Patience(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
    with compose.open_service(settings, with_cache=True, identities=identities) as service:
        server = Server(_uvicorn(settings, compose.build_application(settings, service)), connections, share, patience)
        with housekeeping.start(service):
            server.run(sockets=[listener])


def _uvicorn(settings: Settings, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=type("Protocol", (BoundedProtocol,), {"stall_seconds": settings.stall_seconds}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody is believed about who a client is; public_endpoint says what a proxy would
    )
