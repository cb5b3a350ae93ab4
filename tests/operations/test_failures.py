"""What the log says of failures of dependencies: which, why, in one line, and not in floods."""

import errno
import logging

import pytest

from partage import problems
from partage.operations import failures
from partage.operations.failures import FailureLog


def caused(problem: problems.Problem, *causes: BaseException) -> problems.Problem:
    last: BaseException = problem
    for cause in causes:
        last.__cause__ = cause
        last = cause
    return problem


def test_a_failure_is_described_with_every_error_that_caused_it() -> None:
    problem = caused(
        problems.StoreFull("No room"), RuntimeError("while writing"), OSError(errno.ENOSPC, "No space left on device", "/s")
    )
    assert failures.describe(problem) == (
        "StoreFull: No room; caused by RuntimeError: while writing; caused by OSError: [Errno 28] No space left on device: '/s'"
    )


def test_statements_and_their_parameters_are_left_out() -> None:
    error = RuntimeError("(sqlite3.OperationalError) disk I/O error\n[SQL: INSERT INTO tasks]\n[parameters: ('sealed token',)]")
    told = failures.describe(caused(problems.DatabaseUnavailable("away"), error))
    assert told == "DatabaseUnavailable: away; caused by RuntimeError: (sqlite3.OperationalError) disk I/O error"


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\rb", "a\x00b", "a\u202eb", "a\x85b", "a" * 10_000])
def test_a_description_is_one_short_line_of_printable_characters(text: str) -> None:
    told = failures.describe(caused(problems.StoreUnavailable(text), OSError(text)))
    assert told.isprintable()
    assert len(told) < 2500


def test_cycle_of_causes_ends() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert failures.describe(one).count("caused by") == 5


@pytest.mark.parametrize(
    ("problem", "logged"),
    [
        (problems.StoreUnavailable("x"), True),
        (problems.DatabaseUnavailable("x"), True),
        (problems.StoreFull("x"), True),
        (problems.IdentityUnavailable("x"), True),
        (problems.KeyManagerUnavailable("x"), True),
        (problems.ContentCorrupt("x"), True),
        (problems.FetchFailed("refused"), True),
        (problems.RemoteImageRefused("x", "status 500"), True),
        (problems.ConversionFailed("x", "killed"), True),
        (problems.RemoteImageRefused("x"), False),
        (problems.Invalid("x"), False),
        (problems.ImageNotFound("x"), False),
        (problems.QuotaExceeded("x"), False),
        (problems.ClientGone("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_failures_of_dependencies_are_logged(
    problem: problems.Problem, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    FailureLog().note(problem, "req-1")
    assert [each.levelno for each in caplog.records] == ([logging.WARNING] if logged else [])
    assert ("req-1" in caplog.text) is logged


def test_suppressed_log_lines_are_counted_in_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = FailureLog(monotonic=lambda: now[0], lines=3, seconds=10)
    for number in range(100):
        log.note(problems.DatabaseUnavailable("away"), f"req-{number}")
    log.note(problems.StoreFull("full"), "another kind")
    now[0] = 10.0
    log.note(problems.DatabaseUnavailable("away"), "later")
    log.note(problems.DatabaseUnavailable("away"), "later still")
    told = [each.getMessage() for each in caplog.records]
    assert [words.partition(":")[0] for words in told] == ["req-0", "req-1", "req-2", "another kind", "later", "later still"]
    assert "97 more failures of this kind were not logged" in told[4]
    assert "more failures" not in told[5]
