"""The maintenance jobs: sweep, verification and expiry, each in a thread of its own, and the heartbeat of their leases."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from partage.model.ids import ContentID
from partage.model.maintenance import MaintenanceJob, Report
from partage.operations import (
    cutting,
    failures,
    maintenance,
    partial_uploads,
    pending_deletes,
    processes,
    promises,
    sweep,
    tasks,
    verify,
)
from partage.operations.maintenance import Maintainer, Plan, Run
from partage.operations.service import Service
from partage.operations.sharing import event_feed, learning
from partage.operations.sweep import Swept
from partage.records.contents import ContentPosition
from partage.worker.periodic import JobRunner, PeriodicJob

POLL_SECONDS = 5.0
HEARTBEAT_SECONDS = 5.0

_SAVE_SECONDS = 10.0
_CUT_INTERVAL = timedelta(minutes=1)
_MOST_IMAGES = 100
"""A report names so many damaged images; the log names all."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the jobs run; an interval of zero means never. `verify_bytes_per_second` zero: as fast as possible.

    `cut_bytes_per_second` zero: data of a Glance that was taken over stays where it is.
    """

    sweep_interval: timedelta
    sweep_grace: timedelta
    verify_interval: timedelta
    verify_bytes_per_second: int
    expiry_interval: timedelta
    cut_bytes_per_second: int = 0

    def list_plans(self, wait: Callable[[float], object]) -> list[Plan]:
        """List the jobs that run by themselves. `wait` sleeps for some seconds, or less if the process stops."""
        plans = [
            plan_sweep(self.sweep_interval, self.sweep_grace),
            plan_verification(self.verify_interval, self.verify_bytes_per_second, wait),
            plan_expiry(self.expiry_interval),
            *([plan_cut(self.cut_bytes_per_second, wait)] if self.cut_bytes_per_second else []),
        ]
        return [plan for plan in plans if plan.interval]


def start(service: Service, runner: JobRunner, schedule: Schedule, *, poll_seconds: float = POLL_SECONDS) -> None:
    """Start a thread for each job in a runner that is stopped before the service's database is closed."""
    start_heartbeat(service, runner)
    for plan in schedule.list_plans(runner.stopping.wait):
        maintainer = Maintainer(service, plan, may_go_on=lambda: not runner.stopping.is_set())
        name = f"Maintenance ({plan.job})"
        runner.start(f"maintenance-{plan.job}", [PeriodicJob(name=name, run=maintainer.run_if_due, interval_seconds=poll_seconds)])


def start_heartbeat(service: Service, runner: JobRunner) -> None:
    """Renew the leases of this process's runs in a thread of its own, which no job can delay."""

    def renew() -> bool:
        maintenance.renew_leases(service)
        return False

    job = PeriodicJob(
        name="Heartbeat of maintenance", run=renew, interval_seconds=HEARTBEAT_SECONDS, max_backoff_seconds=HEARTBEAT_SECONDS
    )
    runner.start("maintenance-heartbeat", [job])


@contextmanager
def run_by_hand(service: Service, job: MaintenanceJob, interval_seconds: float = 0) -> Iterator[dict[str, int | str | list[str]]]:
    """Record a command as a run of a job, with its heartbeat; the command puts what it did into the report that is yielded.

    `interval_seconds` zero: the job does not run by itself.

    Raises:
        DatabaseUnavailable: the database does not respond.
    """
    interval = timedelta(seconds=interval_seconds) if interval_seconds else None
    with JobRunner() as runner, maintenance.record_by_hand(service, job, interval=interval) as report:
        start_heartbeat(service, runner)
        yield report


def plan_sweep(interval: timedelta, grace: timedelta) -> Plan:
    """Plan the garbage collection of the stores."""

    def run(service: Service, run: Run) -> Report:
        return report_sweep(sweep.sweep(service, grace=grace, check=run.lease.check))

    first_after = min(interval, timedelta(minutes=10))
    return Plan(job=MaintenanceJob.SWEEP, interval=interval, first_after=first_after, run=run)


def report_sweep(swept: Swept) -> dict[str, int | str | list[str]]:
    """Return the report of a sweep; log what the operator has to act on."""
    if swept.lost:
        _LOG.error("%d referenced chunks are missing at their indexed place; run 'partage manage rebuild-index'", swept.lost)
    if swept.held_for:
        _LOG.info("The sweep removed nothing from the stores: %s", swept.held_for)
    return {
        "contents": swept.contents,
        "marked": swept.marked,
        "chunks": swept.chunks,
        "packs": swept.packs,
        "bytes": swept.bytes,
        "leftovers": swept.leftovers,
        "postponed": len(swept.postponed),
        "unknown": len(swept.unknown),
        "lost": swept.lost,
        "held": swept.held_for or "",
    }


