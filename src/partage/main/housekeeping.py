"""Periodic jobs of every worker: heartbeat, recovery after workers that died, closings of projects, trimming of memory."""

import logging
from collections.abc import Callable

from partage.main.process import memory
from partage.operations import last_downloads, recovery
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from partage.operations.sharing import closing
from partage.worker.periodic import JobRunner, PeriodicJob

INTERVAL_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def start(service: Service, *, interval_seconds: float = INTERVAL_SECONDS) -> JobRunner:
    """Start the jobs in threads of their own. Stop the runner that is returned before the service's database is closed.

    The heartbeat has a thread to itself: no other job that fails or takes long may delay it.
    """
    runner = JobRunner(meter=service.process.meter)
    runner.start("heartbeat", _list_heartbeat_jobs(service, interval_seconds))
    runner.start("housekeeping", _list_housekeeping_jobs(service, interval_seconds))
    # A closing takes as long as the project has images.
    runner.start("closings", [_make_closing_job(service, interval_seconds)])
    runner.start("last downloads", [_make_last_downloads_job(service)])
    runner.start("memory", [_trim_memory_job()])
    return runner


def _list_heartbeat_jobs(service: Service, interval_seconds: float) -> list[PeriodicJob]:
    """List the jobs that renew the rows of this worker. They do not back off: a late heartbeat counts as a dead worker."""

    def job(name: str, renew: Callable[[Service], None]) -> PeriodicJob:
        def run() -> bool:
            renew(service)
            return False

        return PeriodicJob(name=name, run=run, interval_seconds=interval_seconds, max_backoff_seconds=interval_seconds)

    return [
        job("Heartbeat of uploads", recovery.renew),
        job("Heartbeat of imports", import_runs.renew),
    ]


def _list_housekeeping_jobs(service: Service, interval_seconds: float) -> list[PeriodicJob]:
    """List the jobs that recover what dead workers left."""

    def job(name: str, act: Callable[[Service], int], level: int, message: str) -> PeriodicJob:
        def run() -> bool:
            count = act(service)
            if count:
                _LOG.log(level, message, count)
            return False

        return PeriodicJob(name=name, run=run, interval_seconds=interval_seconds)

    return [
        job(
            "Recovery of uploads",
            recovery.recover,
            logging.WARNING,
            "the workers of %d uploads died; their images are queued again, and clients have to repeat the uploads",
        ),
        job(
            "Recovery of imports",
            import_runs.recover,
            logging.WARNING,
            "%d imports had no running worker; they are retried, or fail after too many attempts",
        ),
    ]


def _make_closing_job(service: Service, interval_seconds: float) -> PeriodicJob:
    return PeriodicJob(name="Closing of projects", run=lambda: closing.carry_out_due(service), interval_seconds=interval_seconds)


def _make_last_downloads_job(service: Service) -> PeriodicJob:
    def run() -> bool:
        last_downloads.write(service)
        return False

    return PeriodicJob(name="Record of last downloads", run=run, interval_seconds=last_downloads.WRITE_SECONDS)


def _trim_memory_job() -> PeriodicJob:
    def run() -> bool:
        memory.return_free_memory()
        return False

    return PeriodicJob(name="Return of free memory", run=run, interval_seconds=memory.TRIM_SECONDS)
