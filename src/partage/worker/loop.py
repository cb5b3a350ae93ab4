"""Take up tasks, several at a time, until told to stop.

Tasks whose data is here already and tasks that wait for the web have lanes of their own, with so many slots each. Of the slots of
a lane one project can have only some, so that another project's task begins at once.

A worker that is told to stop ends after the tasks it is at, or is killed at the end of the grace period: its claims then show that
it died, and another one takes them over.
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
from partage.worker import jobs
from partage.worker.jobs import Job

POLL_SECONDS = 0.5
"""How long a task waits at most while a slot is free. One look costs a tenth of a millisecond."""

AFTER_FAILURE_SECONDS = 5.0
WATCH_SECONDS = 1.0
"""How often is looked whether what runs is still wanted."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slots:
    """How many tasks of a lane are done at a time, and how many of them may be one project's. One slot is always for others."""

    at_once: int
    per_project: int

    @property
    def of_one_project(self) -> int:
        """How many one project gets."""
        return max(1, min(self.per_project, self.at_once - 1))


def run(service: Service, stop: threading.Event, slots: Mapping[TaskLane, Slots]) -> None:
    """Do tasks until `stop` is set and those that were begun have ended."""
    lanes = [_Lane(service, lane, given) for lane, given in slots.items()]
    taking = [jobs.start(f"imports-{each.lane}", [each.job()], stop) for each in lanes]
    ended = threading.Event()

    def watch() -> bool:
        import_runs.cancel_lost(service)
        return False

    job = Job(name="Looking which imports are still wanted", act=watch, interval_seconds=WATCH_SECONDS, longest_pause_seconds=5.0)
    watching = jobs.start("imports-watched", [job], ended)
    for thread in taking:
        thread.join()
    for each in lanes:
        each.wait()
    ended.set()
    watching.join()


class _Lane:
    """The slots of one lane. One thread takes up tasks, so that nobody counts a project's tasks while another one adds to them."""

    def __init__(self, service: Service, lane: TaskLane, slots: Slots) -> None:
        self.lane = lane
        self._service = service
        self._slots = slots
        self._free = threading.Semaphore(slots.at_once)

    def job(self) -> Job:
        """Make the job that takes up a task when a slot is free."""
        return Job(
            name=f"Taking up imports ({self.lane})",
            act=self._take_up,
            interval_seconds=POLL_SECONDS,
            longest_pause_seconds=AFTER_FAILURE_SECONDS,
        )

    def wait(self) -> None:
        """Wait until every task has ended."""
        for _ in range(self._slots.at_once):
            self._free.acquire()

    def _take_up(self) -> bool:
        if not self._free.acquire(blocking=False):
            return False
        begun = False
        try:
            work = import_runs.claim(self._service, self.lane, per_project=self._slots.of_one_project)
            if work is not None:
                self._begin(work)
                begun = True
        finally:
            if not begun:
                self._free.release()
        return begun

    def _begin(self, work: Run) -> None:
        thread = threading.Thread(target=self._do, args=(work,), name=f"import-{work.task.id}", daemon=True)
        try:
            thread.start()
        except BaseException:
            import_runs.leave(self._service, work)
            raise

    def _do(self, work: Run) -> None:
        try:
            import_runs.run(self._service, work)
        except problems.Problem as problem:
            self._service.failures.note(problem, f"{work.task.request_id}: task {work.task.id} waits to be taken up again")
        except Exception:  # noqa: BLE001 - nobody else would say that the thread has ended
            _LOG.exception("task %s waits to be taken up again", work.task.id)
        finally:
            self._free.release()
