"""Names of processes that outlive a reused process id."""

import os
import subprocess
import sys

from partage.main.process import liveness


def test_own_process_is_alive() -> None:
    assert liveness.is_alive(liveness.name_own_process()) is True


def test_ended_process_is_not_alive() -> None:
    script = "from partage.main.process import liveness; print(liveness.name_own_process())"
    name = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True).stdout.strip()
    assert liveness.is_alive(name) is False


def test_zombie_process_is_not_alive() -> None:
    place, _pid, _started = liveness.name_own_process().rsplit(":", 2)
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with open(f"/proc/{child.pid}/stat") as file:  # noqa: PTH123 - one line of the kernel's
            started = file.read().rpartition(")")[2].split()[19]
        assert liveness.is_alive(f"{place}:{child.pid}:{started}") is False


def test_reused_process_id_is_another_process() -> None:
    place, pid, _started = liveness.name_own_process().rsplit(":", 2)
    assert liveness.is_alive(f"{place}:{pid}:1") is False


def test_process_on_another_host_has_unknown_state() -> None:
    assert liveness.is_alive("another-host/boot/4026531836:1:1") is None
