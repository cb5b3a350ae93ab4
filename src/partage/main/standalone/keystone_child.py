"""Start the embedded Keystone, wait until it answers, end it."""

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

_START_TIMEOUT_SECONDS = 120.0
_PROGRESS_SECONDS = 2.0
_STOP_TIMEOUT_SECONDS = 5.0


class KeystoneChild:
    """A running Keystone. Used by one thread."""

    def __init__(self, directory: Path, image_url: str) -> None:
        """Start it on the directory of `standalone.py`; `image_url` goes into its catalog."""
        self._errors = directory / "keystone" / "stderr.log"
        self._errors.parent.mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-W", "ignore", "-m", "partage.main.standalone.embedded_keystone"]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, under our own interpreter
                [*command, str(directory), image_url, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,  # Ctrl-C is for the parent, which ends this last
            )

    def wait_until_ready(self) -> None:
        """Return when it answers; print a line every two seconds until then.

        Raises:
            Unavailable: it ended, or does not answer for too long.
        """
        started = time.monotonic()
        while not self._wait_for_output(_PROGRESS_SECONDS):
            waited = time.monotonic() - started
            if waited > _START_TIMEOUT_SECONDS:
                raise problems.Unavailable(
                    f"Keystone did not start within {_START_TIMEOUT_SECONDS:g} s; its words are in {self._errors}"
                )
            print(f"Starting Keystone, the identity service ({waited:.0f} s)", flush=True)
        if self.fault() is not None or not self._ready:
            raise problems.Unavailable(f"Keystone could not start: {self._last_error()}")

    def fault(self) -> str | None:
        """Say that it has ended, or None while it runs."""
        status = self._process.poll()
        return None if status is None else f"Keystone ended with status {status}; its words are in {self._errors.parent}"

    def stop(self) -> None:
        """End it and wait for its end."""
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
        return f"{lines[-1] if lines else 'it said nothing'} (more in {self._errors.parent})"


def require_installed() -> None:
    """Make sure that Keystone can be started here.

    Raises:
        Unavailable: it is not installed.
    """
    if any(find_spec(name) is None for name in ("keystone", "waitress")):
        raise problems.Unavailable("partage up needs Keystone, which is not installed: pip install 'partage[standalone]'")


@contextmanager
def run_keystone(directory: Path, image_url: str) -> Iterator[KeystoneChild]:
    """Start Keystone and end it with the block."""
    child = KeystoneChild(directory, image_url)
    try:
        yield child
    finally:
        child.stop()
