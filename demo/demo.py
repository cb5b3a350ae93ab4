"""`make demo`: start the stand-alone service, make a real disk image, walk the sharing guide, and stay up.

usage: demo.py [--once] [--port N] [--data DIR]
Exit status 0 only if every step did what it should.
"""

import argparse
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import images
import walk

_GREETED = "Ctrl-C ends everything"
_BIN = Path(sys.executable).parent


def main() -> int:
    """Do it and return the exit status."""
    options = _options()
    folder: Path = options.data.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = _Service(folder, options.port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, service.pass_on)
    good = False
    try:
        if not service.wait_until_up():
            return service.process.wait() or 1
        print(flush=True)
        disks = images.make(folder / "images")
        clouds = folder / "service" / "clouds.yaml"
        good = walk.perform(walk.Walk(clouds, _BIN / "openstack"), disks, folder)
        if not options.once and service.process.poll() is None:
            _tell_how_to_go_on(clouds, disks)
            service.process.wait()
    finally:
        ended = service.stop()
    return 0 if good and ended == 0 and (options.once or service.stopped_by_user) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="start the service, walk the sharing guide, stay up")
    parser.add_argument("--once", action="store_true", help="end after the walk")
    parser.add_argument("--port", default="9292")
    parser.add_argument("--data", type=Path, default=Path(".demo"))
    return parser.parse_args()


class _Service:
    """`partage up` in a process group of its own, so that Ctrl-C comes here first; its words are shown as they come."""

    def __init__(self, folder: Path, port: str) -> None:
        command = [str(_BIN / "partage"), "up", "--data", str(folder / "service"), "--port", port]
        print(f"\n$ partage {' '.join(command[1:])}", flush=True)
        self.stopped_by_user = False
        self._greeted = threading.Event()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
        self._reader = threading.Thread(target=self._show, daemon=True)
        self._reader.start()

    def wait_until_up(self) -> bool:
        """Return whether it has started."""
        self._greeted.wait()
        return self.process.poll() is None

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal on: the first lets running transfers finish, a second ends them."""
        self.stopped_by_user = True
        if self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait()
        self._reader.join(5)
        return status

    def _show(self) -> None:
        for line in self.process.stdout or ():
            print(line, end="", flush=True)
            if line.startswith(_GREETED):
                self._greeted.set()
        self.process.wait()
        self._greeted.set()


def _tell_how_to_go_on(clouds: Path, disks: images.Images) -> None:
    print(
        f"""
The service is still running. Go on in another terminal:
  export OS_CLIENT_CONFIG_FILE={clouds}
  . {_BIN / "activate"}
  openstack --os-cloud project-a image create --disk-format qcow2 --container-format bare --file {disks.qcow2} my-image
  openstack --os-cloud project-b image list --shared --member-status all
Ctrl-C here ends everything; what it keeps is in {clouds.parent}.""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
