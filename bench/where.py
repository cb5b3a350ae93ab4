"""Where the processor time of image data goes: the server's beside Glance's, and beside the sum of the parts of the same run."""

from collections.abc import Iterator, Mapping
from typing import Any

NEXT_DAY = "upload of the next day"
PARTS = "parts of upload"
_CPU = "server_cpu_s_per_gib"


def report(results: Mapping[str, Any]) -> Iterator[str]:
    """Write a line for each operation, and a line for each part of an upload; seconds of processor time for each GiB."""
    files = {
        measure.removeprefix(f"{PARTS} "): _figures(results, measure, "machine") for measure in results if measure.startswith(PARTS)
    }
    sent = {measure: _figures(results, measure, "machine").get(_CPU) for measure in results if measure.startswith("sendfile ")}
    yield f"{'processor time, s for each GiB':<32} {'Glance':>8} {'Partage':>8} {'parts':>8} {'rest':>8}"
    for measure in results:
        glance, partage = (_figures(results, measure, name).get(_CPU) for name in ("glance", "partage"))
        if partage is None:
            continue
        parts = sum(files.get(measure.split()[1], {}).values()) if measure.startswith("upload ") else None
        if measure.startswith("download "):
            parts = sent.get("sendfile disk x1")
        rest = partage - parts if parts else None
        yield f"{measure:<32} {_show(glance)} {_show(partage)} {_show(parts)} {_show(rest)}"
    if files:
        yield ""
        yield f"{'the parts of an upload':<32} " + " ".join(f"{name:>8}" for name in files)
        for part in next(iter(files.values())):
            yield f"{part:<32} " + " ".join(_show(figures.get(part)) for figures in files.values())


def _figures(results: Mapping[str, Any], measure: str, name: str) -> dict[str, float]:
    found: dict[str, float] = results.get(measure, {}).get(name, {}).get("median", {})
    return found


def _show(value: float | None) -> str:
    return f"{'-':>8}" if not value else f"{value:>8.2f}"
