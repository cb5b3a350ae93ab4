"""The periodic jobs of a node's cache: fetch queued images, tidy the directory and its records."""

from collections.abc import Callable

from partage.operations import cache as operations
from partage.operations.service import Cache, Service
from partage.worker.periodic import PeriodicJob

POLL_SECONDS = 1.0
TIDY_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 5.0


def list_jobs(service: Service, cache: Cache, *, may_go_on: Callable[[], bool]) -> list[PeriodicJob]:
    """List the jobs. A fetch is interrupted as soon as `may_go_on` returns False."""

    def tidy() -> bool:
        operations.tidy(service, cache)
        return False

    def fetch() -> bool:
        return operations.fetch_next(service, cache, may_go_on=may_go_on)

    return [
        PeriodicJob(name="Tidying of the cache", run=tidy, interval_seconds=TIDY_SECONDS),
        PeriodicJob(
            name="Fetching of queued images into the cache",
            run=fetch,
            interval_seconds=POLL_SECONDS,
            max_backoff_seconds=MAX_BACKOFF_SECONDS,
        ),
    ]
