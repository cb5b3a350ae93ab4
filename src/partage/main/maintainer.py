"""The process that maintains database, stores and cache: each `partage serve`, `partage worker` and `partage up` starts one."""

from collections.abc import Mapping
from datetime import timedelta

from partage.identity.keystone import Keystone
from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.process import memory, priority
from partage.metrics.sheets import Sheets
from partage.model.ids import StoreID
from partage.model.process_state import Purpose
from partage.operations.service import Cache, Service
from partage.stores.identity import Identity
from partage.worker import cache, maintenance, presence
from partage.worker.maintenance import Schedule
from partage.worker.periodic import JobRunner, PeriodicJob

_CHECK_SECONDS = 60.0


def maintain(
    settings: Settings,
    identities: Mapping[StoreID, Identity],
    sheets: Sheets | None = None,
    *,
    checks_identity: bool = False,
    life: bytes | None = None,
) -> None:
    """Run the maintenance jobs that are due and that no other process runs, until a stop signal.

    With `life`, for which see `build_service`, the process also fetches queued images into this host's cache, and tidies and scrubs
    the cache, if there is one.

    With `checks_identity` the account of this service in Keystone is checked again and again, beside: what is wrong with it stands
    in the log once, and not only in responses.
    """
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    with (
        compose.open_service(
            settings, with_cache=life is not None, identities=identities, sheets=sheets, traced=True, life=life
        ) as service,
        presence.report_process(service, Purpose.MAINTENANCE),
        JobRunner(meter=service.process.meter) as runner,
    ):
        runner.stop_on_signals()
        if settings.maintenance.enabled:
            maintenance.start(service, runner, build_schedule(settings))
        if service.stores.cache is not None:
            _start_cache_jobs(settings, service, service.stores.cache, runner)
        if checks_identity:
            runner.start("identity", [_plan_identity_check(compose.build_keystone(settings, service.authority))])
        runner.stopping.wait()


def _start_cache_jobs(settings: Settings, service: Service, kept: Cache, runner: JobRunner) -> None:
    given = settings.maintenance
    runner.start("cache", cache.list_jobs(service, kept, may_go_on=lambda: not runner.stopping.is_set()))
    if given.verify_interval_seconds:
        scrub = cache.plan_scrub(
            service,
            kept,
            runner.stopping,
            interval_seconds=given.verify_interval_seconds,
            bytes_per_second=given.verify_bytes_per_second,
        )
        runner.start("cache-scrub", [scrub])


def _plan_identity_check(identity: Keystone) -> PeriodicJob:
    def run() -> bool:
        identity.check()
        return False

    return PeriodicJob(name="Check of the identity service", run=run, interval_seconds=_CHECK_SECONDS)


def build_schedule(settings: Settings) -> Schedule:
    """Build the times of the jobs."""
    given = settings.maintenance
    return Schedule(
        sweep_interval=timedelta(seconds=given.sweep_interval_seconds),
        sweep_grace=timedelta(seconds=settings.sweep_grace_seconds),
        verify_interval=timedelta(seconds=given.verify_interval_seconds),
        verify_bytes_per_second=given.verify_bytes_per_second,
        expiry_interval=timedelta(seconds=given.expiry_interval_seconds),
        cut_bytes_per_second=settings.taking_over.cut_bytes_per_second if settings.taking_over.glance_config else 0,
    )
