"""What is to be reached, as a table, and the report that says whether it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import where

Results = dict[str, Any]


@dataclass(frozen=True)
class Aim:
    """One figure: how often better than Glance (`times`), or at least (`least`) or at most (`most`) so much.

    `share`: at most so many times Glance's. `of` names another figure of the run, of which `least` is a share.
    """

    measure: str
    figure: str
    times: float = 0.0
    least: float = 0.0
    most: float = 0.0
    share: float = 0.0
    of: str = ""


_P50, _CPU, _RATE, _SPEED = "p50_ms", "server_cpu_ms_per_op", "requests_per_s", "mib_per_s"
_CPU_OF_DATA = "server_cpu_s_per_gib"
THOUSAND = "list owner limit=1000"
LARGER_IS_BETTER = (_RATE, _SPEED)

AIMS = (
    *(Aim(f"list {what}", _P50, times=15) for what in ("owner default page", "member default page", "member shared limit=100")),
    Aim("list member shared limit=100", _CPU, times=15),
    Aim("list member tag=", _P50, times=15),
    Aim(THOUSAND, _P50, times=15),
    *(Aim(measure, _P50, times=6) for measure in ("show owner", "show member", "show unknown id (404)", "member list owner")),
    *(Aim(measure, _P50, times=4) for measure in ("member add", "member accept", "member remove")),
    Aim("create+patch+delete", _P50, times=4),
    Aim("load show c8", _RATE, times=10),
    Aim("load list member default c8", _RATE, times=20),
    Aim("load list member shared limit=100 c8", _RATE, times=30),
    *(
        aim
        for measure, times, share in (
            ("upload random x1", 2.0, 1.05),
            ("upload random x4", 1.4, 1.05),
            ("upload random x1 chunked", 1.8, 1.05),
            ("upload zeros x1", 2.5, 0.8),
            ("upload zeros x4", 1.5, 0.8),
            ("upload disk x1", 1.6, 1.3),
            ("upload disk x4", 1.1, 1.3),
            (where.NEXT_DAY, 2.2, 0.9),
            *((f"download {name} x{streams}", 1.0, 1.1) for name in ("random", "zeros", "disk") for streams in (1, 4)),
        )
        for aim in (Aim(measure, _SPEED, times=times), Aim(measure, _CPU_OF_DATA, share=share))
    ),
    Aim("upload random x1", _SPEED, least=0.7, of="md5 and sha512 x1"),
    Aim("download disk x1", _SPEED, least=1.0, of="sendfile disk x1"),
    Aim("download disk x4", _SPEED, least=0.8, of="sendfile disk x4"),
    Aim("range 64 KiB of random", _P50, times=3),
    Aim("range 4 MiB of random", _P50, times=1.5),
    Aim("show while 4 downloads run", _P50, most=20),
    Aim("show while 4 downloads and 4 uploads run", _P50, most=5),
    Aim("memory of a worker, idle", "mib", most=110),
)


def report(results: Results) -> Iterator[str]:
    """Write the table: operation, Glance, Partage, ratio, aim, reached."""
    yield f"{'operation':<44} {'':<10} {'Glance':>9} {'Partage':>9} {'ratio':>7}  {'aim':<38} reached"
    for aim in AIMS:
        ours = _figure(results, aim.measure, "partage", aim.figure)
        if ours is None:
            continue
        theirs = _figure(results, aim.measure, "glance", aim.figure)
        ratio = _ratio(aim, ours, theirs)
        wanted, reached = _judged(aim, results, ours, ratio)
        shown = "" if ratio is None else f"{ratio:.1f} x"
        unit = {_P50: "ms", _CPU: "ms CPU", _RATE: "/s", _SPEED: "MiB/s", _CPU_OF_DATA: "s CPU/GiB"}.get(aim.figure, "MiB")
        figures = f"{_number(theirs):>9} {_number(ours):>9} {shown:>7}"
        yield f"{aim.measure:<44} {unit:<10} {figures}  {wanted:<38} {'yes' if reached else 'NO'}"


def growth(small: Results, large: Results) -> Iterator[str]:
    """Write how the cost of each list and show grows from a small number of images to a large one."""
    yield f"{'from few images to many: p50 ms':<44} {'rows':>12} {'Glance':>22} {'Partage':>22}"
    for measure in large:
        if not measure.startswith(("list ", "show ", "member list")) or measure not in small:
            continue
        cells = [_grown(small, large, measure, name) for name in ("glance", "partage")]
        rows = " -> ".join(f"{_figure(each, measure, 'partage', 'rows') or 0:.0f}" for each in (small, large))
        yield f"{measure:<44} {rows:>12} {cells[0]:>22} {cells[1]:>22}"


def _grown(small: Results, large: Results, measure: str, name: str) -> str:
    before, after = _figure(small, measure, name, _P50), _figure(large, measure, name, _P50)
    if not before or not after:
        return "-"
    return f"{before:.2f} -> {after:.2f} ({after / before:.1f} x)"


def _figure(results: Results, measure: str, name: str, figure: str) -> float | None:
    value = results.get(measure, {}).get(name, {}).get("median", {}).get(figure)
    return float(value) if isinstance(value, int | float) else None


def _ratio(aim: Aim, ours: float, theirs: float | None) -> float | None:
    if not theirs or not ours:
        return None
    return ours / theirs if aim.figure in LARGER_IS_BETTER else theirs / ours


def _judged(aim: Aim, results: Results, ours: float, ratio: float | None) -> tuple[str, bool]:
    if aim.share:
        return f"<= {aim.share:g} x Glance's", ratio is not None and ratio * aim.share >= 1
    if aim.times:
        return f">= {aim.times:g} x Glance", ratio is not None and ratio >= aim.times
    if aim.of:
        best = _figure(results, aim.of, "machine", aim.figure) or 0.0
        return f">= {aim.least:g} x {aim.of} ({best:.0f})", ours >= aim.least * best > 0
    return f"<= {aim.most:g}", ours <= aim.most


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - three digits are enough
