"""The process that shows the metrics of all processes of a program to Prometheus: `metrics.port`, or `metrics.worker_port`."""

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import partage
from partage import problems
from partage.http.metrics_page import PATH, MetricsPage
from partage.http.server.accepting import ConnectionCounts
from partage.http.server.connections import Connections
from partage.http.server.server import Server, StopTimeouts, configure
from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.process import listening, liveness
from partage.measures import Level
from partage.metrics import exposition
from partage.metrics.exposition import Observed
from partage.metrics.sheets import Sheets
from partage.model.maintenance import MaintenanceState
from partage.operations import maintenance, observation
from partage.operations.observation import Sizes, Work
from partage.operations.service import Service

CONNECTIONS = 32
"""Connections to the page: Prometheus servers keep one each."""

_STALL_SECONDS = 30.0
_LOG = logging.getLogger(__name__)

BUILD = Level("build_info", "The release; always 1", ("version",))
DATABASE_UP = Level("database_up", "Whether the database answered this scrape")
TASKS = Level("tasks", "Import tasks by status; ended ones are kept for 48 hours", ("status",))
MAINTENANCE_AGE = Level(
    "maintenance_success_age_seconds", "Time since the last success of a maintenance job; none before the first", ("name",)
)
MAINTENANCE_FAILURES = Level(
    "maintenance_failures", "Runs of a maintenance job that failed in a row, or whose process died", ("name",)
)
OLDEST_WAITING = Level("task_oldest_waiting_seconds", "Age of the oldest task that no worker has claimed; 0 without one")
UPLOADS = Level("uploads", "Running uploads of all hosts, as the database records them")
IMAGES = Level("images", "Images")
LOGICAL_BYTES = Level("logical_bytes", "Sizes of all images together")
CONTENT_BYTES = Level("content_bytes", "Sizes of all different contents together")
UNIQUE_BYTES = Level("unique_bytes", "Sizes of all different chunks of a store, before compression", ("store",))
STORED_BYTES = Level("stored_bytes", "Sizes of all packs of a store: what it holds, also what a sweep will free", ("store",))
CACHE_COPIES = Level("cache_copies", "Images in the cache of this host, whole or in part")
CACHE_BYTES = Level("cache_bytes", "Bytes on disk of the cache of this host")
SCRAPE_SECONDS = Level("observation_seconds", "Time that the database took for this page")

OBSERVED = (
    BUILD, DATABASE_UP, TASKS, OLDEST_WAITING, MAINTENANCE_AGE, MAINTENANCE_FAILURES, UPLOADS, IMAGES, LOGICAL_BYTES, CONTENT_BYTES,
    UNIQUE_BYTES, STORED_BYTES, CACHE_COPIES, CACHE_BYTES, SCRAPE_SECONDS,
)  # fmt: skip
"""What is read at each scrape. Sizes are read at most every `metrics.sizes_seconds`."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """The shared memory of a program, and the socket of the process that shows it. Made by the parent."""

    sheets: Sheets
    listener: socket.socket

    def export(self, settings: Settings) -> None:
        """Serve the page in this process until a stop signal."""
        _export(settings, self.listener, self.sheets)


def prepare(settings: Settings, port: int) -> Exporting | None:
    """Listen for scrapes on `port` of `metrics.host`; None if it is 0.

    Raises:
        Unavailable: the port is in use or not permitted, or the address is not this machine's.
    """
    if not port:
        return None
    return Exporting(Sheets(), listening.listen(settings.metrics.host, port, names=("metrics.host", "metrics.port")))


def _export(settings: Settings, listener: socket.socket, sheets: Sheets) -> None:
    with compose.open_service(settings, with_cache=True) as service:
        observer = Observer(service, sizes_seconds=settings.metrics.sizes_seconds)
        page = MetricsPage(
            lambda: exposition.write_page(sheets, observer.observe, is_alive=liveness.is_alive), exposition.CONTENT_TYPE
        )
        server = Server(
            configure(page, stall_seconds=_STALL_SECONDS),
            Connections(most=CONNECTIONS, head_seconds=5.0),
            (ConnectionCounts(1), 0),
            StopTimeouts(drain_seconds=0, grace_seconds=min(settings.grace_seconds, 5.0)),
        )
        _LOG.info("metrics are at %s%s", listening.describe(listener), PATH)
        server.run(sockets=[listener])


class Observer:
    """Reads from the database and the cache what no process counts. For one thread."""

    def __init__(self, service: Service, *, sizes_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet; sums over whole tables are read again after `sizes_seconds`."""
        self._service = service
        self._sizes_seconds = sizes_seconds
        self._monotonic = monotonic
        self._sizes: Sizes | None = None
        self._sizes_at = 0.0

    def observe(self) -> Iterable[Observed]:
        """Return what can be read now. While the database is away, what it would say is missing."""
        began = self._monotonic()
        yield Observed(BUILD, (((partage.__version__,), 1.0),))
        try:
            found = [*self._list_work(observation.observe_work(self._service)), *self._list_sizes(self._find_sizes())]
            found += self._list_maintenance(maintenance.list_states(self._service))
        except problems.DatabaseUnavailable:
            found = []
        yield from found
        yield _single(DATABASE_UP, float(bool(found)))
        yield from self._list_cache()
        yield _single(SCRAPE_SECONDS, self._monotonic() - began)

    def _find_sizes(self) -> Sizes:
        now = self._monotonic()
        if self._sizes is None or now - self._sizes_at >= self._sizes_seconds:
            self._sizes = observation.observe_sizes(self._service)
            self._sizes_at = now
        return self._sizes

    def _list_work(self, work: Work) -> Iterator[Observed]:
        yield Observed(TASKS, tuple(((status.value,), float(count)) for status, count in work.tasks.items()))
        yield _single(OLDEST_WAITING, self._find_age(work.oldest_waiting_at))
        yield _single(UPLOADS, work.uploads)

    def _list_maintenance(self, states: list[MaintenanceState]) -> Iterator[Observed]:
        ages = [((each.job.value,), self._find_age(each.succeeded_at)) for each in states if each.succeeded_at is not None]
        yield Observed(MAINTENANCE_AGE, tuple(ages))
        yield Observed(MAINTENANCE_FAILURES, tuple(((each.job.value,), float(each.failures)) for each in states))

    def _list_sizes(self, sizes: Sizes) -> Iterator[Observed]:
        yield _single(IMAGES, sizes.images)
        yield _single(LOGICAL_BYTES, sizes.logical_bytes)
        yield _single(CONTENT_BYTES, sizes.content_bytes)
        yield Observed(UNIQUE_BYTES, tuple(((store,), float(size)) for store, size in sizes.unique_bytes.items()))
        yield Observed(STORED_BYTES, tuple(((store,), float(size)) for store, size in sizes.stored_bytes.items()))

    def _list_cache(self) -> Iterator[Observed]:
        cache = self._service.stores.cache
        if cache is not None:
            copies, size_bytes = cache.directory.count()
            yield _single(CACHE_COPIES, copies)
            yield _single(CACHE_BYTES, size_bytes)

    def _find_age(self, moment: datetime | None) -> float:
        return 0.0 if moment is None else max(0.0, (self._service.clock() - moment).total_seconds())


def _single(measure: Level, value: float) -> Observed:
    return Observed(measure, (((), float(value)),))
