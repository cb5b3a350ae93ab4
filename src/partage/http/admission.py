"""The limit of concurrent uploads of one process."""

from collections.abc import Iterator
from contextlib import contextmanager

from partage import problems


class Admission:
    """Counts the running uploads of this process. Belongs to the event loop's thread."""

    def __init__(self, at_once: int) -> None:
        """Allow `at_once` uploads at a time."""
        self._at_once = at_once
        self.count = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Count one upload until the end of the block.

        Raises:
            UploadsFull: the limit is reached.
        """
        if self.count >= self._at_once:
            raise problems.UploadsFull(f"{self.count} uploads are in progress in this process, which is the limit; try again")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
