"""Send events to webhooks, in threads of an import worker.

Each thread serves one project at a time, and no two threads serve the same one: a slow receiver delays the events of its own
project only, as long as fewer projects than threads have one; then the others wait for the timeout of one request.
"""

import threading

from partage.operations.service import Service
from partage.operations.sharing import deliveries
from partage.worker.periodic import JobRunner, PeriodicJob

POLL_SECONDS = 2.0


def start(service: Service, stopping: threading.Event, *, threads: int) -> JobRunner:
    """Start the threads. Stop the runner that is returned before the service's database is closed; `stopping` ends it, too."""
    runner = JobRunner(stopping, meter=service.process.meter)
    for number in range(threads):
        job = PeriodicJob(
            name=f"Delivery of events to webhooks ({number})",
            run=lambda: deliveries.deliver_next(service),
            interval_seconds=POLL_SECONDS,
        )
        runner.start(f"webhooks-{number}", [job])
    return runner
