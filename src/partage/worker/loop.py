"""Take up tasks one after the other, several at a time, until told to stop.

A worker that is told to stop ends after the tasks it is at, or is killed at the end of the grace period: its claims then show that
it died, and another one takes them over.
"""

import logging
import threading

from partage import problems
from partage.operations import import_runs
from partage.operations.service import Service

POLL_SECONDS = 0.5
"""How long a task waits at most while a worker is idle. One look costs a tenth of a millisecond."""

AFTER_FAILURE_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def run(service: Service, stop: threading.Event, *, at_once: int) -> None:
    """Do tasks, `at_once` of them at a time, until `stop` is set and they have ended."""
    threads = [threading.Thread(target=_work, args=(service, stop), name=f"import-{number}") for number in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _work(service: Service, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            work = import_runs.claim(service)
            if work is not None:
                import_runs.run(service, work)
        except problems.DatabaseUnavailable as problem:
            _LOG.warning("No task can be taken up: %s", problem)
            stop.wait(AFTER_FAILURE_SECONDS)
        else:
            if work is None:
                stop.wait(POLL_SECONDS)
