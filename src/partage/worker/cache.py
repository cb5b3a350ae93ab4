"""Look after this node's cache, until told to stop: fetch what is queued, and keep the directory and the notes of it in order."""

import threading

from partage.operations import cache as operations
from partage.operations.service import Cache, Service
from partage.worker import jobs
from partage.worker.jobs import Job

POLL_SECONDS = 1.0
TIDY_SECONDS = 60.0
AFTER_FAILURE_SECONDS = 5.0


def run(service: Service, cache: Cache, stop: threading.Event) -> None:
    """Do it until `stop` is set."""

    def tidy() -> bool:
        operations.tidy(service, cache)
        return False

    def fetch() -> bool:
        return operations.fetch_next(service, cache, may_go_on=lambda: not stop.is_set())

    jobs.repeat(
        [
            Job(name="Tidying the cache", act=tidy, interval_seconds=TIDY_SECONDS),
            Job(
                name="Fetching images into the cache",
                act=fetch,
                interval_seconds=POLL_SECONDS,
                longest_pause_seconds=AFTER_FAILURE_SECONDS,
            ),
        ],
        stop,
    )
