"""Every call of the system that changes a file fails once, in the middle of every operation: no room left, or a broken disk.

The operation ends in a problem, never in anything else; the same process does it again and succeeds; no thread and no file stays
open; and the next start finds everything in order. After a sync that failed nothing is acknowledged.
"""

import errno
import random
from pathlib import Path

import pytest

from tests.crashes import worlds
from tests.crashes.acts import Server
from tests.crashes.test_kill import check

ACTS = [*worlds.ACTS, "first-start"]
ERRORS = [errno.ENOSPC, errno.EIO]
POINTS = {"upload": 3, "sweep": 2}
POINTS_OF_OTHERS = 1
ALLOWED = ("StoreFull", "StoreUnavailable", "DatabaseUnavailable", "Unavailable")


def endure(actors: Server, folder: Path, act: str, point: int, error: int) -> None:
    """Let call number `point` fail, and see the operation through."""
    actors.copy(folder, act)
    answer = actors.ask("insist", folder, act=act, fail_at=point, error=error)
    failing = answer["calls"][point - 1] if len(answer["calls"]) >= point else "nothing"
    where = f"{act} with {errno.errorcode[error]} at {point}, {failing}"
    first, _comma, then = answer["word"].partition(", then ")
    assert first in (*ALLOWED, "done"), f"{where}: {answer['word']}"
    assert then in ("done", "done before", ""), f"{where}: {answer['word']}"
    postponed = act == "sweep" and error == errno.ENOSPC  # a pack that cannot be rewritten for lack of room stays as it was
    assert not (first == "done" and _may_lose(failing) and not postponed), f"{where}: acknowledged what may not be durable"
    check(actors, folder, act, where, acknowledged=True)


def _may_lose(failing: str) -> bool:
    """Tell whether a sync failed that a promise rests on; SQLite goes on without the fdatasync of its folder."""
    return failing.startswith("fsync") or (failing.startswith("fdatasync") and "/incoming/" in failing)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("act", ACTS)
def test_an_error_anywhere_is_a_problem_and_can_be_repeated(actors: Server, tmp_path: Path, act: str, error: int) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    points = POINTS.get(act, POINTS_OF_OTHERS)
    first = random.random()
    for number in range(points):
        endure(actors, tmp_path / "world", act, 1 + int((number + first) * len(calls) / points), error)


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("act", ACTS)
def test_an_error_at_every_point_is_a_problem_and_can_be_repeated(actors: Server, tmp_path: Path, act: str, error: int) -> None:
    calls = actors.calls_of(act, tmp_path / "world")
    for point in range(1, len(calls) + 1):
        endure(actors, tmp_path / "world", act, point, error)
