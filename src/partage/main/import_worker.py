"""`partage worker`: do imports, beside the processes that answer requests."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from partage.main import housekeeping, logs, reloading
from partage.main.composition import compose, readiness
from partage.main.configuration.config import Settings
from partage.main.configuration.sections import ImportSettings
from partage.main.process import memory, priority
from partage.main.process.supervisor import Job, Supervisor, block_signals
from partage.model.ids import StoreID
from partage.model.task import TaskLane
from partage.stores.identity import Identity
from partage.worker import loop
from partage.worker.loop import Slots


def work(load: Callable[[], Settings]) -> int:
    """Check everything, do imports until a stop signal, and return the exit status.

    `load` reads the settings, now and after each SIGHUP.

    Raises:
        Problem: something stands in the way.
    """
    settings = load()
    readiness.prepare_directories(settings)
    with compose.open_service(settings) as service:
        readiness.check_database(service, upgrade=False)
        identities = readiness.check_stores(service)
    logs.configure(settings.log)
    with block_signals():
        print("Partage takes up imports; Ctrl-C ends it", flush=True)
        supervisor = Supervisor(jobs=[partial(do_imports, settings, identities)], grace_seconds=settings.grace_seconds)

        def reload() -> Sequence[Job]:
            again = reloading.reload(settings, load)
            supervisor.grace_seconds = again.grace_seconds
            return [partial(do_imports, again, identities)]

        supervisor.reload = reload
        return supervisor.run()


def do_imports(settings: Settings, identities: Mapping[StoreID, Identity]) -> None:
    """Do imports in this process until it is sent a stop signal."""
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with compose.open_service(settings, identities=identities) as service:
        ended = housekeeping.start(service)
        loop.run(service, stop, slots(settings.imports))
        ended.set()


def slots(settings: ImportSettings) -> dict[TaskLane, Slots]:
    """Say how many imports of each kind a worker does at a time."""
    return {
        TaskLane.HERE: Slots(settings.max_concurrent, settings.max_concurrent_per_project),
        TaskLane.WEB: Slots(settings.max_concurrent_downloads, settings.max_concurrent_downloads_per_project),
    }
