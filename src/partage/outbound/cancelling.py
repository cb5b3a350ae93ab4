"""End from outside what waits for another server, whatever it waits for: a name, a connection, the next byte."""

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
    """Ends one piece of work from another thread. Thread-safe.

    The sockets that the work waits for are shut down, so that waiting for them ends at once; what does not wait asks now and then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._problem: problems.Problem | None = None
        self._sockets: dict[int, socket.socket] = {}

    @property
    def problem(self) -> problems.Problem | None:
        """Why the work was cancelled; None while it may go on."""
        return self._problem

    def cancel(self, problem: problems.Problem) -> None:
        """End the work for this reason, unless it was cancelled before."""
        with self._lock:
            if self._problem is None:
                self._problem = problem
            self._cancelled.set()
            for each in self._sockets.values():
                _shut_down(each)

    def check(self) -> None:
        """Raise the problem for which the work was cancelled, if it was."""
        if self._problem is not None:
            raise self._problem

    def goes_on(self) -> bool:
        """Say whether the work may go on."""
        return self._problem is None

    def sleep(self, seconds: float) -> None:
        """Wait; raise the problem at once when the work is cancelled."""
        self._cancelled.wait(seconds)
        self.check()

    def wait_for(self, act: Callable[[], _Outcome]) -> _Outcome:
        """Do in a thread what cannot be interrupted, such as looking up a name; when the work is cancelled, leave it behind."""
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
        """Leave this socket alone from now on. To be called before the socket is closed: its number may be another's then."""
        with self._lock:
            self._sockets.pop(id(connected), None)

    def check_each(self, blocks: Iterable[_Block]) -> Iterator[_Block]:
        """Pass blocks on for as long as the work may go on."""
        for block in blocks:
            self.check()
            yield block


def _shut_down(connected: socket.socket) -> None:
    # Of the class itself: an encrypted socket would take what comes next for plain text.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
