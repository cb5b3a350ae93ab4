"""However large an image is, a stream of it takes the same bounded memory: see streaming.py."""

import http.client
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crashes.worlds import MEBIBYTE

ROOT = Path(__file__).parents[2]
GROWTH = 32 * MEBIBYTE


@pytest.mark.parametrize("megabytes", [128, pytest.param(1024, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_image(tmp_path: Path, megabytes: int) -> None:
    command = [sys.executable, "-m", "tests.crashes.streaming", str(tmp_path), str(megabytes)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert not ran.returncode, ran.stderr
    grown = json.loads(ran.stdout)
    print(f"{megabytes} MiB: {', '.join(f'{what} +{size / MEBIBYTE:.1f} MiB' for what, size in grown.items())}")
    assert max(grown.values()) <= GROWTH, grown


WARM_UP = 30
UPLOADS = 60
UPLOAD_BYTES = 12 * MEBIBYTE
RAW = json.dumps({"disk_format": "raw", "container_format": "bare"})


@contextmanager
def receiving(folder: Path) -> Iterator[tuple[int, int]]:
    """Start a service; give its process and its port."""
    command = [sys.executable, "-m", "tests.crashes.receiving", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        try:
            assert running.stdout is not None
            yield running.pid, int(running.stdout.readline())
        finally:
            running.kill()


def upload(port: int) -> None:
    """Upload bytes that nobody has uploaded before."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v2/images", RAW, {"X-Auth-Token": "t", "Content-Type": "application/json"})
        image = json.loads(connection.getresponse().read())["id"]
        octets = {"X-Auth-Token": "t", "Content-Type": "application/octet-stream"}
        connection.request("PUT", f"/v2/images/{image}/file", os.urandom(UPLOAD_BYTES), octets)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204
    finally:
        connection.close()


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow_with_the_number_of_uploads(tmp_path: Path) -> None:
    """Six at a time: what the second half of them needs, the first half has needed already."""
    with receiving(tmp_path) as (process, port), ThreadPoolExecutor(6) as clients:
        list(clients.map(lambda _number: upload(port), range(WARM_UP)))
        sizes = [resident_bytes(process) for _done in clients.map(lambda _number: upload(port), range(UPLOADS))]
    first, second = (statistics.median(half) for half in (sizes[: UPLOADS // 2], sizes[UPLOADS // 2 :]))
    print(f"median of {first / MEBIBYTE:.0f} MiB, then of {second / MEBIBYTE:.0f} MiB, at most {max(sizes) / MEBIBYTE:.0f} MiB")
    assert max(sizes) <= 250 * MEBIBYTE
    assert second <= 1.05 * first


DATABASE_MEBIBYTES = 48


@pytest.mark.parametrize("connections", [1, 10])
def test_memory_does_not_grow_with_the_sqlite_database(tmp_path: Path, connections: int) -> None:
    """Every connection reads all of the file; no number of them holds as much as one copy of it."""
    command = [sys.executable, "-m", "tests.crashes.querying", str(tmp_path), str(DATABASE_MEBIBYTES), str(connections)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert not ran.returncode, ran.stderr
    grown = json.loads(ran.stdout)
    print(f"{connections} connections: +{grown / MEBIBYTE:.1f} MiB")
    assert grown <= GROWTH
