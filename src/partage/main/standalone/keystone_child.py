"""Start and stop the embedded Keystone."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from partage import problems
from partage.main import logs

_START_TIMEOUT_SECONDS = 120.0
_PROGRESS_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 5.0


class KeystoneChild:
    """A running Keystone. Used by one thread."""

    def __init__(self, directory: Path, image_url: str) -> None:
        """Start Keystone on the data directory of `folder.py`, with `image_url` in its catalog."""
        self._errors = directory / "keystone" / "stderr.log"
        self._errors.parent.mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-W", "ignore", "-m", "partage.main.standalone.embedded_keystone"]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, under our own interpreter
                [*command, str(directory), image_url, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,  # Ctrl-C reaches the parent only, which stops Keystone last
            )

    def wait_until_ready(self) -> None:
        """Return when Keystone responds; until then print a line every two seconds.

        Raises:
            Unavailable: Keystone ended, or did not start in time.
        """
        started_at = time.monotonic()
        while not self._wait_for_output(_PROGRESS_SECONDS):
            waited_seconds = time.monotonic() - started_at
            if waited_seconds > _START_TIMEOUT_SECONDS:
                raise problems.Unavailable(f"Keystone did not start within {_START_TIMEOUT_SECONDS:g} s; see {self._errors}")
            logs.print_greeting(f"Starting Keystone, the identity service ({waited_seconds:.0f} s)")
        if self.fault() is not None or not self._ready:
            raise problems.Unavailable(f"Keystone could not start: {self._last_error()}")

    def fault(self) -> str | None:
        """Return that Keystone has ended, or None while it runs."""
        status = self._process.poll()
        return None if status is None else f"Keystone ended with status {status}; see its logs in {self._errors.parent}"

    def stop(self) -> None:
        """Stop Keystone and wait until it has ended."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _wait_for_output(self, seconds: float) -> bool:
        out = self._process.stdout
        if out is None or not select.select([out], [], [], seconds)[0]:
            return False
        self._ready = out.readline() == b"ready\n"
        return True

    def _last_error(self) -> str:
        self._process.wait(_STOP_TIMEOUT_SECONDS)
        lines = [line for line in self._errors.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'it printed no error'}; see its logs in {self._errors.parent}"


def require_installed() -> None:
    """Check that Keystone is installed.

    Raises:
        Unavailable: it is not.
    """
    if any(find_spec(name) is None for name in ("keystone", "waitress")):
        raise problems.Unavailable("partage up needs Keystone, which is not installed: pip install 'partage[standalone]'")


@contextmanager
def run_keystone(directory: Path, image_url: str) -> Iterator[KeystoneChild]:
    """Start Keystone, and stop it when the block ends."""
    child = KeystoneChild(directory, image_url)
    try:
        yield child
    finally:
        child.stop()
