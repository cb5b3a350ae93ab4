"""What the parts of an upload cost, each alone, with the service's own code on the same file: seconds of processor time for a GiB.

The sum is what an upload would cost if nothing came between the parts: no queues, no threads, no SQL, and warm processor caches.
"""

import functools
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from partage.content import chunking, digest
from partage.content.chunking import PIECE_BYTES
from partage.stores.drivers import file_writing
from partage.stores.engine import pack
from partage.stores.engine.buffers import Buffers, Extents
from partage.stores.engine.compression import Compressor

GIB = 1 << 30
_PACK_EXTENTS = pack.TARGET_BYTES // PIECE_BYTES


def measure_upload(path: Path, folder: Path) -> Mapping[str, float]:
    """Return the parts of an upload of a file, in the order of their work; `folder` is on the disk of the store."""
    parts: dict[str, Callable[[Path], object]] = {
        "receive from the socket": _receive,
        "md5 and sha512": functools.partial(_digest, ("md5", "sha512")),
        "cut into chunks": _cut,
        "BLAKE3 of each chunk": _name,
        "compress": _compress,
        "copy into packs": _copy,
        "write and sync packs": functools.partial(_write, folder),
    }
    return {name: round(_cost(path, part), 3) for name, part in parts.items()}


def _cost(path: Path, part: Callable[[Path], object]) -> float:
    """Return what a part costs above reading the file, for each GiB of the file."""
    begun = time.process_time()
    spent = part(path)
    cost = spent if isinstance(spent, float) else time.process_time() - begun - _read_cost(path)
    return max(cost, 0.0) * GIB / path.stat().st_size


def _read_cost(path: Path) -> float:
    begun = time.process_time()
    for _piece in _pieces(path):
        pass
    return time.process_time() - begun


def _pieces(path: Path) -> Iterator[memoryview]:
    """Read into one buffer, so that the data is in the processor's cache as it is when it was received."""
    buffers = Buffers(1)
    buffer = buffers.acquire()
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            yield buffer[:size]


def _chunks(path: Path) -> Iterator[memoryview]:
    cutter = chunking.Cutter()
    for piece in _pieces(path):
        yield from (chunk.data for chunk in cutter.feed(piece) if chunk.data is not None)
    yield from (chunk.data for chunk in cutter.finish() if chunk.data is not None)


def _digest(algorithms: tuple[str, ...], path: Path) -> None:
    hashers = digest.Hashers(algorithms)
    for piece in _pieces(path):
        hashers.update(piece)


def _cut(path: Path) -> None:
    for _chunk in _chunks(path):
        pass


def _timed(path: Path, act: Callable[[memoryview], object]) -> float:
    """Return the time that `act` takes for all chunks, without what it takes to have them."""
    spent = 0.0
    for chunk in _chunks(path):
        begun = time.thread_time()
        act(chunk)
        spent += time.thread_time() - begun
    return spent


def _name(path: Path) -> float:
    return _timed(path, digest.compute_for_chunk)


def _compress(path: Path) -> float:
    return _timed(path, Compressor().compress)


def _copy(path: Path) -> float:
    compress, extents = Compressor().compress, _fresh_extents()
    spent = 0.0
    for chunk in _chunks(path):
        stored, _encoding = compress(chunk)
        begun = time.thread_time()
        if extents.room_bytes < len(stored):
            extents.size_bytes = 0
        extents.append(stored)
        spent += time.thread_time() - begun
    return spent


def _write(folder: Path, path: Path) -> float:
    """Write as many packs as the file needs, and remove them."""
    compress = Compressor().compress
    stored_bytes = sum(len(compress(chunk)[0]) for chunk in _chunks(path))
    extents = _fresh_extents()
    extents.append(os.urandom(PIECE_BYTES) * _PACK_EXTENTS)
    spent = 0.0
    with tempfile.TemporaryDirectory(dir=folder) as below:
        root = os.open(below, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(stored_bytes // pack.TARGET_BYTES):
            begun = time.thread_time()
            file_writing.write_new(root, str(number), [*extents.list_parts(), bytes(pack.TARGET_BYTES // 1000)])
            os.fsync(root)
            spent += time.thread_time() - begun
            os.unlink(str(number), dir_fd=root)
        os.close(root)
    return spent


def _fresh_extents() -> Extents:
    buffers = Buffers(_PACK_EXTENTS)
    extents = Extents(buffers)
    for _ in range(_PACK_EXTENTS):
        extents.extend(buffers.acquire())
    return extents


def _receive(path: Path) -> float:
    """Receive the file from a process of its own, in pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if child == 0:
            with socket.create_connection(listener.getsockname()) as out, path.open("rb") as file:
                out.sendfile(file)
            os._exit(0)
        with listener.accept()[0] as incoming:
            incoming.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, PIECE_BYTES)
            buffer = Buffers(1).acquire()
            begun = time.thread_time()
            while incoming.recv_into(buffer):
                pass
            spent = time.thread_time() - begun
        os.waitpid(child, 0)
    return spent
