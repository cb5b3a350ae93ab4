"""The lease of a run, as its own process sees it: it ends when it was lost, or when it could not be renewed for too long."""

import time
from collections.abc import Callable

UNRENEWED_SECONDS = 30.0
"""A run without a renewal for this time stops itself: half of the silence after which others take it for dead."""


class Interrupted(Exception):
    """The run has to end before its work is done: its process stops, or it has lost its lease."""


class Lease:
    """The right of one run. One thread works under it, another renews it: each attribute is replaced as a whole."""

    def __init__(self, token: str, *, may_go_on: Callable[[], bool], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin now. `may_go_on` returns False as soon as the process stops."""
        self.token = token
        self._may_go_on = may_go_on
        self._monotonic = monotonic
        self._renewed_at = monotonic()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether the run may not change its row any more, nor anything else."""
        return self._is_lost or self._monotonic() - self._renewed_at > UNRENEWED_SECONDS

    def note_renewal(self, began_at: float) -> None:
        """Record a renewal that began at that time of the monotonic clock and has been committed."""
        self._renewed_at = began_at

    def lose(self) -> None:
        """Record that another run has taken over."""
        self._is_lost = True

    def check(self) -> None:
        """Check that the run may go on. To be called before each step.

        Raises:
            Interrupted: it may not.
        """
        if self.is_lost:
            raise Interrupted("the lease was lost")
        if not self._may_go_on():
            raise Interrupted("the process stops")
