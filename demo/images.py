"""Create disk images for the demo: an ext4 file system with files of this machine, as raw and as qcow2.

Needs mke2fs (Debian package e2fsprogs) and qemu-img (qemu-utils). The images are kept for the next run.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_SOURCES = (Path("/usr/bin"), Path("/usr/lib/python3"), Path("/usr/share"))
_FILES_BYTES = 200 << 20
_DISK = "384M"


@dataclass(frozen=True, slots=True)
class Images:
    """One disk in two formats."""

    raw: Path
    qcow2: Path


def make(folder: Path) -> Images:
    """Return the images in `folder`; create them if they do not exist."""
    images = Images(folder / "disk.raw", folder / "disk.qcow2")
    if images.raw.exists() and images.qcow2.exists():
        print(f"Disk images, from an earlier run:\n{images.raw} and {images.qcow2}", flush=True)
        return images
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    size = _DISK.removesuffix("M")
    print(f"Creating a disk image of {size} MiB: ext4 with {_FILES_BYTES >> 20} MiB of files of this machine", flush=True)
    tree = folder / "files"
    shutil.rmtree(tree, ignore_errors=True)
    count, sources = _copy_files(tree)
    draft = folder / "draft"
    draft.unlink(missing_ok=True)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "demo", "-d", str(tree), str(draft), _DISK)
    shutil.rmtree(tree)
    draft.replace(images.raw)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(images.raw), str(draft))
    draft.replace(images.qcow2)
    print(
        f"Created {images.raw} ({_format_size(images.raw)}) with {count} files of\n{sources},\n"
        f"and {images.qcow2} ({_format_size(images.qcow2)}), in {time.monotonic() - started:.1f} s",
        flush=True,
    )
    return images


def _copy_files(tree: Path) -> tuple[int, str]:
    """Copy files until there are enough; return their number and origin."""
    left, count, used = _FILES_BYTES, 0, []
    for source in _SOURCES:
        for file in _list_files(source):
            size = file.stat().st_size
            if size > left:
                continue
            target = tree / file.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            left, count = left - size, count + 1
            if source not in used:
                used.append(source)
    return count, ", ".join(str(each) for each in used)


def _list_files(folder: Path) -> Iterator[Path]:
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(directory, name)
            if file.is_file() and not file.is_symlink() and os.access(file, os.R_OK):
                yield file


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": PATH})


def _format_size(file: Path) -> str:
    return f"{file.stat().st_size / (1 << 20):.0f} MiB"
