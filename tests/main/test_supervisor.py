"""Workers that cannot start, die, or hang. In a process of their own, because the supervisor forks and catches signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import os, signal, sys, time
from partage import problems
from partage.main.process.supervisor import Supervisor

def work():
    print("worker", os.getpid(), flush=True)
    {work}

sys.exit(Supervisor(jobs=[work] * {size}, grace_seconds={grace}).run())
"""


def start(work: str, *, size: int = 1, grace: float = 1.0) -> subprocess.Popen[str]:
    script = SCRIPT.format(work=work, size=size, grace=grace)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until_ended(supervisor: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = supervisor.communicate(timeout=30)
    return supervisor.returncode, out, err


def test_worker_that_cannot_start_stops_the_service_with_its_reason() -> None:
    """Both end at about the same moment: whether one is seen before the other must not matter."""
    status, _out, err = wait_until_ended(start("raise problems.Unavailable('the roof is off')", size=2))
    assert status == 1
    assert "partage: the roof is off" in err
    assert "a worker could not start" in err
    assert "Traceback" not in err


def test_supervisor_ends_when_every_worker_exits_at_once() -> None:
    status, out, err = wait_until_ended(start("os._exit(9)"))
    assert status == 1
    assert out.count("worker") == 5
    assert "every worker exits as soon as it starts, the last one with status 9" in err


def test_failure_in_a_worker_is_logged_with_its_traceback() -> None:
    status, _out, err = wait_until_ended(start("raise ZeroDivisionError"))
    assert status == 1
    assert "ZeroDivisionError" in err


def test_worker_that_ignores_the_signal_is_killed_after_the_grace() -> None:
    supervisor = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    time.sleep(1000)", grace=0.2)
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    time.sleep(0.3)  # it has said so before it ignores the signal
    started = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    assert wait_until_ended(supervisor)[0] == 0
    assert 0.2 < time.monotonic() - started < 8


def test_crashing_worker_is_restarted_with_back_off() -> None:
    """Five early deaths of one worker ended the healthy ones too."""
    script = """
import os, signal, sys, time
from partage.main import logs
from partage.main.configuration.sections import LogSettings
from partage.main.process.supervisor import Supervisor

def dies():
    os.write(1, b"dies\\n")
    os._exit(9)

def lives():
    os.write(1, b"lives %d\\n" % os.getpid())
    time.sleep(1000)

logs.configure(LogSettings())
sys.exit(Supervisor(jobs=[dies, lives], grace_seconds=1).run())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    said: list[str] = []
    end = time.monotonic() + 60
    while (said.count("dies\n") < 7 or not any(line.startswith("lives") for line in said)) and time.monotonic() < end:
        said.append(supervisor.stdout.readline())
    lives = next((int(line.split()[1]) for line in said if line.startswith("lives")), 0)
    assert Path(f"/proc/{lives}/stat").exists(), said
    supervisor.send_signal(signal.SIGTERM)
    status, out, err = wait_until_ended(supervisor)
    assert status == 0
    assert "lives" not in out
    pauses = [line.partition("restarted")[2].strip() for line in err.splitlines() if "exited with status 9" in line]
    assert pauses[:6] == ["", "in 0.2 s", "in 0.4 s", "in 0.8 s", "in 1.6 s", "in 3.2 s"]


def test_replacement_that_cannot_start_leaves_healthy_workers_alone(tmp_path: Path) -> None:
    """Only at the first start is that a reason to end: what stands in the way may be gone in a moment."""
    script = f"""
import os, sys, time
from pathlib import Path
from partage import problems
from partage.main.process.supervisor import Supervisor

def fails_later():
    if Path({str(tmp_path / "away")!r}).exists():
        print("away", flush=True)
        raise problems.Unavailable("the database is away")
    print("started", os.getpid(), flush=True)
    time.sleep(1000)

def lives():
    time.sleep(1000)

sys.exit(Supervisor(jobs=[fails_later, lives], grace_seconds=1).run())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    first = int(supervisor.stdout.readline().split()[1])
    time.sleep(2.5)  # a worker that has lived for two seconds has started
    (tmp_path / "away").touch()
    os.kill(first, signal.SIGKILL)
    for _ in range(3):
        assert supervisor.stdout.readline() == "away\n"
    (tmp_path / "away").unlink()
    said = iter(supervisor.stdout.readline, "")  # one more may have looked just before
    assert next(line for line in said if line != "away\n").startswith("started")
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    assert wait_until_ended(supervisor)[0] == 0


RENEWED = """
import os, signal, sys, time
from partage import problems
from partage.main.process.supervisor import Supervisor

def retires(*_):
    print("retired", os.getpid(), flush=True)
    os._exit(0)

def work(name):
    signal.signal(signal.SIGHUP, retires)
    print(name, os.getpid(), flush=True)
    if name == "broken":
        os._exit(1)
    time.sleep(1000)

names = iter({names})

def reload():
    name = next(names)
    if name == "refused":
        print("refused", flush=True)
        raise problems.Invalid("no")
    return [lambda: work(name)]

sys.exit(Supervisor(jobs=[lambda: work("old")], grace_seconds=1, reload=reload).run())
"""


def said_of(supervisor: subprocess.Popen[str]) -> tuple[str, str]:
    assert supervisor.stdout is not None
    word, _space, pid = supervisor.stdout.readline().strip().partition(" ")
    return word, pid


def test_sighup_starts_new_workers_before_stopping_old_ones() -> None:
    script = RENEWED.format(names=["new", "newer"])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        word, old = said_of(supervisor)
        for name in ("new", "newer"):
            supervisor.send_signal(signal.SIGHUP)
            word, new = said_of(supervisor)
            assert word == name
            assert said_of(supervisor) == ("retired", old)
            old = new
        assert supervisor.poll() is None
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0


def test_failed_sighup_keeps_the_old_workers() -> None:
    script = RENEWED.format(names=["refused", "broken", "new"])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        _word, old = said_of(supervisor)
        supervisor.send_signal(signal.SIGHUP)
        assert said_of(supervisor)[0] == "refused"
        supervisor.send_signal(signal.SIGHUP)
        assert said_of(supervisor)[0] == "broken"
        time.sleep(0.5)  # until its end has been noticed
        supervisor.send_signal(signal.SIGHUP)
        assert said_of(supervisor)[0] == "new"
        assert said_of(supervisor) == ("retired", old)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0


def test_closed_terminal_stops_a_reloadable_service() -> None:
    ours, theirs = os.openpty()
    script = RENEWED.format(names=["new"])
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, text=True, start_new_session=True) as supervisor:
        os.close(theirs)
        assert said_of(supervisor)[0] == "old"
        os.close(ours)
        supervisor.send_signal(signal.SIGHUP)
        assert supervisor.wait(20) == 0


def test_sighup_stops_a_service_that_cannot_reload() -> None:
    supervisor = start("time.sleep(1000)")
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    supervisor.send_signal(signal.SIGHUP)
    assert wait_until_ended(supervisor)[0] == 0
