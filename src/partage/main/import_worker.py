"""`partage worker`: run imports, and listen to other services, in processes separate from those that serve requests."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from partage.main import housekeeping, logs, reloading
from partage.main.composition import compose, listening, readiness
from partage.main.configuration.config import Settings
from partage.main.configuration.sections import ImportSettings
from partage.main.process import memory, priority
from partage.main.process.supervisor import Job, Supervisor, block_signals
from partage.model.ids import StoreID
from partage.model.task import TaskLane
from partage.stores.identity import Identity
from partage.worker import imports, webhooks
from partage.worker.imports import Slots
from partage.worker.periodic import JobRunner


def work(load: Callable[[], Settings]) -> int:
    """Check the configuration, run imports until a stop signal, and return the exit status.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: the worker cannot start.
    """
    settings = load()
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        identities = readiness.check_stores(service)
        listening.build_listener(settings.listener, service)  # so that a wrong setting ends the command, not its child
    logs.configure(settings.log)
    with block_signals():
        print("Partage runs imports; stop it with Ctrl-C", flush=True)
        supervisor = Supervisor(jobs=[partial(run_imports, settings, identities)], grace_seconds=settings.grace_seconds)

        def reload() -> Sequence[Job]:
            reloaded = reloading.reload(settings, load)
            supervisor.grace_seconds = reloaded.grace_seconds
            return [partial(run_imports, reloaded, identities)]

        supervisor.reload = reload
        return supervisor.run()


def run_imports(settings: Settings, identities: Mapping[StoreID, Identity]) -> None:
    """Run imports in this process until a stop signal."""
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    claimers = JobRunner()
    claimers.stop_on_signals()
    with (
        compose.open_service(settings, identities=identities) as service,
        housekeeping.start(service),
        listening.build_listener(settings.listener, service),
        webhooks.start(service, claimers.stopping, threads=settings.webhooks.threads),
    ):
        imports.run(service, claimers, _count_slots(settings.imports))


def _count_slots(settings: ImportSettings) -> dict[TaskLane, Slots]:
    """Return how many imports of each lane a worker runs at a time."""
    return {
        TaskLane.HERE: Slots(settings.max_concurrent, settings.max_concurrent_per_project),
        TaskLane.WEB: Slots(settings.max_concurrent_downloads, settings.max_concurrent_downloads_per_project),
    }
