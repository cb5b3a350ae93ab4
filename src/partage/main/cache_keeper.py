"""The process that maintains a host's cache: `partage serve` and `partage up` start one where a cache is configured."""

from collections.abc import Mapping

from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.process import memory, priority
from partage.model.ids import StoreID
from partage.stores.identity import Identity
from partage.worker import cache
from partage.worker.periodic import JobRunner


def maintain_cache(settings: Settings, identities: Mapping[StoreID, Identity]) -> None:
    """Fetch queued images and tidy the cache, in this process, until a stop signal."""
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    runner = JobRunner()
    runner.stop_on_signals()
    with compose.open_service(settings, with_cache=True, identities=identities) as service:
        if service.stores.cache is not None:
            runner.run(cache.list_jobs(service, service.stores.cache, may_go_on=lambda: not runner.stopping.is_set()))
