"""`make demo`: start the stand-alone service, create a real disk image, run the sharing walk-through, and keep the service running.

usage: demo.py [--once] [--port N] [--data DIR]
Exit status 0 only if every step passed.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import first_act
import images
import second_act
import walk
import width

_LAST_LINE_OF_GREETING = "Ctrl-C ends everything"
_BIN = Path(sys.executable).parent


def main() -> int:
    """Run the demo and return the exit status."""
    watched = width.Watched(sys.stdout)
    with contextlib.redirect_stdout(watched):
        return _perform(_options(), watched)


def _perform(options: argparse.Namespace, watched: width.Watched) -> int:
    folder: Path = options.data
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = _Service(folder, options.port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, service.forward)
    passed, clouds = False, folder / "service" / "clouds.yaml"
    steps = walk.Walk(clouds, _BIN / "openstack", service.is_up)
    try:
        if not service.wait_until_up():
            return service.process.wait() or 1
        print(flush=True)
        disks = images.make(folder / "images")
        first_act.perform(steps, disks, folder)
        second_act.perform(steps, disks, folder)
        steps.check_width(watched.wide)
        passed = steps.finish()
        if not options.once and service.process.poll() is None:
            _print_next_steps(clouds.absolute(), disks, service.log)
            service.process.wait()
    except walk.Stopped:
        print(f"\nThe service has ended after {steps.steps} steps; its log is {service.log}", flush=True)
    finally:
        status = service.stop()
    return 0 if passed and status == 0 and (options.once or service.stopped_by_user) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="start the service, run the sharing walk-through, keep the service running")
    parser.add_argument("--once", action="store_true", help="stop after the walk-through")
    parser.add_argument("--port", default="9292")
    parser.add_argument("--data", type=Path, default=Path(".demo"))
    return parser.parse_args()


class _Service:
    """`partage up` in its own process group, so that this program receives Ctrl-C first. What it greets with is printed.

    Its log, a line for each request, goes to a file: it would stand between the commands and their output.
    """

    def __init__(self, folder: Path, port: str) -> None:
        command = [str(_BIN / "partage"), "up", "--data", str(folder / "service"), "--port", port]
        print(f"\n$ partage {' '.join(command[1:])}", flush=True)
        self.stopped_by_user = False
        self.log = folder / "service.log"
        self._is_up = threading.Event()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
        self._reader = threading.Thread(target=self._print_output, daemon=True)
        self._reader.start()

    def wait_until_up(self) -> bool:
        """Return whether it has started."""
        self._is_up.wait()
        return self.process.poll() is None

    def is_up(self) -> bool:
        """Return whether it runs, and nobody has asked it to stop."""
        return self.process.poll() is None and not self.stopped_by_user

    def forward(self, number: int, _frame: FrameType | None) -> None:
        """Forward a signal: after the first, running transfers may finish; a second ends them."""
        self.stopped_by_user = True
        if self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self) -> int:
        """Stop the service and return its exit status. SIGINT, because SIGTERM waits for a proxy to drain connections."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait()
        self._reader.join(5)
        return status

    def _print_output(self) -> None:
        with self.log.open("w") as log:
            for line in self.process.stdout or ():
                print(line, end="", flush=True, file=log if self._is_up.is_set() else None)
                if line.startswith(_LAST_LINE_OF_GREETING):
                    self._is_up.set()
        self.process.wait()
        self._is_up.set()


def _print_next_steps(clouds: Path, disks: images.Images, log: Path) -> None:
    print(
        f"""
The service is still running. Try it in another terminal:
  export OS_CLIENT_CONFIG_FILE={clouds}
  . {_BIN / "activate"}
  openstack --os-cloud project-a image create --disk-format qcow2 \\
      --container-format bare --file {disks.qcow2.absolute()} my-image
  openstack --os-cloud project-a image share create my-image --project project-b
  openstack --os-cloud project-b image share list
Its log is {log}. Ctrl-C here stops the service.
Its data stays in {clouds.parent}.""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
