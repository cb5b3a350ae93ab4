"""The periodic jobs of a node's cache: fetch queued images, tidy the directory and its records, keep its bounds, scrub it."""

import threading
from collections.abc import Callable

from partage.operations import cache as operations
from partage.operations.service import Cache, Service
from partage.worker.maintenance import Pace
from partage.worker.periodic import PeriodicJob

POLL_SECONDS = 1.0
TIDY_SECONDS = 60.0
PRUNE_SECONDS = 5.0
"""Also when no download writes: uploads need the space of a disk that fills up."""

MAX_BACKOFF_SECONDS = 5.0


def list_jobs(service: Service, cache: Cache, *, may_go_on: Callable[[], bool]) -> list[PeriodicJob]:
    """List the jobs. A fetch is interrupted as soon as `may_go_on` returns False."""

    def tidy() -> bool:
        operations.tidy(service, cache)
        return False

    def prune() -> bool:
        cache.directory.prune()
        return False

    def fetch() -> bool:
        return operations.fetch_next(service, cache, may_go_on=may_go_on)

    return [
        PeriodicJob(name="Tidying of the cache", run=tidy, interval_seconds=TIDY_SECONDS),
        PeriodicJob(name="Bounding of the cache", run=prune, interval_seconds=PRUNE_SECONDS),
        PeriodicJob(
            name="Fetching of queued images into the cache",
            run=fetch,
            interval_seconds=POLL_SECONDS,
            max_backoff_seconds=MAX_BACKOFF_SECONDS,
        ),
    ]


def plan_scrub(
    service: Service, cache: Cache, stopping: threading.Event, *, interval_seconds: float, bytes_per_second: int
) -> PeriodicJob:
    """Plan the verification of all copies, at that rate (zero: as fast as possible), for a thread of its own."""

    def scrub() -> bool:
        pace = Pace(bytes_per_second, lambda: None, stopping.wait)
        operations.scrub(service, cache, pace=pace.spend, may_go_on=lambda: not stopping.is_set())
        return False

    return PeriodicJob(name="Scrub of the cache", run=scrub, interval_seconds=interval_seconds)