def plan_verification(interval: timedelta, bytes_per_second: int, wait: Callable[[float], object]) -> Plan:
    """Plan the reading of all stored data, at that rate. A run goes on where the last one stopped."""

    def run(service: Service, run: Run) -> Report:
        pace = Pace(bytes_per_second, run.lease.check, wait)
        counts = _Counts(run.report)
        saved_at = time.monotonic()
        for verdict in verify.verify(service, after=_parse_cursor(run.cursor), pace=pace.spend):
            run.lease.check()
            counts.add(verdict)
            if time.monotonic() - saved_at >= _SAVE_SECONDS or verdict.fault is not None:
                run.save(_format_cursor(verdict.position), counts.report())
                saved_at = time.monotonic()
        return counts.report()

    first_after = min(interval, timedelta(days=1))
    return Plan(job=MaintenanceJob.VERIFY, interval=interval, first_after=first_after, run=run)


def plan_cut(bytes_per_second: int, wait: Callable[[float], object]) -> Plan:
    """Plan the cutting of contents that were taken over in place, at that rate. A run goes on where the last one stopped."""

    def run(service: Service, run: Run) -> Report:
        pace = Pace(bytes_per_second, run.lease.check, wait)
        counts = {name: _as_number(run.report.get(name)) for name in ("contents", "failed")}
        for content_id in cutting.list_uncut(service, ContentID(run.cursor) if run.cursor else None):
            run.lease.check()
            counts["failed" if cutting.try_cut(service, content_id, pace.spend) else "contents"] += 1
            run.save(content_id, counts)
        if counts["contents"]:
            _LOG.info("%d contents of Glance were cut into chunks, %d failed", counts["contents"], counts["failed"])
        return counts

    return Plan(job=MaintenanceJob.CUT, interval=_CUT_INTERVAL, first_after=timedelta(0), run=run, is_quiet=True)


class Pace:
    """Limits how many bytes a run reads in a second, on average since its start."""

    def __init__(
        self,
        bytes_per_second: int,
        check: Callable[[], object],
        wait: Callable[[float], object],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin now; zero: no limit. `check` raises if the run may not go on; `wait` sleeps for some seconds."""
        self._bytes_per_second = bytes_per_second
        self._check = check
        self._wait = wait
        self._monotonic = monotonic
        self._due_at = monotonic()

    def spend(self, size_bytes: int) -> None:
        """Wait until so many more bytes may be read. A run that may not go on is interrupted."""
        self._check()
        if not self._bytes_per_second:
            return
        now = self._monotonic()
        self._due_at = max(self._due_at, now - 1.0) + size_bytes / self._bytes_per_second  # at most a second is made up for
        if self._due_at > now:
            self._wait(self._due_at - now)
            self._check()


class _Counts:
    """What a verification has found so far."""

    def __init__(self, report: Report) -> None:
        """Go on with the report of the run that stopped."""
        self._numbers = {name: _as_number(report.get(name)) for name in ("contents", "bytes", "damaged")}
        images = report.get("images", [])
        self._images = list(images) if isinstance(images, list) else []

    def add(self, verdict: verify.Verdict) -> None:
        self._numbers["contents"] += 1
        self._numbers["bytes"] += verdict.size_bytes
        if verdict.fault is not None:
            self._numbers["damaged"] += 1
            self._images = [*self._images, *verdict.images][:_MOST_IMAGES]
            _LOG.error("content %s of image %s is damaged: %s", verdict.content_id, ", ".join(verdict.images), verdict.fault)

    def report(self) -> dict[str, int | str | list[str]]:
        return {**self._numbers, "images": self._images}


def plan_expiry(interval: timedelta) -> Plan:
    """Plan the removal of rows whose time has passed. Access never depends on it: it ends by the clock."""

    def run(service: Service, run: Run) -> Report:
        removed: dict[str, int | str | list[str]] = {}
        failed: list[Exception] = []
        for name, remove, message in _EXPIRIES:
            run.lease.check()
            try:
                count = remove(service)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others have their turn
                failed.append(error)
                _LOG.warning("expiry of %s failed: %s", name, failures.describe(error))
                continue
            removed[name] = count
            if count:
                _LOG.info(message, count)
        if failed:
            raise failed[0]
        return removed

    return Plan(job=MaintenanceJob.EXPIRY, interval=interval, first_after=timedelta(0), run=run, is_quiet=True)


_EXPIRIES: Sequence[tuple[str, Callable[[Service], int], str]] = (
    ("images", pending_deletes.scrub, "the data of %d deleted images was released; sweeps free the storage"),
    ("shares", promises.remove_expired, "the notice periods of %d retained images ended"),
    ("uploads", partial_uploads.remove_expired, "%d resumable uploads were removed, because they were idle for too long"),
    ("events", event_feed.remove_old_events, "%d events were removed, because they were old or too many"),
    ("deletions", learning.remove_remembered, "%d deleted servers and volumes are not remembered any more"),
    ("tasks", tasks.remove_expired, "%d tasks were removed 48 hours after their end"),
    ("processes", processes.remove_silent, "%d processes that died an hour ago or earlier are not shown any more"),
)


def _as_number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _format_cursor(position: ContentPosition) -> str:
    return f"{position.created_at}:{position.id}"


def _parse_cursor(cursor: str) -> ContentPosition | None:
    created_at, _colon, content_id = cursor.partition(":")
    return ContentPosition(int(created_at), ContentID(content_id)) if content_id else None
