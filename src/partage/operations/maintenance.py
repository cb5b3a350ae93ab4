"""Run maintenance jobs, one worker at a time for each, whichever of the processes that share the database comes first.

1. A worker whose look finds a job due takes the lease of the run: a random token in the job's row (compare-and-set).
2. While it works it renews the row (heartbeat), and checks before each step that it still has the lease. A run that could not
   renew for 30 s stops itself.
3. The end of the run is a compare-and-set, too: it records the outcome and when the next run is due.

A worker that died is detected as for uploads, see `operations/recovery.py`: at once on the same machine, after 60 s without a
heartbeat elsewhere. So two runs of a job overlap only if one step, such as the rewriting of one pack, takes longer than 30 s; and
every job is safe beside another run of itself.

Due times are written by one host's clock and read by another's. A host starts a job at most once in each pause by its own
monotonic clock, and takes a due time for wrong that lies further ahead than the interval. So wrong clocks make a job run more
often, at most once for each host and interval, and never stop it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from partage import problems
from partage.measures import Activity
from partage.model.maintenance import MaintenanceJob, MaintenanceState, Outcome, Report
from partage.operations import failures, recovery
from partage.operations.leases import Interrupted, Lease
from partage.operations.service import Service
from partage.records import maintenance
from partage.records.database import Transaction

_MESSAGE_CHARACTERS = 1000

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a job is given: what it may do, and where the last run stopped."""

    lease: Lease
    cursor: str
    report: Report
    """What the run that stopped at `cursor` had reported; empty if `cursor` is."""
    save: Callable[[str, Report], None]
    """Records how far the run has come. Raises Interrupted if another worker has taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a job runs and what it does. `first_after`: the pause before the first run ever."""

    job: MaintenanceJob
    interval: timedelta
    first_after: timedelta
    run: Callable[[Service, Run], Report]
    is_quiet: bool = False
    """Runs are frequent: their begin and end are logged as details."""


