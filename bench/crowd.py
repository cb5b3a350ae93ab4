"""How long a show takes while four clients download and four upload, each a process of its own."""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM_UP_SECONDS = 1.0


def show_among_others(bench: Any, target: Any, path: Path, *, streams: int, seconds: float) -> dict[str, Any]:
    """Return latencies of a show while `streams` downloads and as many uploads of a file run, over and over."""
    image = bench.new_image(target.conn("owner"))
    bench.put_one(target, image, str(path), chunked=False)
    fork = multiprocessing.get_context("fork")
    stop, moved = fork.Event(), fork.Value("q", 0)
    works: list[Callable[[], None]] = [
        *([lambda: _download(target, image)] * streams),
        *([lambda: _upload(bench, target, path)] * streams),
    ]
    crowd = [fork.Process(target=_repeat, args=(work, stop, moved), daemon=True) for work in works]
    for process in crowd:
        process.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        samples = _shows(target, image, seconds)
    finally:
        stop.set()
        for process in crowd:
            process.join(120)
        bench.delete(target, [image])
    ordered = sorted(samples)
    return {
        "n": len(samples),
        "p50_ms": round(statistics.median(samples), 2),
        "p99_ms": round(ordered[round(0.99 * (len(ordered) - 1))], 2),
        "max_ms": round(ordered[-1], 2),
        "streams_finished": moved.value,
    }


def _shows(target: Any, image: str, seconds: float) -> list[float]:
    conn, samples, end = target.conn("owner"), [], time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.perf_counter()
        status, _, body = conn.request("GET", f"/v2/images/{image}")
        samples.append((time.perf_counter() - started) * 1e3)
        if status != 200:  # noqa: PLR2004 - OK
            raise SystemExit(f"{target.name}: show among others: {status} {body[:200]!r}")
        time.sleep(0.01)
    return samples


def _repeat(work: Callable[[], None], stop: Any, moved: Any) -> None:
    while not stop.is_set():
        work()
        with moved.get_lock():
            moved.value += 1


def _download(target: Any, image: str) -> None:
    target.conn("owner").request("GET", f"/v2/images/{image}/file", sink=lambda _view: None)


def _upload(bench: Any, target: Any, path: Path) -> None:
    conn = target.conn("owner")
    image = bench.new_image(conn)
    bench.put_one(target, image, str(path), chunked=False)
    conn.request("DELETE", f"/v2/images/{image}")
