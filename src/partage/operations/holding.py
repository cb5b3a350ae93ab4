"""Keep every pack where it is for a while: sweeps remove none until a backup, or a rebuilding of the index, has ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from partage import problems
from partage.operations.service import Service
from partage.records import holds

_RENEWAL = timedelta(seconds=30)


class Hold:
    """That packs are held. For one thread."""

    def __init__(self, service: Service, hold_id: str) -> None:
        self._service = service
        self._hold_id = hold_id
        self._renewed_at = service.clock()

    def renew_if_due(self) -> None:
        """Say that packs are still needed, if that was not said for a while.

        Raises:
            StoreUnavailable: nothing was said for so long that a sweep may have removed some.
            DatabaseUnavailable: it cannot be said.
        """
        now = self._service.clock()
        if now - self._renewed_at < _RENEWAL:
            return
        late = now - self._renewed_at >= holds.SILENCE
        with self._service.database.write() as tx:
            is_there = holds.renew(tx, self._hold_id, now=now)
        if late or not is_there:
            raise problems.StoreUnavailable("This took so long without a sign that a sweep may have removed packs; start again")
        self._renewed_at = now


@contextmanager
def hold_packs(service: Service, reason: str) -> Iterator[Hold]:
    """Hold all packs until the block ends, or until its process has been dead for ten minutes.

    A sweep that has begun to remove packs goes on, but only with those that no chunk of this moment's index is in.

    Raises:
        DatabaseUnavailable: they cannot be held.
    """
    hold_id = service.new_id()
    with service.database.write() as tx:
        holds.add(tx, hold_id, reason, now=service.clock())
    try:
        yield Hold(service, hold_id)
    finally:
        with service.database.write() as tx:
            holds.remove(tx, hold_id)
