"""Run import tasks, several at a time, until the process is stopped.

Tasks whose data is already here and tasks that download from the web have separate lanes, each with its own slots. One project gets
only some slots of a lane, so that another project's task starts at once.

A stopped worker finishes the tasks that it runs, or is killed at the end of the grace period: then the heartbeat of its claims
stops, and another worker takes the tasks over.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.task import TaskLane
from partage.operations.imports import run as import_runs
from partage.operations.imports.steps import Run
from partage.operations.service import Service
from partage.worker.periodic import JobRunner, PeriodicJob

POLL_SECONDS = 0.5
"""How long a task waits at most while a slot is free. One poll costs a tenth of a millisecond."""

WATCH_SECONDS = 1.0
"""How often the worker checks whether its running tasks were cancelled or taken over."""

MAX_BACKOFF_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slots:
    """How many tasks of a lane run at a time, and how many of them may be one project's. One slot is always for other projects."""

    at_once: int
    per_project: int

    @property
    def of_one_project(self) -> int:
        """How many slots one project gets."""
        return max(1, min(self.per_project, self.at_once - 1))


def run(service: Service, claimers: JobRunner, slots: Mapping[TaskLane, Slots]) -> None:
    """Run tasks until `claimers`, which claims them, is stopped and the tasks that were started have ended."""

    def watch() -> bool:
        import_runs.cancel_lost(service)
        return False

    with JobRunner(meter=service.process.meter) as watcher:
        watcher.start(
            "imports-watched",
            [
                PeriodicJob(
                    name="Cancellation of imports that are no longer wanted",
                    run=watch,
                    interval_seconds=WATCH_SECONDS,
                    max_backoff_seconds=MAX_BACKOFF_SECONDS,
                )
            ],
        )
        lanes = [_Lane(service, lane, of_lane) for lane, of_lane in slots.items()]
        for each in lanes:
            claimers.start(f"imports-{each.lane}", [each.make_polling_job()])
        claimers.join()
        for each in lanes:
            each.wait()


class _Lane:
    """The slots of one lane. A single thread claims tasks, so that two threads never count a project's tasks at the same time."""

    def __init__(self, service: Service, lane: TaskLane, slots: Slots) -> None:
        self.lane = lane
        self._service = service
        self._slots = slots
        self._free = threading.Semaphore(slots.at_once)

    def make_polling_job(self) -> PeriodicJob:
        """Make the job that claims a task when a slot is free."""
        return PeriodicJob(
            name=f"Polling for imports ({self.lane})",
            run=self._claim,
            interval_seconds=POLL_SECONDS,
            max_backoff_seconds=MAX_BACKOFF_SECONDS,
        )

    def wait(self) -> None:
        """Wait until every task has ended."""
        for _ in range(self._slots.at_once):
            self._free.acquire()

    def _claim(self) -> bool:
        if not self._free.acquire(blocking=False):
            return False
        is_started = False
        try:
            work = import_runs.claim(self._service, self.lane, per_project=self._slots.of_one_project)
            if work is not None:
                self._start(work)
                is_started = True
        finally:
            if not is_started:
                self._free.release()
        return is_started

    def _start(self, work: Run) -> None:
        thread = threading.Thread(target=self._run, args=(work,), name=f"import-{work.task.id}", daemon=True)
        try:
            thread.start()
        except BaseException:
            import_runs.leave(self._service, work)
            raise

    def _run(self, work: Run) -> None:
        try:
            import_runs.run(self._service, work)
        except problems.Problem as problem:
            self._service.process.failures.note(
                problem, f"{work.task.request_id}: task {work.task.id} is interrupted and will be retried by a worker"
            )
        except Exception:  # noqa: BLE001 - nothing else would log that the thread has ended
            _LOG.exception("task %s is interrupted and will be retried by a worker", work.task.id)
        finally:
            self._free.release()
