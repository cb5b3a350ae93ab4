"""Workers that cannot start, die, or hang. In a process of their own, because the crew forks and catches signals."""

import signal
import subprocess
import sys
import time

SCRIPT = """
import os, signal, sys, time
from partage import problems
from partage.main.crew import Crew

def work():
    print("worker", os.getpid(), flush=True)
    {work}

sys.exit(Crew(duties=[work] * {size}, grace_seconds={grace}).run())
"""


def start(work: str, *, size: int = 1, grace: float = 1.0) -> subprocess.Popen[str]:
    script = SCRIPT.format(work=work, size=size, grace=grace)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(crew: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = crew.communicate(timeout=30)
    return crew.returncode, out, err


def test_worker_that_cannot_start_ends_the_crew_with_its_sentence() -> None:
    """Both end at about the same moment: whether one is seen before the other must not matter."""
    status, _out, err = ended(start("raise problems.Unavailable('the roof is off')", size=2))
    assert status == 1
    assert "partage: the roof is off" in err
    assert "a worker could not start" in err
    assert "Traceback" not in err


def test_workers_that_keep_dying_are_not_replaced_for_ever() -> None:
    status, out, err = ended(start("os._exit(9)"))
    assert status == 1
    assert out.count("worker") == 5
    assert "workers die as soon as they start, the last one with status 9" in err


def test_fault_in_a_worker_is_told_with_its_traceback() -> None:
    status, _out, err = ended(start("raise ZeroDivisionError"))
    assert status == 1
    assert "ZeroDivisionError" in err


def test_worker_that_ignores_the_signal_is_killed_after_the_grace() -> None:
    crew = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(1000)", grace=0.2)
    assert crew.stdout is not None
    crew.stdout.readline()
    time.sleep(0.3)  # it has said so before it ignores the signal
    started = time.monotonic()
    crew.send_signal(signal.SIGTERM)
    assert ended(crew)[0] == 0
    assert 0.2 < time.monotonic() - started < 8


def test_hangup_of_the_terminal_ends_the_crew() -> None:
    crew = start("time.sleep(1000)")
    assert crew.stdout is not None
    crew.stdout.readline()
    crew.send_signal(signal.SIGHUP)
    assert ended(crew)[0] == 0
