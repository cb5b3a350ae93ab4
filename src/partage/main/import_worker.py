"""`partage worker`: run imports, and listen to other services, in processes separate from those that serve requests."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import partage
from partage.main import housekeeping, logs, maintainer, metrics_exporter, reloading
from partage.main.composition import compose, listening, readiness
from partage.main.configuration.config import Settings
from partage.main.configuration.sections import ImportSettings
from partage.main.process import memory, priority
from partage.main.process.supervisor import Job, Supervisor, block_signals
from partage.metrics.sheets import Sheets
from partage.model.ids import StoreID
from partage.model.process_state import Purpose
from partage.model.task import TaskLane
from partage.stores.identity import Identity
from partage.worker import imports, presence, webhooks
from partage.worker.imports import Slots
from partage.worker.periodic import JobRunner

_LOG = logging.getLogger(__name__)


def work(load: Callable[[], Settings]) -> int:
    """Check the configuration, run imports until a stop signal, and return the exit status.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: the worker cannot start.
    """
    settings = load()
    logs.configure(settings.log)
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        identities = readiness.check_stores(service)
        listening.build_listener(settings.listener, service)  # so that a wrong setting ends the command, not its child
    exporting = metrics_exporter.prepare(settings, settings.metrics.worker_port)
    with block_signals():
        _LOG.info("Partage %s runs imports; Ctrl-C ends it", partage.__version__)

        def list_jobs(chosen: Settings) -> Sequence[Job]:
            sheets = None if exporting is None else exporting.sheets
            jobs: list[Job] = [partial(run_imports, chosen, identities, sheets)]
            if chosen.maintenance.enabled:
                jobs.append(partial(maintainer.maintain, chosen, identities, sheets))
            return jobs if exporting is None else [*jobs, partial(exporting.export, chosen)]

        supervisor = Supervisor(jobs=list_jobs(settings), grace_seconds=settings.grace_seconds)

        def reload() -> Sequence[Job]:
            reloaded = reloading.reload(settings, load)
            supervisor.grace_seconds = reloaded.grace_seconds
            return list_jobs(reloaded)

        supervisor.reload = reload
        return supervisor.run()


def run_imports(settings: Settings, identities: Mapping[StoreID, Identity], sheets: Sheets | None = None) -> None:
    """Run imports in this process until a stop signal."""
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    claimers = JobRunner()
    claimers.stop_on_signals()
    with (
        compose.open_service(settings, identities=identities, sheets=sheets, traced=True) as service,
        presence.report_process(service, Purpose.IMPORTS),
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
