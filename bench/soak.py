"""Work for an hour, and see that no process keeps memory: uploads, downloads and slow readers at once, on `partage up`.

Only loopback is used. Each client uploads an image, downloads it as often as is its due, compares every byte, and deletes it; every
fourth upload is chunked. Half of an image's bytes are its own and half are the same in every image, so that chunks are new, known,
and freed by the sweeps that run meanwhile: what is on the disk stays below some gigabytes. Slow readers read a few bytes now and
then.

At the end: was resident memory of each process at most --limit MiB, and flat? Flat means that its mean over the second half of the
run is at most 1.05 times that over the first half; the first tenth, in which pools fill, is left out. Exit status 0: yes, and every
byte was right.
"""

import argparse
import http.client
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Any

from partage.main.process import listening
from partage.main.standalone import folder

MIB = 1 << 20
PIECE = 1 << 20
PROGRAM = Path(sys.executable).with_name("partage")
FOLDER = Path(__file__).parents[1] / ".bench" / "soak"
START_SECONDS = 120
TOKEN_SECONDS = 600
SWEEP_SECONDS = 60
SWEEP_GRACE_SECONDS = 300
LEAST_FREE_BYTES = 16 << 30
FLAT = 1.05
WARM_UP = 0.1
FEWEST_SAMPLES = 10
CHUNKED_EVERY = 4
SLOW_SECONDS = 10.0
SLOW_BYTES = 16_384


def main() -> int:
    """Run it and return the exit status."""
    chosen = _arguments()
    if FOLDER.exists():
        rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    if disk_usage(FOLDER).free < LEAST_FREE_BYTES:
        raise SystemExit(f"soak: {FOLDER} needs {LEAST_FREE_BYTES >> 30} GiB of room")
    with _service(FOLDER / "data", chosen.workers) as service:
        memory = Memory(service.pid, chosen)
        work = Work(service, chosen)
        work.run(memory)
        memory.sample(work.progress())
    status = memory.verdict()
    for failure in work.failures[:5]:
        print(f"FAILED {failure}")
    print(f"{work.progress()}, {len(work.failures)} failures" + ("" if work.is_complete else "; not complete"))
    if not chosen.keep:
        rmtree(FOLDER)
    return 1 if work.failures or not work.is_complete else status