class Maintainer:
    """Runs one job whenever it is due. For one thread."""

    def __init__(
        self, service: Service, plan: Plan, *, may_go_on: Callable[[], bool], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Plan a job. A run is interrupted as soon as `may_go_on` returns False."""
        self._service = service
        self._plan = plan
        self._may_go_on = may_go_on
        self._monotonic = monotonic
        self._not_before = float("-inf")

    def run_if_due(self) -> bool:
        """Run the job if it is due and no other worker runs it. Return False: a look is enough until the next.

        Raises:
            Problem: the run failed; the failure is recorded, and the next attempt planned.
            DatabaseUnavailable: the database does not respond.
        """
        service, plan = self._service, self._plan
        _end_dead_run(service, plan.job, plan.interval)
        state = _find_or_add(service, plan.job, due_at=service.clock() + plan.first_after)
        if self._monotonic() < self._not_before or not state.is_due(interval=plan.interval, now=service.clock()):
            return False
        lease = _take_lease(service, state, self._may_go_on, self._monotonic)
        if lease is not None:
            self._run(lease)
        return False

    def _run(self, lease: Lease) -> None:
        service, plan = self._service, self._plan
        level = logging.DEBUG if plan.is_quiet else logging.INFO
        _LOG.log(level, "%s began", plan.job)
        began_at = self._monotonic()
        trace = service.process.meter.trace(Activity.MAINTENANCE)
        outcome = Outcome.FAILURE
        report: Report = {}
        try:
            with _record_run(service, plan.job, plan.interval, lease, service.clock()) as run:
                report = plan.run(service, run)
                ended = _end(service, lease, lambda state: state.succeed(report, interval=plan.interval, now=service.clock()))
            outcome = Outcome.SUCCESS
        except Interrupted as interruption:
            outcome = Outcome.STOPPED
            _LOG.info("%s was interrupted: %s; the next worker goes on", plan.job, interruption)
            return
        finally:
            counts = {name: value for name, value in report.items() if isinstance(value, int)}
            trace.end(job=plan.job.value, outcome=outcome.value, **counts)
            self._not_before = self._monotonic() + self._find_pause(lease)
        taken = self._monotonic() - began_at
        if ended is not None and ended.due_at is not None:
            due_at = ended.due_at.isoformat(timespec="seconds")
            _LOG.log(level, "%s ended after %.1f s: %s; next at %s", plan.job, taken, describe(ended.report), due_at)

    def _find_pause(self, lease: Lease) -> float:
        """Return for how long this process starts no other run: until the next is due, by this host's clock."""
        try:
            with self._service.database.read() as tx:
                state = maintenance.find(tx, self._plan.job)
        except problems.DatabaseUnavailable:
            return 0.0
        if state is None or state.due_at is None or state.token is not None or lease.is_lost:
            return 0.0
        return (state.due_at - self._service.clock()).total_seconds()


def renew_leases(service: Service, *, monotonic: Callable[[], float] = time.monotonic) -> None:
    """Send the heartbeats of this process's runs.

    Raises:
        DatabaseUnavailable: the database does not respond; the runs stop themselves if that goes on.
    """
    for lease in [*service.process.leases.values()]:
        began_at = monotonic()
        with service.database.write() as tx:
            is_held = maintenance.renew(tx, lease.token, now=service.clock())
        if is_held:
            lease.note_renewal(began_at)
        else:
            lease.lose()


def list_states(service: Service) -> list[MaintenanceState]:
    """Return the state of every job that was ever planned or run."""
    with service.database.read() as tx:
        return maintenance.list_states(tx)


@contextmanager
def record_by_hand(
    service: Service, job: MaintenanceJob, *, interval: timedelta | None = None
) -> Iterator[dict[str, int | str | list[str]]]:
    """Record what is done within the block as a run of a job; the block puts what it did into the report that is yielded.

    Where another worker runs the job, the block runs beside it, and is not recorded. `interval` says when the next run is due;
    None: the job does not run by itself.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    _end_dead_run(service, job, interval)
    state = _find_or_add(service, job, due_at=None)
    lease = None if state.token else _take_lease(service, state, lambda: True, time.monotonic)
    report: dict[str, int | str | list[str]] = {}
    if lease is None:
        _LOG.warning("%s runs in another process since %s; this run beside it is not recorded", job, state.started_at)
        yield report
        return
    with _record_run(service, job, interval, lease, state.due_at):
        yield report
        _end(service, lease, lambda state: state.succeed(report, interval=interval, now=service.clock()))


def describe(report: Report) -> str:
    """Name in one line what a run did."""
    parts = [f"{name} {value}" for name, value in report.items() if value and not isinstance(value, list)]
    return ", ".join(parts) or "nothing to do"


@contextmanager
def _record_run(
    service: Service, job: MaintenanceJob, interval: timedelta | None, lease: Lease, due_at: datetime | None
) -> Iterator[Run]:
    """Give a run what it needs; end its lease if it does not come to its end. `due_at`: when the rest of a stopped run is due."""
    state = _find(service, job)
    try:
        yield Run(
            lease=lease,
            cursor=state.cursor,
            report=state.report if state.cursor else {},
            save=partial(_save_progress, service, lease),
        )
    except (Interrupted, KeyboardInterrupt):
        _end(service, lease, lambda state: state.stop(now=service.clock(), due_at=due_at))
        raise
    except Exception as error:
        words = error.sentence() if isinstance(error, problems.Problem) else failures.describe(error)
        _end(service, lease, lambda state: state.fail(words[:_MESSAGE_CHARACTERS], interval=interval, now=service.clock()))
        raise
    finally:
        service.process.leases.pop(lease.token, None)


def _find(service: Service, job: MaintenanceJob) -> MaintenanceState:
    with service.database.read() as tx:
        return maintenance.find(tx, job) or MaintenanceState(job=job)


def _find_or_add(service: Service, job: MaintenanceJob, *, due_at: datetime | None) -> MaintenanceState:
    """Return the state of a job; insert one if it was never planned or run."""
    with service.database.read() as tx:
        state = maintenance.find(tx, job)
    if state is not None:
        return state
    with service.database.write() as tx:
        maintenance.add(tx, MaintenanceState(job=job, due_at=due_at))
    return _find(service, job)


def _take_lease(
    service: Service, state: MaintenanceState, may_go_on: Callable[[], bool], monotonic: Callable[[], float]
) -> Lease | None:
    lease = Lease(service.new_id(), may_go_on=may_go_on, monotonic=monotonic)
    started = state.start(token=lease.token, worker=service.process.worker, now=service.clock())
    service.process.leases[lease.token] = lease  # before the row is there, or this process would take the run for dead
    try:
        with service.database.write() as tx:
            is_taken = maintenance.change(tx, started, was=state)
    except BaseException:
        service.process.leases.pop(lease.token, None)
        raise
    if not is_taken:
        service.process.leases.pop(lease.token, None)
        return None
    return lease


def _save_progress(service: Service, lease: Lease, cursor: str, report: Report) -> None:
    with service.database.write() as tx:
        is_held = maintenance.save_progress(tx, lease.token, cursor, report)
    if not is_held:
        lease.lose()
    lease.check()


def _end(service: Service, lease: Lease, change: Callable[[MaintenanceState], MaintenanceState]) -> MaintenanceState | None:
    """End a run; return its last state, or None if another worker has taken over or the database does not respond.

    In the second case this process, or another, finds later that nothing runs under the lease.
    """
    try:
        with service.database.write() as tx:
            state = next((each for each in maintenance.list_states(tx) if each.token == lease.token), None)
            if state is None:
                return None
            ended = change(state)
            return ended if maintenance.change(tx, ended, was=state) else None
    except problems.DatabaseUnavailable as problem:
        service.process.failures.note(problem, "the end of a maintenance job is not recorded")
        return None


def _end_dead_run(service: Service, job: MaintenanceJob, interval: timedelta | None) -> None:
    """End the run of a worker that has died, so that the job can be run again."""

    def list_rows(tx: Transaction) -> list[_RunningRow]:
        state = maintenance.find(tx, job)
        return [] if state is None else _RunningRow.list_of(state)

    with service.database.read() as tx:
        if not list_rows(tx):
            return
    for row in recovery.find_dead(service, list_rows, maintenance.rewrite, own=service.process.leases):
        dead = row.state.interrupt(interval=interval, now=service.clock())
        with service.database.write() as tx:
            is_ended = maintenance.change(tx, dead, was=row.state)
        if is_ended:
            _LOG.warning("%s: its process %s has died; another run is due at %s", job, row.worker, dead.due_at)


@dataclass(frozen=True, slots=True)
class _RunningRow:
    """A job that a worker runs, as a row with a heartbeat."""

    state: MaintenanceState
    token: str
    worker: str
    renewed_at: datetime

    @classmethod
    def list_of(cls, state: MaintenanceState) -> "list[_RunningRow]":
        """Return the row of a state that is running; none if it is not."""
        if state.token is None or state.worker is None or state.renewed_at is None:
            return []
        return [cls(state, state.token, state.worker, state.renewed_at)]
