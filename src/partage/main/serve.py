"""`partage serve`: the image service, with an existing Keystone and database."""

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import uvicorn

from partage.http.app import Application
from partage.http.server.accepting import ConnectionCounts
from partage.http.server.connections import Connections
from partage.http.server.protocol import BoundedProtocol
from partage.http.server.server import Server, StopTimeouts, limit_connections
from partage.main import cache_keeper, housekeeping, logs, reloading
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.main.process import descriptors, listening, memory, priority
from partage.main.process.supervisor import Dependency, Job, Supervisor, block_signals
from partage.model.ids import StoreID
from partage.operations import last_downloads
from partage.stores.identity import Identity

_LOG = logging.getLogger(__name__)


def serve(load: Callable[[], Settings]) -> int:
    """Check the configuration, run the workers until a stop signal, and return the exit status.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: workers cannot start.
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
    """Return the URL for clients on this machine."""
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
    """Serve requests on `listener` with the configured number of workers; return the exit status when all have ended.

    `identities` are those of the stores, as they were found at the start. Each of the further `jobs` has a process of its own, and
    so has the maintenance of the cache, if there is one. After SIGHUP new workers, with the settings that `load` reads, take over.
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
        reloaded = reloading.reload(settings, load)
        supervisor.grace_seconds = reloaded.grace_seconds
        return _list_jobs(reloaded, listener, identities, jobs)

    supervisor.reload = reload
    return supervisor.run()


def _list_jobs(
    settings: Settings,
    listener: socket.socket,
    identities: Mapping[StoreID, Identity],
    further: Sequence[Callable[[Settings], None]],
) -> list[Job]:
    shares = ConnectionCounts(settings.workers)
    jobs: list[Job] = [
        partial(_serve_requests, settings, listener, identities, (shares, number)) for number in range(settings.workers)
    ]
    if settings.cache.directory:
        readiness.prepare_cache(settings)
        further = [*further, partial(cache_keeper.maintain_cache, identities=identities)]
    return [*jobs, *(partial(_run_beside, settings, listener, job) for job in further)]


def _run_beside(settings: Settings, listener: socket.socket, job: Callable[[Settings], None]) -> None:
    listener.close()  # otherwise the socket would stay open in a process that accepts no connections
    job(settings)


def _serve_requests(
    settings: Settings, listener: socket.socket, identities: Mapping[StoreID, Identity], share: tuple[ConnectionCounts, int]
) -> None:
    memory.reuse_freed_buffers()
    priority.shorten_switch_interval()
    given = settings.connections
    connections = Connections(
        most=limit_connections(given.per_worker, descriptors.raise_limit(), descriptors.RESERVED),
        head_seconds=given.header_timeout_seconds,
        idle_seconds=given.idle_seconds,
        unsent_bytes=given.max_unsent_bytes,
    )
    timeouts = StopTimeouts(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
    with compose.open_service(settings, with_cache=True, identities=identities) as service:
        server = Server(_configure_uvicorn(settings, compose.build_application(settings, service)), connections, share, timeouts)
        with housekeeping.start(service):
            server.run(sockets=[listener])
        last_downloads.write_at_stop(service)


def _configure_uvicorn(settings: Settings, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=type("Protocol", (BoundedProtocol,), {"stall_seconds": settings.stall_seconds}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # headers of a proxy are not trusted; public_endpoint states what a proxy would
    )
