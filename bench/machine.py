"""What this machine can do at best, measured in the same run: two digests of a stream, and a plain file sent by sendfile(2)."""

import hashlib
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MIB = 1 << 20
BLOCK = MIB


def digests(path: Path, streams: int) -> float:
    """Return MiB/s of md5 and sha512 of a file, each on a thread of its own, for so many streams at a time."""

    def digest(name: str) -> None:
        found = hashlib.new(name, usedforsecurity=False)
        with path.open("rb", buffering=0) as file:
            block = bytearray(BLOCK)
            while count := file.readinto(block):
                found.update(memoryview(block)[:count])

    started = time.perf_counter()
    with ThreadPoolExecutor(2 * streams) as pool:
        list(pool.map(digest, ["md5", "sha512"] * streams))
    return round(streams * path.stat().st_size / MIB / (time.perf_counter() - started), 1)


def sendfile(conn: Any, path: Path, streams: int) -> dict[str, float]:
    """Measure a plain file, sent by a process that does nothing else, to the benchmark's own client `conn`.

    Return MiB/s, and that process's time for each GiB.
    """
    size = path.stat().st_size
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        child = os.fork()
        if child == 0:
            try:
                _serve(listener, path, size)
            finally:
                os._exit(0)
        try:
            base = f"http://127.0.0.1:{listener.getsockname()[1]}"
            _fetch(conn, base)
            started = time.perf_counter()
            with ThreadPoolExecutor(streams) as pool:
                list(pool.map(lambda _: _fetch(conn, base), range(streams)))
            rate = streams * size / MIB / (time.perf_counter() - started)
        finally:
            os.kill(child, 9)
            _pid, _status, used = os.wait4(child, 0)
    cost = (used.ru_utime + used.ru_stime) * 1024 * MIB / ((streams + 1) * size)
    return {"mib_per_s": round(rate, 1), "server_cpu_s_per_gib": round(cost, 3)}


def _serve(listener: socket.socket, path: Path, size: int) -> None:
    def send(taken: socket.socket) -> None:
        with taken, path.open("rb") as file:
            taken.recv(65536)
            taken.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode())
            taken.sendfile(file, 0, size)

    while True:
        threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()


def _fetch(conn: Any, base: str) -> None:
    """Read one answer whole, as the benchmark reads a download."""
    status, _, _ = conn(base).request("GET", "/", sink=lambda _view: None)
    if status != 200:  # noqa: PLR2004 - OK
        raise SystemExit(f"the plain file was answered with {status}")


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    with Path(f"/proc/{pid}/statm").open() as file:
        return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB, 1)
