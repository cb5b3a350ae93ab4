"""`partage worker`: do imports, beside the processes that answer requests."""

import signal
import threading

from partage.main import compose, housekeeping, logs, memory, priority, readiness
from partage.main.config import Settings
from partage.main.crew import Crew
from partage.worker import loop


def work(settings: Settings) -> int:
    """Check everything, do imports until a stop signal, and return the exit status.

    Raises:
        Problem: something stands in the way.
    """
    readiness.prepare_directories(settings)
    with compose.opened(settings) as service:
        readiness.check_database(service, upgrade=False)
    logs.configure(settings.log)
    print("Partage takes up imports; Ctrl-C ends it", flush=True)
    return Crew(duties=[lambda: do_imports(settings)], grace_seconds=settings.grace_seconds).run()


def do_imports(settings: Settings) -> None:
    """Do imports in this process until it is sent a stop signal."""
    memory.keep_buffers()
    priority.step_back()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with compose.opened(settings) as service:
        housekeeping.start(service)
        loop.run(service, stop, at_once=settings.imports.at_once)
