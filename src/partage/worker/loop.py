"""Take up tasks one after the other, several at a time, until told to stop.

A worker that is told to stop ends after the tasks it is at, or is killed at the end of the grace period: its claims then show that
it died, and another one takes them over.
"""

import threading

from partage.operations import import_runs
from partage.operations.service import Service
from partage.worker import jobs
from partage.worker.jobs import Job

POLL_SECONDS = 0.5
"""How long a task waits at most while a worker is idle. One look costs a tenth of a millisecond."""

AFTER_FAILURE_SECONDS = 5.0


def run(service: Service, stop: threading.Event, *, at_once: int) -> None:
    """Do tasks, `at_once` of them at a time, until `stop` is set and they have ended."""

    def take_up() -> bool:
        work = import_runs.claim(service)
        if work is None:
            return False
        import_runs.run(service, work)
        return not stop.is_set()

    job = Job(name="Taking up imports", act=take_up, interval_seconds=POLL_SECONDS, longest_pause_seconds=AFTER_FAILURE_SECONDS)
    threads = [jobs.start(f"import-{number}", [job], stop) for number in range(at_once)]
    for thread in threads:
        thread.join()
