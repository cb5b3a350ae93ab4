"""Lines of the log: whatever clients and remote servers put into a record, one event stays one line of printable characters."""

import io
import json
import logging
import subprocess
import sys
import unicodedata

import pytest

from partage.main import logs

HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\rc\nd\x0be\x85f\u2028g\u2029h\u202ei\u2066j\u200fk\x7fl\x00m\x9bn\ufeffo\ud800p\U000e0041q"
ODD = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def written(formatter: logging.Formatter, *arguments: object, **more: object) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    # Outside the tree of loggers: pytest captures all in it for reports, which cannot hold surrogates.
    logger = logging.Logger("partage.test")  # noqa: LOG001 - see above
    logger.addHandler(handler)
    logger.error(*arguments, **more)  # type: ignore[arg-type]
    return stream.getvalue()


def odd(text: str) -> list[str]:
    return [each for each in text.replace("\n", "") if unicodedata.category(each) in ODD]


def failing() -> BaseException:
    error = RuntimeError(HOSTILE)
    error.__cause__ = OSError(f"remote {HOSTILE}\n2026-11-28T00:00:00Z info partage: forged")
    return error


@pytest.mark.parametrize("formatter", [logs.TextLines(), logs.JSONLines()], ids=["text", "json"])
def test_message_argument_and_field_stay_in_one_line(formatter: logging.Formatter) -> None:
    for line in (
        written(formatter, HOSTILE),
        written(formatter, "said %s", HOSTILE),
        written(formatter, "said %s", OSError(HOSTILE)),
        written(formatter, "asked", extra={"path": HOSTILE}),
        written(formatter, "asked", extra={"headers": [HOSTILE]}),
        written(formatter, "asked", extra={HOSTILE: "x"}),
    ):
        assert line.count("\n") == 1
        assert line.endswith("\n")
        assert odd(line) == []
        assert "a\\x1b]0;title\\x07" in line or "a\\u001b]0;title\\u0007" in line


def test_traceback_cannot_forge_a_line() -> None:
    lines = written(logs.TextLines(), "failed", exc_info=failing(), stack_info=True).rstrip("\n").split("\n")
    assert all(line.startswith("    ") for line in lines[1:])
    assert odd("".join(lines)) == []
    assert any("RuntimeError" in line for line in lines)
    assert any("forged" in line for line in lines)


def test_traceback_in_json_is_one_line() -> None:
    line = written(logs.JSONLines(), "failed", exc_info=failing())
    assert line.count("\n") == 1
    assert odd(line) == []
    assert HOSTILE in json.loads(line)["traceback"]


def test_ordinary_text_is_not_escaped() -> None:
    assert written(logs.TextLines(), "größer als 5 % = 東京 \\ 'x'").endswith("error partage.test: größer als 5 % = 東京 \\ 'x'\n")


def test_every_control_character_is_escaped() -> None:
    """Controls, separators of lines, surrogates, and what turns or hides text; signs of Arabic and musical notation may stay."""
    escaped = logs.escape("".join(map(chr, range(0x110000))))
    assert [each for each in escaped if unicodedata.category(each) in ODD - {"Cf"}] == []
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
    left = [each for each in escaped if unicodedata.category(each) == "Cf" and unicodedata.bidirectional(each) in turning]
    assert all(each >= "\U00013430" for each in left)


USES_A_POOL = """
from partage.main import logs
from partage.main.configuration.sections import LogSettings
from partage.records.database import Database
logs.configure(LogSettings(level="info"))
database = Database("sqlite://", connections=2)
database.close()
"""


def test_closing_a_database_logs_nothing() -> None:
    """In a process of its own, as the configuration of the log is global."""
    done = subprocess.run([sys.executable, "-c", USES_A_POOL], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_interrupt_within_a_finalizer_is_not_lost() -> None:
    program = """
import signal, time
from partage.main import logs
from partage.main.configuration.sections import LogSettings

class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        for _ in range(100):
            pass

logs.configure(LogSettings())
Interrupted()
try:
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
