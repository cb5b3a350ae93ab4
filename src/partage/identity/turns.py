"""Fair turns at a server that takes few requests at a time: no project keeps the others waiting."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from partage import problems
from partage.model.ids import ProjectID

_Asker = ProjectID | None
_RUNNING = 4
"""Requests at a time: a server that hangs blocks few threads."""
_RUNNING_OF_PROJECT = 2
_WAITING = 12
_WAITING_OF_PROJECT = 2
_SECONDS = 5.0
_BUSY = "The identity service is asked for many projects at the moment; try again in a few seconds"
_BUSY_FOR_PROJECT = "The identity service is already asked for other requests of this project; try again when they have responses"


class Turns:
    """Turns at a server: each request takes one, in the order of arrival, except that a project has at most two at a time.

    Thread-safe. The other requests of a project wait, and let requests of other projects pass.
    """

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        """Let a request wait for its turn for at most `seconds`."""
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: list[tuple[object, _Asker]] = []
        self._running: Counter[_Asker] = Counter()

    @contextmanager
    def take(self, project_id: _Asker) -> Iterator[None]:
        """Wait for a turn, and hold it in the context.

        Raises:
            IdentityUnavailable: too many requests wait, of the project or of all, or the wait was too long.
        """
        with self._changed:
            self._wait(project_id)
            self._running[project_id] += 1
            self._changed.notify_all()  # the next may be another one's turn, too
        try:
            yield
        finally:
            with self._changed:
                self._running[project_id] -= 1
                self._running += Counter()  # forgets projects without a request
                self._changed.notify_all()

    def _wait(self, project_id: _Asker) -> None:
        if sum(each == project_id for _, each in self._waiting) >= _WAITING_OF_PROJECT:
            raise problems.IdentityUnavailable(_BUSY_FOR_PROJECT)
        if len(self._waiting) >= _WAITING:
            raise problems.IdentityUnavailable(_BUSY)
        ticket = (object(), project_id)
        self._waiting.append(ticket)
        try:
            if not self._changed.wait_for(lambda: self._next() is ticket, self._seconds):
                raise problems.IdentityUnavailable(_BUSY)
        finally:
            self._waiting.remove(ticket)

    def _next(self) -> tuple[object, _Asker] | None:
        """Return the waiting request whose turn it is."""
        if self._running.total() >= _RUNNING:
            return None
        return next((each for each in self._waiting if self._running[each[1]] < _RUNNING_OF_PROJECT), None)
