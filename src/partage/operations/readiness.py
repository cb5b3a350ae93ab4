"""Whether this process can serve requests: which of the services that it depends on is missing, and since when.

Workers check periodically and requests read the last result, so that no client without a token makes the service ask others.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from partage import problems
from partage.measures import DEPENDENCIES_MISSING, Meter, Unmetered
from partage.operations import failures
from partage.operations.service import NamedStore, Service
from partage.records import schema
from partage.stores import layout

CHECK_SECONDS = 10.0
LATE_SECONDS = 60.0
"""A dependency whose check has not ended for so long counts as missing: it hangs."""

DATABASE, STORES, IDENTITY = "database", "stores", "identity"
"""The names of the dependencies."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dependency:
    """What the service depends on; ready, or missing, `since` then. `checked_at` is on the monotonic clock."""

    name: str
    is_ready: bool
    since: datetime
    checked_at: float


class Readiness:
    """The last result of each check. Thread-safe: each dependency is checked by one thread, and its state is replaced whole."""

    def __init__(
        self,
        names: Iterable[str] = (),
        *,
        meter: Meter | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take every dependency for ready: the program has checked them before it started this process."""
        self._meter = Unmetered() if meter is None else meter
        self._clock = clock
        self._monotonic = monotonic
        self._states = {name: Dependency(name, is_ready=True, since=clock(), checked_at=monotonic()) for name in names}

    def report(self) -> list[Dependency]:
        """List all dependencies."""
        return [self._judge(each) for each in self._states.values()]

    def check(self, name: str, act: Callable[[], None]) -> None:
        """Check a dependency with a function that raises a problem if it is missing; log each change.

        Raises: what is no problem.
        """
        try:
            act()
        except problems.Problem as problem:
            self._note(name, is_ready=False, reason=failures.describe(problem))
        else:
            self._note(name, is_ready=True, reason="")

    def _judge(self, found: Dependency) -> Dependency:
        silent_seconds = self._monotonic() - found.checked_at
        if not found.is_ready or silent_seconds < LATE_SECONDS:
            return found
        return replace(found, is_ready=False, since=self._clock() - timedelta(seconds=silent_seconds))

    def _note(self, name: str, *, is_ready: bool, reason: str) -> None:
        before, now = self._states[name], self._clock()
        if before.is_ready is is_ready:
            self._states[name] = replace(before, checked_at=self._monotonic())
            return
        self._states[name] = Dependency(name, is_ready, now, self._monotonic())
        self._meter.change(DEPENDENCIES_MISSING, name, by=-1 if is_ready else 1)
        if is_ready:
            _LOG.warning("the %s is there again after %d s", name, (now - before.since).total_seconds())
        else:
            _LOG.warning("the %s is missing: %s", name, reason)


def check_database(service: Service) -> None:
    """Check that the database answers and has this release's schema.

    Raises:
        DatabaseUnavailable: it does not.
    """
    schema.require_current(service.database)


def check_stores(service: Service) -> None:
    """Check that every store answers and is the one that the database knows.

    Raises:
        StoreUnavailable: one of them does not, or is another.
    """
    for named in service.stores.by_id.values():
        _check_store(named)


def _check_store(named: NamedStore) -> None:
    if named.store.stat(layout.IDENTITY) is None:
        raise problems.StoreUnavailable(f"The store {named.id} has no object {layout.IDENTITY}; it may not be mounted")
