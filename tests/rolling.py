"""Restart two instances one after the other, behind HAProxy and nginx, under mixed load: no request may fail.

python -m tests.rolling [--restarts 20] [--requests 50000] [--folder DIR]
"""

import argparse
import http.client
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from partage.main.process import listening
from tests import proxies, standalone
from tests.main.serving import Serving, serving
from tests.standalone import RunningKeystone

DATA_BYTES = 256 << 10
LOADS = 4
"""Threads that send requests to each proxy, one after the other."""

DRAIN_SECONDS = 4


@dataclass
class Tally:
    """What became of the requests of all threads."""

    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        return sum(self.done.values()) + len(self.failed)

    def note(self, kind: str, fault: str | None) -> None:
        with self.lock:
            if fault is None:
                self.done[kind] += 1
            else:
                self.failed.append(f"{kind}: {fault}")


class Load:
    """One client of a proxy: documents, uploads and downloads by turns."""

    def __init__(self, url: str, token: str, tally: Tally, stop: threading.Event) -> None:
        self._port = int(url.rpartition(":")[2])
        self._wire = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        self._token = token
        self._tally = tally
        self._stop = stop
        self._data = random.Random(url).randbytes(DATA_BYTES)

    def run(self) -> None:
        """Send requests until the event is set. An image is made, filled, read, changed and deleted in a round."""
        try:
            while not self._stop.is_set():
                self._round()
        finally:
            self._wire.close()

    def _round(self) -> None:
        image = json.loads(self._ask("create", "POST /v2/images", 201, json.dumps({"name": "r", **FORMATS}).encode()) or b"{}")
        if "id" not in image:
            return
        path = f"/v2/images/{image['id']}"
        self._ask("upload", f"PUT {path}/file", 204, self._data)
        for _ in range(3):
            self._ask("show", f"GET {path}", 200)
            self._ask("list", "GET /v2/images?limit=5", 200)
        got = self._ask("download", f"GET {path}/file", 200)
        if got is not None and got != self._data:
            self._tally.note("download", f"{len(got)} other bytes")
        self._ask("change", f"PATCH {path}", 200, json.dumps([{"op": "replace", "path": "/name", "value": "changed"}]).encode())
        self._ask("delete", f"DELETE {path}", 204)

    def _ask(self, kind: str, line: str, status: int, body: bytes | None = None) -> bytes | None:
        """Send a request; return the body of its answer, or None when it failed."""
        method, _space, path = line.partition(" ")
        try:
            self._wire.request(method, path, body, {"X-Auth-Token": self._token, "Content-Type": MEDIA_TYPES[method]})
            answer = self._wire.getresponse()
            found = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._wire.close()
            self._tally.note(kind, f"port {self._port} at {time.time():.2f}: {error!r}")
            return None
        right = answer.status == status
        self._tally.note(kind, None if right else f"port {self._port} at {time.time():.2f}: {answer.status} {found[:200]!r}")
        return found if right else None


MEDIA_TYPES = {
    "GET": "application/json",
    "POST": "application/json",
    "PUT": "application/octet-stream",
    "PATCH": "application/openstack-images-v2.1-json-patch",
    "DELETE": "application/json",
}
FORMATS = {"disk_format": "raw", "container_format": "bare"}


def roll(
    keystone: RunningKeystone,
    folder: Path,
    *,
    restarts: int,
    requests: int,
    say: Callable[[str], None] = print,
) -> Tally:
    """Restart instances so often, and until so many requests have been sent; return what became of them."""
    tally, stop = Tally(), threading.Event()
    token = keystone.token("user-a", "project-a")
    ports = [listening.find_free_port(), listening.find_free_port()]
    (folder / "data").mkdir(parents=True)
    with ExitStack() as services, ExitStack() as fronts:
        instances = [services.enter_context(_instance(keystone, folder, port)) for port in ports]
        urls = [fronts.enter_context(proxy(folder / proxy.__name__, ports)) for proxy in (proxies.haproxy, proxies.nginx)]
        threads = [
            threading.Thread(target=Load(url, token, tally, stop).run, name=f"load-{number}")
            for number, url in enumerate(url for url in urls for _ in range(LOADS))
        ]
        for thread in threads:
            thread.start()
        try:
            for number in range(restarts):
                which = number % len(ports)
                _stop(instances[which])
                instances[which] = services.enter_context(_instance(keystone, folder, ports[which]))
                say(f"restart {number + 1}: {tally.total} requests, {len(tally.failed)} failed")
                time.sleep(2.0)  # the proxies find it again before the other one goes
                while tally.total < requests * (number + 1) / restarts:
                    time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    return tally


def _instance(keystone: RunningKeystone, folder: Path, port: int) -> AbstractContextManager[Serving]:
    settings = {
        "PARTAGE_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "PARTAGE_GRACE_SECONDS": "60",
        # A Keystone that shares a busy machine may be slow, which is not what is looked at here.
        "PARTAGE_IDENTITY__TIMEOUT_SECONDS": "60",
        "PARTAGE_IDENTITY__CACHE_SECONDS": "300",
    }
    name = f"serve-{port}-{time.monotonic_ns()}"
    return serving(keystone, folder / "data", "--workers", "1", name=name, port=port, **settings)


def _stop(live: Serving) -> None:
    live.process.send_signal(signal.SIGTERM)
    status = live.process.wait(120)
    if status != 0:
        raise RuntimeError(f"partage serve ended with {status}: {live.log}")


def main() -> int:
    """Do as the command line says; return 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="where to work, and what is left for reading (default: a temporary one)")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "keystone").mkdir(parents=True)
        keystone = stack.enter_context(standalone.keystone(folder / "keystone"))
        tally = roll(keystone, folder / "rolling", restarts=given.restarts, requests=given.requests, say=partial(print, flush=True))
    for fault in tally.failed:
        print(fault)
    print(f"{given.restarts} restarts, {tally.total} requests, {len(tally.failed)} failed; {dict(tally.done)}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
