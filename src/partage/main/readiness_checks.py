"""The checks behind `/readiness`, each in a thread of its own: one that hangs delays no other."""

from collections.abc import Callable

from partage.identity.keystone import Keystone
from partage.operations import readiness
from partage.operations.readiness import DATABASE, IDENTITY, STORES, Readiness
from partage.operations.service import Service
from partage.worker.periodic import JobRunner, PeriodicJob


def start(service: Service, identity: Keystone, states: Readiness) -> JobRunner:
    """Start the checks. Stop the runner that is returned before the service's database is closed."""
    runner = JobRunner(meter=service.process.meter)

    def check(name: str, act: Callable[[], None]) -> None:
        def run() -> bool:
            states.check(name, act)
            return False

        job = PeriodicJob(name=f"Check of the {name}", run=run, interval_seconds=readiness.CHECK_SECONDS)
        runner.start(f"check-{name}", [job])

    check(DATABASE, lambda: readiness.check_database(service))
    check(STORES, lambda: readiness.check_stores(service))
    check(IDENTITY, identity.check)
    return runner
