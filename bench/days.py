"""The upload of the next day: a project that has an image uploads it again with a part changed, as a daily backup does."""

import random
from pathlib import Path
from typing import Any

MIB = 1 << 20
CHANGED = 0.03


def make_next_day(day: Path, target: Path) -> Path:
    """Copy a disk image once, with `CHANGED` of its mebibytes replaced by other bytes."""
    if not target.exists():
        size_mib = day.stat().st_size // MIB
        source = random.Random(day.name)  # noqa: S311 - the same bytes each time are wanted
        changed = set(source.sample(range(size_mib), max(1, round(size_mib * CHANGED))))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(".draft")
        with day.open("rb") as old, draft.open("wb") as new:
            for number in range(size_mib):
                block = old.read(MIB)
                new.write(source.randbytes(MIB) if number in changed else block)
        draft.rename(target)
    return target


def upload_next_day(bench: Any, target: Any, day: Path, next_day: Path) -> dict[str, Any]:
    """Upload one day, then measure the upload of the next; remove both."""
    conn = target.conn("owner")
    images = [bench.new_image(conn), bench.new_image(conn)]
    conn.close()
    size = next_day.stat().st_size
    try:
        bench.put_one(target, images[0], str(day), chunked=False)
        with bench.Meter(target) as meter:
            bench.put_one(target, images[1], str(next_day), chunked=False)
    finally:
        bench.delete(target, images)
    return {"mib_per_s": round(size / MIB / meter.wall, 1), "server_cpu_s_per_gib": round(meter.cpu * 1024 * MIB / size, 3)}
