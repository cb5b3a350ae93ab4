"""Hold packs: sweeps remove none while a backup or a rebuilding of the index runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from partage import problems
from partage.operations.service import Service
from partage.records import holds

_RENEWAL = timedelta(seconds=30)


class Hold:
    """A hold on all packs. For one thread."""

    def __init__(self, service: Service, hold_id: str) -> None:
        self._service = service
        self._hold_id = hold_id
        self._renewed_at = service.clock()

    def renew_if_due(self) -> None:
        """Renew the hold (heartbeat), if the last renewal is some time ago.

        Raises:
            StoreUnavailable: the hold expired, and a sweep may have removed packs.
            DatabaseUnavailable: the database does not answer.
        """
        now = self._service.clock()
        if now - self._renewed_at < _RENEWAL:
            return
        late = now - self._renewed_at >= holds.SILENCE
        with self._service.database.write() as tx:
            is_there = holds.renew(tx, self._hold_id, now=now)
        if late or not is_there:
            raise problems.StoreUnavailable(
                "The hold on packs was not renewed in time, and a sweep may have removed some; start again"
            )
        self._renewed_at = now


@contextmanager
def hold_packs(service: Service, reason: str) -> Iterator[Hold]:
    """Hold all packs until the block ends. If the process dies, the hold expires after ten minutes.

    A sweep that is already removing packs continues, but only with packs that hold no chunk of the current index.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    hold_id = service.new_id()
    with service.database.write() as tx:
        holds.add(tx, hold_id, reason, now=service.clock())
    try:
        yield Hold(service, hold_id)
    finally:
        with service.database.write() as tx:
            holds.remove(tx, hold_id)
