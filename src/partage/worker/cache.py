"""Look after this node's cache, until told to stop: fetch what is queued, and keep the directory and the notes of it in order."""

import logging
import threading
import time

from partage import problems
from partage.operations import cache as operations
from partage.operations.service import Cache, Service

POLL_SECONDS = 1.0
TIDY_SECONDS = 60.0
AFTER_FAILURE_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


def run(service: Service, cache: Cache, stop: threading.Event) -> None:
    """Do it until `stop` is set."""
    tidied_at = -TIDY_SECONDS
    while not stop.is_set():
        try:
            if time.monotonic() - tidied_at >= TIDY_SECONDS:
                tidied_at = time.monotonic()
                operations.tidy(service, cache)
            found = operations.fetch_next(service, cache, may_go_on=lambda: not stop.is_set())
        except problems.Unavailable as problem:
            _LOG.warning("the cache was not looked after: %s", problem)
            stop.wait(AFTER_FAILURE_SECONDS)
        else:
            if not found:
                stop.wait(POLL_SECONDS)
