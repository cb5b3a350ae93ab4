"""Run `qemu-img convert` on an untrusted disk image, in a sandbox.

The formats are always given, never probed. The program gets two files and nothing else: no environment, no open files, no terminal,
its own process group, which is killed at the timeout, and limits of memory, processor time and file size that it cannot raise
(`launch.py`). If bubblewrap is installed, it has no network and sees no other file of the machine.

Inspection comes first, always: qemu-img follows the names of other files that an image may hold.
Source: CVE-2015-5162, CVE-2024-32498, CVE-2024-47211, CVE-2026-24708.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from partage import problems
from partage.conversion import launch

DRIVERS = MappingProxyType(
    {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi", "ploop": "parallels"}
)
"""qemu's names of the Image API's disk formats. Others (kernels, iso) are not converted."""

_DETAIL_BYTES = 2000
_LOOK_SECONDS = 1.0
_SOURCE, _TARGET = "/source", "/target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Resource limits of one conversion. `file_bytes` bounds the output file, and so the virtual size of a raw one."""

    seconds: float = 3600.0
    cpu_seconds: int = 1800
    address_space_bytes: int = 1 << 30
    file_bytes: int = 1 << 40
    niceness: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs, as paths or names on PATH. Bubblewrap is used if it is found; empty: never."""

    qemu_img: str = "qemu-img"
    bubblewrap: str = "bwrap"


def is_possible(programs: Programs | None = None) -> bool:
    """Return whether qemu-img is installed."""
    return shutil.which((programs or Programs()).qemu_img) is not None


def convert(
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    bounds: Bounds,
    *,
    programs: Programs | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> None:
    """Convert `source`, which was inspected and has that format, to `target`, which must not exist. Blocks.

    `goes_on` is called every second; the conversion stops when it returns False.

    Raises:
        ConversionFailed: qemu-img does not know one of the formats, refused the data, or exceeded the limits, or
            `goes_on` returned False. No target is left.
    """
    command = _build_command(source, source_format, target, target_format, programs or Programs())
    try:
        target.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise _conversion_problem(source_format, target_format, f"{target}: {error}") from error
    try:
        _run(command, bounds, goes_on)
    except (OSError, _BrokenError) as error:
        with contextlib.suppress(OSError):
            target.unlink()
        raise _conversion_problem(source_format, target_format, str(error)) from error


class _BrokenError(Exception):
    """The program failed."""


def _conversion_problem(source_format: str, target_format: str, detail: str) -> problems.ConversionFailed:
    return problems.ConversionFailed(
        f"The image data could not be converted from {source_format} to {target_format}; "
        f"convert it with qemu-img convert -O {target_format} and import the result",
        detail,
    )


def _build_command(source: Path, source_format: str, target: Path, target_format: str, programs: Programs) -> list[str]:
    """Build the command line. Absolute names have no colon before their first slash, so qemu takes none for a protocol."""
    qemu_img, bubblewrap = shutil.which(programs.qemu_img), programs.bubblewrap and shutil.which(programs.bubblewrap)
    if source_format not in DRIVERS or target_format not in DRIVERS:
        raise _conversion_problem(source_format, target_format, "qemu-img has no driver for one of the formats")
    if qemu_img is None:
        raise _conversion_problem(source_format, target_format, f"{programs.qemu_img} is not installed")
    outside = (str(source.absolute()), str(target.absolute()))
    inside = (_SOURCE, _TARGET) if bubblewrap else outside
    sandbox = _sandbox_command(bubblewrap, qemu_img, *outside) if bubblewrap else []
    return [*sandbox, qemu_img, "convert", "-f", DRIVERS[source_format], "-O", DRIVERS[target_format], "--", *inside]


def _sandbox_command(bubblewrap: str, program: str, source: str, target: str) -> list[str]:
    """Build the sandbox: the program, its libraries, one file to read and one to write; no network, no other processes."""
    system = [option for folder in ("/usr", "/lib", "/lib64", "/bin", program) for option in ("--ro-bind-try", folder, folder)]
    linker = ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    files = ["--ro-bind", source, _SOURCE, "--bind", target, _TARGET]
    alone = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--dev", "/dev", "--chdir", "/"]
    return [bubblewrap, *alone, *system, *linker, *files, "--"]


def _run(command: Sequence[str], bounds: Bounds, goes_on: Callable[[], bool]) -> None:
    limits = (bounds.address_space_bytes, bounds.cpu_seconds, bounds.file_bytes, bounds.niceness, os.getpid())
    launcher = [sys.executable, "-I", "-S", launch.__file__, *map(str, limits)]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603 -- no shell, no name or option from a user
            [*launcher, *command],
            env={},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            ended = _wait(child, bounds.seconds, goes_on)
        finally:
            # Before wait(): until then the kernel cannot reuse the pid.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
        if not ended:
            raise _BrokenError(f"not done after {bounds.seconds} seconds" if goes_on() else "not wanted any more")
        if status != 0:
            errors.seek(0)
            raise _BrokenError(f"status {status}: {errors.read(_DETAIL_BYTES).decode(errors='replace')}")


def _wait(child: "subprocess.Popen[bytes]", seconds: float, goes_on: Callable[[], bool]) -> bool:
    """Wait until the program exits; return False at the timeout or when `goes_on` returns False. Does not reap the process."""
    until = time.monotonic() + seconds
    descriptor = os.pidfd_open(child.pid)
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        while goes_on() and (left := until - time.monotonic()) > 0:
            if waiting.poll(min(left, _LOOK_SECONDS) * 1000):
                return True
        return False
    finally:
        os.close(descriptor)
