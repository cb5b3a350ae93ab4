"""What every worker does beside serving: say that it lives, take up what a dead one left, remove what was kept long enough."""

import logging
import threading
from collections.abc import Callable

from partage.main.process import memory
from partage.operations import pending_deletes, promises, recovery, tasks
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from partage.worker import jobs
from partage.worker.jobs import Job

INTERVAL_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def start(service: Service, *, interval_seconds: float = INTERVAL_SECONDS) -> threading.Event:
    """Do it now and then every few seconds on threads of its own; set the event that is returned to end it.

    The heartbeat has a thread to itself: nothing else that fails or takes long may silence it.
    """
    stop = threading.Event()
    jobs.start("heartbeat", heartbeat(service, interval_seconds), stop)
    jobs.start("housekeeping", housework(service, interval_seconds), stop)
    jobs.start("memory", [trimming()], stop)
    return stop


def heartbeat(service: Service, interval_seconds: float) -> list[Job]:
    """List the jobs that say that this worker lives. They are tried at every interval, however often they fail."""

    def job(name: str, act: Callable[[Service], None]) -> Job:
        def renew() -> bool:
            act(service)
            return False

        return Job(name=name, act=renew, interval_seconds=interval_seconds, longest_pause_seconds=interval_seconds)

    return [
        job("Saying that the uploads of this worker go on", recovery.renew),
        job("Saying that the imports of this worker go on", import_runs.renew),
    ]


def trimming() -> Job:
    """Make the job that gives free memory back to the kernel."""

    def trim() -> bool:
        memory.return_free_memory()
        return False

    return Job(name="Giving free memory back", act=trim, interval_seconds=memory.TRIM_SECONDS)


def housework(service: Service, interval_seconds: float) -> list[Job]:
    """List the jobs that take up what dead workers left, and remove what was kept long enough."""

    def job(name: str, act: Callable[[Service], int], level: int, words: str) -> Job:
        def work() -> bool:
            count = act(service)
            if count:
                _LOG.log(level, words, count)
            return False

        return Job(name=name, act=work, interval_seconds=interval_seconds)

    scrubbed = "%d deleted images were scrubbed; their bytes go with the next sweep"
    return [
        job("Looking for uploads that died", recovery.recover, logging.WARNING, "%d images whose upload died are queued again"),
        job("Looking for imports that died", import_runs.recover, logging.WARNING, "%d imports had no worker any more"),
        job("Scrubbing deleted images", pending_deletes.scrub, logging.INFO, scrubbed),
        job(
            "Removing shares that have ended",
            promises.remove_expired,
            logging.INFO,
            "%d retained images are no longer promised",
        ),
        job("Removing expired tasks", tasks.remove_expired, logging.INFO, "%d tasks that ended two days ago were removed"),
    ]
