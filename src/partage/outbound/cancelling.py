"""Cancel outbound work from another thread: a DNS lookup, a connection, a read."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from partage import problems

_Outcome = TypeVar("_Outcome")
_Block = TypeVar("_Block")
_SLICE_SECONDS = 0.5


class Cancellation:
    """Cancels one piece of work from another thread. Thread-safe.

    Cancelling shuts down the sockets on which the work waits, so that the waiting ends at once. Work that does not wait checks
    regularly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._problem: problems.Problem | None = None
        self._sockets: dict[int, socket.socket] = {}

    @property
    def problem(self) -> problems.Problem | None:
        """The reason for which the work was cancelled; None while it may continue."""
        return self._problem

    def cancel(self, problem: problems.Problem) -> None:
        """Cancel the work for this reason. Only the first call has an effect."""
        with self._lock:
            if self._problem is None:
                self._problem = problem
            self._cancelled.set()
            for each in self._sockets.values():
                _shut_down(each)

    def check(self) -> None:
        """Raise the reason if the work was cancelled."""
        if self._problem is not None:
            raise self._problem

    def goes_on(self) -> bool:
        """Whether the work may continue."""
        return self._problem is None

    def sleep(self, seconds: float) -> None:
        """Wait; raise the reason at once if the work is cancelled."""
        self._cancelled.wait(seconds)
        self.check()

    def wait_for(self, act: Callable[[], _Outcome]) -> _Outcome:
        """Run an uninterruptible call, such as a DNS lookup, on a thread; abandon the thread if the work is cancelled."""
        results: queue.SimpleQueue[tuple[bool, _Outcome | BaseException]] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put((True, act()))
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
                results.put((False, error))

        threading.Thread(target=run, name="look-up", daemon=True).start()
        while True:
            self.check()
            with contextlib.suppress(queue.Empty):
                succeeded, outcome = results.get(timeout=_SLICE_SECONDS)
                if succeeded:
                    return outcome  # type: ignore[return-value]
                raise outcome  # type: ignore[misc]

    def watch(self, connected: socket.socket) -> None:
        """Shut this socket down when the work is cancelled."""
        with self._lock:
            self._sockets[id(connected)] = connected
            if self._problem is not None:
                _shut_down(connected)

    def forget(self, connected: socket.socket) -> None:
        """Stop watching this socket. Call it before the socket is closed, because its descriptor can be reused afterwards."""
        with self._lock:
            self._sockets.pop(id(connected), None)

    def check_each(self, blocks: Iterable[_Block]) -> Iterator[_Block]:
        """Yield blocks as long as the work may continue."""
        for block in blocks:
            self.check()
            yield block


def _shut_down(connected: socket.socket) -> None:
    # Of the class itself: an encrypted socket would take what comes next for plain text.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