@dataclass
class Service:
    """A running `partage up` and one project's token for it."""

    pid: int
    port: int
    directory: Path
    _token: str = ""
    _token_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def token(self) -> str:
        """A token that is not old."""
        with self._lock:
            if not self._token or time.monotonic() - self._token_at > TOKEN_SECONDS:
                self._token, self._token_at = self._new_token(), time.monotonic()
            return self._token

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection to the image service."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)

    def sweep(self) -> None:
        """Free what no image needs any more, but for what is as new as an upload under way may be."""
        command = [PROGRAM, "manage", "sweep", "--data", self.directory, "--grace", str(SWEEP_GRACE_SECONDS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"sweep: {done.stdout}{done.stderr}")

    def _new_token(self) -> str:
        kept = folder.load_kept(self.directory)
        domain = {"id": "default"}
        user = {"name": "user-a", "domain": domain, "password": kept.passwords["user-a"]}
        scope = {"project": {"name": "project-a", "domain": domain}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        connection = http.client.HTTPConnection("127.0.0.1", kept.keystone_port, timeout=60)
        connection.request("POST", "/identity/v3/auth/tokens", json.dumps({"auth": auth}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.headers["X-Subject-Token"]


@contextmanager
def _service(directory: Path, workers: int) -> Iterator[Service]:
    """Run `partage up` on a new directory."""
    port = listening.find_free_port()
    log = directory.with_suffix(".log")
    command = [PROGRAM, "up", "--data", directory, "--port", str(port), "--workers", str(workers)]
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PARTAGE_LOG__LEVEL": "warning"}
        )
    try:
        end = time.monotonic() + START_SECONDS
        while "Ctrl-C ends everything" not in log.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"soak: partage up did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield Service(process.pid, port, directory)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


class Work:
    """What the clients have to do, and what they have done. Thread-safe."""

    def __init__(self, service: Service, chosen: argparse.Namespace) -> None:
        """Prepare it; nothing is sent yet."""
        self.failures: list[str] = []
        self._service = service
        self._chosen = chosen
        self._common = os.urandom(chosen.size * MIB // 2)
        self._turns = itertools.count()
        self._done = [0, 0]
        self._lock = threading.Lock()
        self._end = time.monotonic() + 60 * chosen.minutes
        self._is_over = threading.Event()

    @property
    def is_complete(self) -> bool:
        """Say whether everything was done that was asked for."""
        return self._done[0] >= self._chosen.uploads and self._done[1] >= self._chosen.downloads

    def progress(self) -> str:
        """Say how far it is."""
        return f"{self._done[0]}/{self._chosen.uploads} uploads, {self._done[1]}/{self._chosen.downloads} downloads"

    def run(self, memory: "Memory") -> None:
        """Do all of it, sampling memory meanwhile."""
        held = _Image(self._service, self._chosen.size, self._common)
        held.upload(chunked=False)
        others = [threading.Thread(target=self._guarded, args=(each,)) for each in (self._sweep, lambda: self._read_slowly(held))]
        clients = [threading.Thread(target=self._guarded, args=(self._be_a_client,)) for _ in range(self._chosen.clients)]
        for thread in (*others, *clients):
            thread.start()
        next_sample = time.monotonic()
        try:
            while any(client.is_alive() for client in clients):
                if time.monotonic() >= next_sample:
                    memory.sample(self.progress())
                    next_sample += self._chosen.every
                time.sleep(0.2)
        finally:
            self._is_over.set()
            for thread in (*others, *clients):
                thread.join()

    def _be_a_client(self) -> None:
        rounds = max(self._chosen.uploads, 1)
        while not self._is_over.is_set() and time.monotonic() < self._end and (turn := next(self._turns)) < rounds:
            image = _Image(self._service, self._chosen.size, self._common)
            image.upload(chunked=turn % CHUNKED_EVERY == 0)
            self._count(0)
            for _ in range(self._chosen.downloads * turn // rounds, self._chosen.downloads * (turn + 1) // rounds):
                image.download()
                self._count(1)
            image.delete()

    def _sweep(self) -> None:
        while not self._is_over.wait(SWEEP_SECONDS):
            self._service.sweep()

    def _read_slowly(self, held: "_Image") -> None:
        """Keep slow readers: each takes a few bytes now and then, and one that has had all, or was cut off, begins again."""
        readers: dict[int, socket.socket] = {}
        try:
            while self._chosen.slow and not self._is_over.is_set():
                for number in range(self._chosen.slow):
                    if self._is_over.wait(SLOW_SECONDS / self._chosen.slow):
                        return
                    reader = readers.get(number)
                    if reader is None:
                        readers[number] = held.begin_to_read()
                    elif not reader.recv(SLOW_BYTES):
                        readers.pop(number).close()
        finally:
            for reader in readers.values():
                reader.close()

    def _count(self, which: int) -> None:
        with self._lock:
            self._done[which] += 1

    def _guarded(self, task: Any) -> None:
        """Do a task; whatever goes wrong is a failure of the run, and ends it."""
        try:
            task()
        except Exception:  # noqa: BLE001 - told at the end
            self.failures.append(traceback.format_exc())
            self._is_over.set()


class _Image:
    """An image of which one half is in every image, and the other one in this one alone."""

    def __init__(self, service: Service, size_mib: int, common: bytes) -> None:
        self._service = service
        self._own = os.urandom(size_mib * MIB - len(common))
        self._halves = (memoryview(common), memoryview(self._own))
        self._size_bytes = size_mib * MIB
        document = {"name": "soak", "disk_format": "raw", "container_format": "bare"}
        self._id = self._call("POST", "/v2/images", json.dumps(document), 201)["id"]

    def upload(self, *, chunked: bool) -> None:
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(self._size_bytes)}
        headers = {"X-Auth-Token": self._service.token, "Content-Type": "application/octet-stream", **length}
        connection = self._service.connect()
        connection.request("PUT", f"/v2/images/{self._id}/file", self._pieces(), headers, encode_chunked=chunked)
        _expect(connection.getresponse(), 204)
        connection.close()

    def download(self) -> None:
        """Read all of it and compare every byte."""
        connection = self._service.connect()
        connection.request("GET", f"/v2/images/{self._id}/file", headers={"X-Auth-Token": self._service.token})
        answer = connection.getresponse()
        if answer.status != 200:  # noqa: PLR2004 - OK
            _expect(answer, 200)
        buffer = memoryview(bytearray(PIECE))
        for piece in self._pieces():
            got = 0
            while got < len(piece):
                count = answer.readinto(buffer[got : len(piece)])
                if not count:
                    raise RuntimeError("a download ended early")
                got += count
            if buffer[:got] != piece:
                raise RuntimeError("a download had wrong bytes")
        connection.close()

    def delete(self) -> None:
        self._call("DELETE", f"/v2/images/{self._id}", None, 204)

    def begin_to_read(self) -> socket.socket:
        """Ask for all of it on a connection of its own, with little room for what arrives."""
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BYTES)
        reader.settimeout(300)
        reader.connect(("127.0.0.1", self._service.port))
        head = f"GET /v2/images/{self._id}/file HTTP/1.1\r\nHost: soak\r\nX-Auth-Token: {self._service.token}\r\n\r\n"
        reader.sendall(head.encode())
        return reader

    def _pieces(self) -> Iterator[memoryview]:
        for half in self._halves:
            for at in range(0, len(half), PIECE):
                yield half[at : at + PIECE]

    def _call(self, method: str, path: str, body: str | None, status: int) -> Any:
        connection = self._service.connect()
        headers = {"X-Auth-Token": self._service.token, "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        content = _expect(connection.getresponse(), status)
        connection.close()
        return json.loads(content) if content else None


def _expect(answer: http.client.HTTPResponse, status: int) -> bytes:
    content = answer.read()
    if answer.status != status:
        raise RuntimeError(f"{answer.status} in place of {status}: {content[:500]!r}")
    return content


@dataclass
class _Process:
    """What one process had resident, in MiB, by time; and what of it was its own share of what it has in common with others."""

    name: str
    resident: list[float] = field(default_factory=list)
    proportional: float = 0.0


class Memory:
    """The resident memory of every process of a service, as it goes."""

    def __init__(self, pid: int, chosen: argparse.Namespace) -> None:
        """Watch the tree of processes below `pid`."""
        self._pid = pid
        self._chosen = chosen
        self._begun = time.monotonic()
        self._processes: dict[int, _Process] = {}

    def sample(self, progress: str) -> None:
        """Note what each process has, and print it."""
        for pid in _tree(self._pid):
            with suppress(OSError):  # it ended just now
                process = self._processes.setdefault(pid, _Process(_name(pid, self._pid)))
                process.resident.append(_mib(Path(f"/proc/{pid}/status"), "VmRSS:"))
                process.proportional = _mib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
        told = "  ".join(f"{each.name} {each.resident[-1]:.0f}" for each in self._processes.values())
        print(f"{time.monotonic() - self._begun:6.0f} s  {progress}:  {told}  MiB", flush=True)

    def verdict(self) -> int:
        """Print what each process had, and whether that is little and flat; return the exit status."""
        print(f"\n{'process':22} {'highest':>8} {'first half':>11} {'second half':>12} {'ratio':>6} {'PSS at the end':>15}  MiB")
        status = 0
        for process in self._processes.values():
            warm = process.resident[int(len(process.resident) * WARM_UP) :]
            if len(warm) < FEWEST_SAMPLES:
                print(f"{process.name:22} {max(process.resident):8.0f}  too few samples to say more")
                status = 1
                continue
            first, second = statistics.mean(warm[: len(warm) // 2]), statistics.mean(warm[len(warm) // 2 :])
            faults = [
                *([f"more than {self._chosen.limit}"] if max(process.resident) > self._chosen.limit else []),
                *([f"grows by more than {FLAT - 1:.0%}"] if second > first * FLAT else []),
            ]
            status = 1 if faults else status
            print(
                f"{process.name:22} {max(process.resident):8.0f} {first:11.0f} {second:12.0f} {second / first:6.2f} "
                f"{process.proportional:15.0f}  {', '.join(faults) or 'good'}"
            )
        print("Memory is bounded and flat" if status == 0 else "MEMORY IS NOT BOUNDED AND FLAT")
        return status


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in task.read_text().split():
                found += _tree(int(child))
    return found


def _name(pid: int, top: int) -> str:
    if pid == top:
        return f"supervisor {pid}"
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return f"{'keystone' if b'keystone' in command else 'process'} {pid}"


def _mib(file: Path, name: str) -> float:
    line = next((line for line in file.read_text().splitlines() if line.startswith(name)), f"{name} 0 kB")
    return int(line.split()[1]) / 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uploads", type=int, default=2000, help="how many images are uploaded (default 2000)")
    parser.add_argument("--downloads", type=int, default=4000, help="how many downloads there are (default 4000)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients work at a time (default 8)")
    parser.add_argument("--slow", type=int, default=200, help="how many slow readers are held open (default 200)")
    parser.add_argument("--size", type=int, default=64, help="MiB of an image (default 64)")
    parser.add_argument("--workers", type=int, default=2, help="processes that answer requests (default 2)")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks at memory (default 5)")
    parser.add_argument("--limit", type=float, default=250.0, help="MiB that a process may have resident (default 250)")
    parser.add_argument("--minutes", type=float, default=180.0, help="when to stop, done or not (default 180)")
    parser.add_argument("--keep", action="store_true", help=f"leave {FOLDER} as it is")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
