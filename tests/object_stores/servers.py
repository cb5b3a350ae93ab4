"""What the object stores of tests share: where their programs are, and how a server's processes are started and stopped."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ACCESS_KEY = "PARTAGETESTKEY"
SECRET_KEY = "planted-secret-of-an-object-store"
"""Tests look for it in everything that the service says."""

MISSING = "The object stores of tests are not installed: make test installs them into .compat/object-stores, from PyPI"
_START_SECONDS = 60


def find_program(name: str) -> Path | None:
    """Return the path of a program of tests/object_stores/requirements.txt, or None when it is not installed."""
    folder = Path(os.environ.get("PARTAGE_TEST_OBJECT_STORES", ROOT / ".compat" / "object-stores"))
    found = folder / "bin" / name
    return found if found.exists() else None


@dataclass
class RunningServer:
    """One server of one or more processes, by names; all their output goes to files in `folder`."""

    url: str
    folder: Path
    commands: Mapping[str, Sequence[str]]
    access_key: str = ACCESS_KEY
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, path: str = "/") -> None:
        """Start the processes, anew or again, and wait until `path` is answered, with whatever status below 500."""
        for name, command in self.commands.items():
            with (self.folder / f"{name}.out").open("ab") as output:
                started = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self._running.append(started)
        ends_at = time.monotonic() + _START_SECONDS
        while not self._answers(path):
            if time.monotonic() > ends_at or any(each.poll() is not None for each in self._running):
                raise RuntimeError(f"The server did not start: {self._read_output()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill the processes, as a machine that loses power does."""
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def _answers(self, path: str) -> bool:
        try:
            urllib.request.urlopen(self.url + path, timeout=5).close()
        except urllib.error.HTTPError as answered:
            with answered:
                return answered.code < 500
        except OSError:
            return False
        return True

    def _read_output(self) -> str:
        return "\n".join(each.read_text(errors="replace")[-1500:] for each in self.folder.glob("*.out"))
