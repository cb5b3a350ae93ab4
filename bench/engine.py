"""Measure the content engine alone: write and read of random bytes, zeros and a real ext4 image, beside the ceiling of the digests.

    python bench/engine.py [--size-mib 1024] [--directory DIR] [--image FILE]

Prints one line for each figure. All figures of one run belong together; machines are noisy, so compare ratios.
"""

import argparse
import contextlib
import functools
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from partage import problems
from partage.content import inspection
from partage.model import ids
from partage.stores.drivers import posix
from partage.stores.engine import reader, writer
from partage.stores.engine.index import ChunkLocation
from partage.stores.engine.pack import SealedPack
from partage.stores.engine.resources import WriterResources

MIB = 1 << 20
BLOCK_BYTES = 256 * 1024
RANGE_BYTES = 64 * 1024


class DictIndex:
    """A chunk index without a database: what is measured is the engine."""

    def __init__(self) -> None:
        self.places: dict[ids.ChunkDigest, ChunkLocation] = {}

    def find_stored(self, digests: Collection[ids.ChunkDigest]) -> set[ids.ChunkDigest]:
        """See `stores.index.ChunkIndex`."""
        return {digest for digest in digests if digest in self.places}

    def add_pack(self, pack: SealedPack) -> None:
        """See `stores.index.ChunkIndex`."""
        for e in pack.entries:
            self.places[e.digest] = ChunkLocation(pack.pack_id, e.offset, e.stored_bytes, e.length_bytes, e.encoding)

    def locate(self, digests: Collection[ids.ChunkDigest]) -> dict[ids.ChunkDigest, ChunkLocation]:
        """See `stores.index.ChunkIndex`."""
        return {digest: self.places[digest] for digest in digests if digest in self.places}


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where store and image are made")
    parser.add_argument("--image", type=Path, help="measure this disk image in place of a new one")
    parser.add_argument("--only", help="measure the one kind only: random, zeros or ext4")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        ceilings(options.size_mib)
        image = options.image
        if image is None and options.only in (None, "ext4"):
            image = make_image(Path(folder) / "image.raw", options.size_mib)
        sources: dict[str, Callable[[], Iterator[bytes]]] = {
            "random": lambda: random_blocks(options.size_mib),
            "zeros": lambda: (bytes(BLOCK_BYTES) for _ in range(options.size_mib * MIB // BLOCK_BYTES)),
            "ext4": lambda: file_blocks(image),
        }
        for name, blocks in sources.items():
            if options.only in (None, name):
                measure(name, blocks, Path(folder) / name)


def ceilings(size_mib: int) -> None:
    """Hash with nothing else going on: no upload can be faster."""
    block = os.urandom(MIB)
    for names in (("md5", "sha512"), ("md5", "sha256", "sha512")):
        hashers = [hashlib.new(name) for name in names]
        threads = [threading.Thread(target=hash_often, args=(hasher, block, size_mib)) for hasher in hashers]
        rate("ceiling " + " || ".join(names), size_mib * MIB, functools.partial(run, threads))


def hash_often(hasher: Any, block: bytes, count: int) -> None:
    """Hash the same block again and again."""
    for _ in range(count):
        hasher.update(block)


def run(threads: list[threading.Thread]) -> None:
    """Start all, wait for all."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(name: str, blocks: Callable[[], Iterator[bytes]], folder: Path) -> None:
    """Write and read one kind of image in a store of its own."""
    folder.mkdir()
    store, index, resources = posix.PosixStore(folder), DictIndex(), WriterResources()
    held: list[writer.Written] = []
    size = sum(len(block) for block in blocks())

    def upload() -> None:
        into = writer.Writer(
            store,
            index,
            resources,
            inspector=inspection.Inspector("raw", "bare"),
            options=writer.WriteOptions(
                limit_bytes=1 << 50, limit_problem=problems.ImageTooLarge("too large"), algorithms=("md5", "sha512")
            ),
            new_pack_id=lambda: ids.PackID(uuid.uuid4().hex),
        )
        with contextlib.closing(into):
            held.append(writer.write(into, blocks()))

    print(f"{name:36} {size / MIB:8.0f} MiB")
    rate(f"{name}: only making the blocks", size, lambda: sum(len(block) for block in blocks()))
    rate(f"{name}: write", size, upload)
    rate(f"{name}: write again, all known", size, upload)
    done = held[0]
    chunks = len(index.places)
    print(f"{name + ': stored':36} {done.new_stored_bytes / MIB:8.1f} MiB in {chunks} chunks")
    for turn in ("first", "second"):
        rate(f"{name}: read, {turn}", size, lambda: sum(len(b) for b in reader.read(store, index, done.segments, 0, size)))
    ranges(name, store, index, done)
    shutil.rmtree(folder)


def ranges(name: str, store: posix.PosixStore, index: DictIndex, done: writer.Written) -> None:
    """Read small ranges all over an image."""
    times = []
    for number in range(200):
        start = (number * 7919 * 4096) % max(done.content.size_bytes - RANGE_BYTES, 1)
        begin = time.perf_counter()
        segments = [each for each in done.segments if each.start < start + RANGE_BYTES]
        got = b"".join(reader.read(store, index, segments[-2:], start, start + RANGE_BYTES))
        times.append(time.perf_counter() - begin)
        if len(got) != RANGE_BYTES:
            sys.exit("a range came back short")
    times.sort()
    print(f"{name + ': range of 64 KiB':36} {times[100] * 1000:8.2f} ms p50, {times[197] * 1000:.2f} ms p99")


def rate(name: str, size: int, work: Callable[[], object]) -> None:
    """Time one piece of work and print its throughput and what it cost."""
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    print(f"{name:36} {size / MIB / seconds:8.0f} MiB/s {cpu_seconds / (size / (1 << 30)):8.2f} s of CPU per GiB")


def random_blocks(size_mib: int) -> Iterator[bytes]:
    """Bytes that nothing compresses and no two chunks share, faster than the kernel makes them."""
    base = random.Random(1).randbytes(8 * MIB)  # noqa: S311 - the same bytes each time are wanted
    for number in range(size_mib * MIB // BLOCK_BYTES):
        at = (number * 4099 * 64) % (8 * MIB - BLOCK_BYTES)
        block = bytearray(base[at : at + BLOCK_BYTES])
        for position in range(0, BLOCK_BYTES, 4096):
            block[position : position + 8] = (number * 64 + position).to_bytes(8, "little")
        yield bytes(block)


def file_blocks(path: Path) -> Iterator[bytes]:
    """Read a file in blocks."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def make_image(path: Path, size_mib: int) -> Path:
    """Write part of this system's /usr into a new ext4 file system of about the wanted size, half full."""
    tree = path.parent / "tree"
    subprocess.run(["mkdir", "-p", tree], check=True)
    for name in ("bin", "lib", "share"):
        fill(Path("/usr") / name, tree / name, size_mib * MIB // 6)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path, f"{size_mib}M"], check=True, capture_output=True)
    shutil.rmtree(tree)
    return path


def fill(source: Path, target: Path, limit_bytes: int) -> None:
    """Copy files of a tree, in order, until they are `limit_bytes`."""
    total = 0
    for file in sorted(source.rglob("*")):
        if file.is_file() and not file.is_symlink() and total < limit_bytes:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            total += copy.stat().st_size


if __name__ == "__main__":
    main()
