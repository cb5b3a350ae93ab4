"""The process that looks after a host's cache: `partage serve` and `partage up` have one where a cache is configured."""

import signal
import threading
from collections.abc import Mapping

from partage.main.composition import compose
from partage.main.configuration.config import Settings
from partage.main.process import memory, priority
from partage.model.ids import StoreID
from partage.stores.identity import Identity
from partage.worker import cache


def look_after(settings: Settings, identities: Mapping[StoreID, Identity]) -> None:
    """Fetch what is queued and keep the cache in order, in this process, until it is sent a stop signal."""
    memory.reuse_freed_buffers()
    priority.lower_thread_priority()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with compose.open_service(settings, with_cache=True, identities=identities) as service:
        if service.cache is not None:
            cache.run(service, service.cache, stop)
