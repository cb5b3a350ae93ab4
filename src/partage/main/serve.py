"""`partage serve`: the image service, with an existing Keystone and database."""

import logging
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import partage
from partage.http.server.accepting import ConnectionCounts
from partage.http.server.connections import Connections
from partage.http.server.server import Server, StopTimeouts, configure, limit_connections
from partage.main import housekeeping, logs, maintainer, metrics_exporter, readiness_checks, reloading
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.main.process import descriptors, listening, memory, priority, service_manager
from partage.main.process.supervisor import Dependency, Job, Supervisor, block_signals
from partage.metrics.sheets import Sheets
from partage.model.ids import StoreID
from partage.model.process_state import Purpose
from partage.operations import last_downloads
from partage.operations.readiness import DATABASE, IDENTITY, STORES, Readiness
from partage.stores.cache.copies import LIFE_BYTES
from partage.stores.identity import Identity
from partage.worker import presence

_LOG = logging.getLogger(__name__)


def serve(load: Callable[[], Settings]) -> int:
    """Check the configuration, run the workers until a stop signal, and return the exit status.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: workers cannot start.
    """
    settings = load()
    logs.configure(settings.log)
    listener = service_manager.take_socket() or listening.listen(settings.host, settings.port)
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        identities = readiness.check_stores(service)
        settings = readiness.fit_connections(settings, service)
        readiness.check_identity(compose.build_keystone(settings, service.authority))
    with block_signals():
        _LOG.info(
            "Partage %s listens on %s with %d workers; Ctrl-C ends it",
            partage.__version__,
            listening.describe(listener),
            settings.workers,
        )
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
    jobs: Sequence[Callable[..., None]] = (),
) -> int:
    """Serve requests on `listener` with the configured number of workers; return the exit status when all have ended.

    `identities` are those of the stores, as they were found at the start. Each of the further `jobs`, which take the settings and
    `sheets`, has a process of its own. So have maintenance and cache together, and the metrics, if they are on. After SIGHUP
    new workers, with the settings that `load` reads, take over.

    Raises:
        Unavailable: the address of the metrics cannot be listened on.
    """
    logs.configure(settings.log)
    for name in compose.list_unused_rules(settings):
        _LOG.warning(
            "the policy file %s has the rule %s, which nothing asks for; look at how it is written", settings.policy_file, name
        )
    exporting = metrics_exporter.prepare(settings, settings.metrics.port)
    life = secrets.token_bytes(LIFE_BYTES)

    def list_jobs(chosen: Settings) -> list[Job]:
        sheets = None if exporting is None else exporting.sheets
        listed = _list_jobs(chosen, listener, identities, [partial(each, sheets=sheets) for each in jobs], sheets, life=life)
        return listed if exporting is None else [*listed, partial(_run_beside, chosen, listener, exporting.export)]

    supervisor = Supervisor(
        jobs=list_jobs(settings),
        grace_seconds=settings.grace_seconds,
        dependencies=dependencies,
        close_shared=listener.close,
    )

    def reload() -> Sequence[Job]:
        reloaded = reloading.reload(settings, load)
        supervisor.grace_seconds = reloaded.grace_seconds
        return list_jobs(reloaded)

    supervisor.reload = reload
    return supervisor.run()


def _list_jobs(
    settings: Settings,
    listener: socket.socket,
    identities: Mapping[StoreID, Identity],
    further: Sequence[Callable[[Settings], None]],
    sheets: Sheets | None,
    *,
    life: bytes,
) -> list[Job]:
    shares = ConnectionCounts(settings.workers)
    jobs: list[Job] = [
        partial(_serve_requests, settings, listener, identities, (shares, number), sheets, life=life)
        for number in range(settings.workers)
    ]
    if settings.cache_directory is not None:
        readiness.prepare_cache(settings.cache_directory)
    if settings.maintenance.enabled or settings.cache.enabled:
        further = [*further, partial(maintainer.maintain, identities=identities, sheets=sheets, checks_identity=True, life=life)]
    return [*jobs, *(partial(_run_beside, settings, listener, job) for job in further)]


def _run_beside(settings: Settings, listener: socket.socket, job: Callable[[Settings], None]) -> None:
    listener.close()  # otherwise the socket would stay open in a process that accepts no connections
    job(settings)


def _serve_requests(
    settings: Settings,
    listener: socket.socket,
    identities: Mapping[StoreID, Identity],
    share: tuple[ConnectionCounts, int],
    sheets: Sheets | None,
    *,
    life: bytes,
) -> None:
    memory.reuse_freed_buffers()
    priority.shorten_switch_interval()
    given = settings.connections
    most = limit_connections(given.per_worker, descriptors.raise_limit(), descriptors.RESERVED)
    timeouts = StopTimeouts(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds)
    with compose.open_service(settings, with_cache=True, identities=identities, sheets=sheets, traced=True, life=life) as service:
        connections = Connections(
            most=most,
            head_seconds=given.header_timeout_seconds,
            idle_seconds=given.idle_seconds,
            unsent_bytes=given.max_unsent_bytes,
            meter=service.process.meter,
        )
        identity = compose.build_keystone(settings, service.authority, service.process.meter)
        readiness_ = Readiness((DATABASE, STORES, IDENTITY), meter=service.process.meter, clock=service.clock)
        application = compose.build_application(settings, service, identity, readiness_)
        server = Server(configure(application, stall_seconds=settings.stall_seconds), connections, share, timeouts)
        with (
            presence.report_process(service, Purpose.REQUESTS),
            housekeeping.start(service),
            readiness_checks.start(service, identity, readiness_),
        ):
            server.run(sockets=[listener])
        last_downloads.write_at_stop(service)
