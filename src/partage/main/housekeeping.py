"""What every worker does beside serving: say that it lives, take up what a dead one left, scrub what waited long enough."""

import logging
import threading

from partage import problems
from partage.operations import import_runs, pending_deletes, recovery
from partage.operations.service import Service

INTERVAL_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def start(service: Service, *, interval_seconds: float = INTERVAL_SECONDS) -> threading.Event:
    """Do it now and then every few seconds on a thread of its own; set the event that is returned to end it."""
    stop = threading.Event()
    threading.Thread(target=_run, args=(service, stop, interval_seconds), name="housekeeping", daemon=True).start()
    return stop


def _run(service: Service, stop: threading.Event, interval_seconds: float) -> None:
    while True:
        try:
            recovery.renew(service)
            import_runs.renew(service)
            recovered = recovery.recover(service)
            taken_back = import_runs.recover(service)
            scrubbed = pending_deletes.scrub(service)
        except problems.DatabaseUnavailable as problem:
            _LOG.warning("What dead workers left was not looked for: %s", problem)
        else:
            if recovered:
                _LOG.warning("%d images whose upload died are queued again", recovered)
            if taken_back:
                _LOG.warning("%d imports had no worker any more", taken_back)
            if scrubbed:
                _LOG.info("%d deleted images were scrubbed; their bytes go with the next sweep", scrubbed)
        if stop.wait(interval_seconds):
            return
