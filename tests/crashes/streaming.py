"""A program that uploads and downloads a large image, and says how much memory that took. Run by test_memory.py.

Usage: python -m tests.crashes.streaming FOLDER MEBIBYTES. Prints JSON: by how many bytes the resident memory grew in each, at most.
"""

import gc
import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from partage.operations import downloads
from partage.operations.service import Service
from partage.records import schema
from tests import uploading
from tests.crashes import worlds
from tests.crashes.worlds import OWNER, create


def main() -> None:
    """Do it once small, so that everything is loaded and every pool is filled, and then large."""
    folder, megabytes = Path(sys.argv[1]), int(sys.argv[2])
    service = worlds.compose(folder)
    schema.upgrade(service.database)
    round_trip(service, "small", 48)
    grown = round_trip(service, "large", megabytes)
    print(json.dumps(grown))
    service.database.close()


def round_trip(service: Service, name: str, megabytes: int) -> dict[str, int]:
    """Upload and download, and compare."""
    image_id = create(service, name)
    sent, received = hashlib.sha256(), hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for block in stream(megabytes):
            sent.update(block)
            yield block

    before = reset_peak()
    uploading.upload(service, OWNER, image_id, blocks(), announced_bytes=None, store_id=None)
    upload = peak() - before
    before = reset_peak()
    opened = downloads.open_image_data(service, OWNER, image_id)
    for piece in opened.read(0, opened.size_bytes):
        received.update(piece)
    download = peak() - before
    assert sent.digest() == received.digest()
    return {"upload": upload, "download": download}


def stream(megabytes: int) -> Iterator[bytes]:
    """Make noise, zeros and text in turn, in blocks of 64 KiB, without keeping any."""
    generator = random.Random(megabytes)
    for number in range(megabytes * 16):
        turn = number // 64 % 4
        yield generator.randbytes(65_536) if turn < 2 else bytes(65_536) if turn == 2 else b"%15d " % number * 4096


def reset_peak() -> int:
    """Forget the highest resident memory so far; return what is resident now."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Return the highest resident memory since the last reset, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
