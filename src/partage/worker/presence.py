"""A process reports itself while it runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from partage import problems
from partage.model.process_state import REPORT_INTERVAL, Purpose
from partage.operations import processes
from partage.operations.service import Service
from partage.worker.periodic import JobRunner, PeriodicJob

_LOG = logging.getLogger(__name__)


@contextmanager
def report_process(service: Service, purpose: Purpose) -> Iterator[None]:
    """Report this process from a thread of its own until the block ends, and then withdraw it."""
    started_at = service.clock()

    def run() -> bool:
        processes.report(service, purpose, started_at)
        return False

    job = PeriodicJob(name="Report of this process", run=run, interval_seconds=REPORT_INTERVAL.total_seconds())
    with JobRunner(meter=service.process.meter) as runner:
        runner.start("presence", [job])
        yield
    try:
        processes.withdraw(service)
    except problems.DatabaseUnavailable as error:
        _LOG.debug("this process ended without a record of it: %s", error)
