"""The log of failed dependencies: one line for each failure, with the errors that caused it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from partage import problems
from partage.measures import DEPENDENCY_FAILURES, Meter, Unmetered

_LOG = logging.getLogger(__name__)
_LINES, _SECONDS = 50, 10.0
_CAUSES = 6
_CHARACTERS = 400


def describe(error: BaseException) -> str:
    """Name an error and the errors that caused it, in one line without control characters.

    Of each error only the first line of its text is used: SQLAlchemy puts statements and their parameters on the others.
    """
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(parts) < _CAUSES:
        parts.append(_name(cause))
        cause = cause.__cause__
    return "; caused by ".join(parts)


def is_of_a_dependency(problem: problems.Problem) -> bool:
    """Return whether a dependency of the service failed, so that the operator must know of it."""
    return isinstance(problem, problems.Unavailable | problems.StoreFull) or bool(getattr(problem, "detail", ""))


class FailureLog:
    """Logs failures of dependencies, and keeps floods of them out of the log. Threads may share it: a count may be off by one."""

    def __init__(
        self,
        *,
        meter: Meter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        lines: int = _LINES,
        seconds: float = _SECONDS,
    ) -> None:
        """Log at most `lines` failures of each kind within `seconds`; the others are counted, and the next line says how many."""
        self._meter = Unmetered() if meter is None else meter
        self._monotonic = monotonic
        self._most_lines = lines
        self._seconds = seconds
        self._kinds: dict[type[problems.Problem], _Kind] = {}

    def note(self, problem: problems.Problem, subject: str) -> None:
        """Log a problem with its causes if a dependency failed; `subject` names the request id, the task or the job."""
        if not is_of_a_dependency(problem):
            return
        self._meter.add(DEPENDENCY_FAILURES, type(problem).__name__)
        now = self._monotonic()
        kind = self._kinds.get(type(problem))
        if kind is None or now - kind.began >= self._seconds:
            kind = _Kind(now, 0, 0 if kind is None else kind.unsaid)
        if kind.lines >= self._most_lines:
            self._kinds[type(problem)] = replace(kind, unsaid=kind.unsaid + 1)
            return
        self._kinds[type(problem)] = replace(kind, lines=kind.lines + 1, unsaid=0)
        more = f" ({kind.unsaid} more failures of this kind were not logged)" if kind.unsaid else ""
        _LOG.warning("%s: %s%s", subject, describe(problem), more)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How many failures of one kind were logged since `began`, and how many were not since the last line."""

    began: float
    lines: int
    unsaid: int


def _name(error: BaseException) -> str:
    lines = str(error).splitlines()
    text = lines[0] if lines else ""
    detail = getattr(error, "detail", "") if isinstance(error, problems.Problem) else ""
    words = f"{type(error).__name__}: {text}{f' [{detail}]' if detail else ''}" if text or detail else type(error).__name__
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in words[:_CHARACTERS])
