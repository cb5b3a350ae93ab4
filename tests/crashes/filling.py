"""A program that fills a small disk under a running service. Run by test_full_disk.py in a mount namespace of its own.

Usage: python -m tests.crashes.filling WHAT FOLDER, where WHAT says what lies on the small disk: the store, the
database, both, or the cache.
Prints `refused: …` and ends with 0 where mounting is refused; ends with an assertion where something is not as it must be.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from partage import problems
from partage.model.image import ImageStatus
from partage.operations import downloads, images, recovery, sweep, verify
from partage.operations.service import Service
from partage.records import schema
from tests.crashes import worlds
from tests.crashes.worlds import MEBIBYTE, NO_GRACE, OWNER, create, fetch, id_of, noise, send
from tests.unit.stores.copying import Content, make_fills, read_through

SMALL = 16 * MEBIBYTE
KEPT = noise(1, 2)


def main() -> None:
    """Mount, fill, and see."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    disk = folder if what == "both" else folder / what
    disk.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        print(f"refused: {mounted.stderr.strip()}")
        return
    if what == "cache":
        fill_the_cache(disk)
        print("done")
        return
    (folder / "database").mkdir(exist_ok=True)
    service = worlds.compose(folder, url=f"sqlite:///{folder}/database/partage.db")
    schema.upgrade(service.database)
    send(service, create(service, "kept"), KEPT)
    send(service, create(service, "old"), noise(3, 2))
    send(service, create(service, "half"), noise(3, 1))
    {"store": fill_the_store, "database": fill_the_database, "both": fill_both}[what](service, disk)
    assert fetch(service, id_of("kept")) == KEPT
    assert not [verdict for verdict in verify.verify(service) if verdict.fault]
    service.database.close()
    print("done")


def fill_the_store(service: Service, disk: Path) -> None:
    """Too large an upload, then what still works, then a sweep that makes room although there is none to rewrite packs."""
    create(service, "new")
    expect(problems.StoreFull, lambda: send(service, id_of("new"), noise(5, 30)))
    all_else_works(service)
    with full(disk):
        expect(problems.StoreFull, lambda: send(service, id_of("new"), noise(6, 1)))
        images.delete_image(service, OWNER, id_of("old"))
        all_else_works(service)
        # The packs of the upload that failed go without a byte being written; the half of a pack that "old" had stays for now.
        assert sweep.sweep(service, grace=NO_GRACE).marked > 0
        assert sweep.sweep(service, grace=NO_GRACE).packs > 0 or stored(disk) < SMALL // 2
    send(service, id_of("new"), noise(6, 5))
    later = replace(service, clock=lambda: datetime.now(UTC) + timedelta(hours=2))
    sweep.sweep(later, grace=NO_GRACE)
    sweep.sweep(later, grace=NO_GRACE)
    assert stored(disk) < 1.1 * (len(KEPT) + 6 * MEBIBYTE)


def fill_the_database(service: Service, disk: Path) -> None:
    """No room for a row: reads work, writes are refused with a problem, and all is well once there is room."""
    create(service, "new")
    with full(disk):
        for number in range(10_000):
            try:
                create(service, f"one more {number}")
            except problems.DatabaseUnavailable:
                break
        else:
            raise AssertionError("the disk never became full")
        for _ in range(3):
            expect(problems.DatabaseUnavailable, lambda: send(service, id_of("new"), noise(5, 1)))
            assert fetch(service, id_of("kept")) == KEPT
            assert images.show_image(service, OWNER, id_of("new")).status in (ImageStatus.QUEUED, ImageStatus.SAVING)
    recovery.recover(service)
    send(service, id_of("new"), noise(5, 1))
    assert fetch(service, id_of("new")) == noise(5, 1)
    images.delete_image(service, OWNER, id_of("old"))


def fill_both(service: Service, disk: Path) -> None:
    """What `partage up` has: one disk for everything."""
    create(service, "new")
    for _ in range(3):
        problem = expect(problems.Problem, lambda: send(service, id_of("new"), noise(5, 30)))
        assert isinstance(problem, problems.StoreFull | problems.DatabaseUnavailable), repr(problem)
        assert fetch(service, id_of("kept")) == KEPT
    with full(disk):
        problem = expect(problems.Problem, lambda: send(service, id_of("new"), noise(6, 1)))
        assert isinstance(problem, problems.StoreFull | problems.DatabaseUnavailable), repr(problem)
        assert fetch(service, id_of("kept")) == KEPT
    recovery.recover(service)
    assert images.show_image(service, OWNER, id_of("new")).status is ImageStatus.QUEUED
    images.delete_image(service, OWNER, id_of("old"))
    sweep.sweep(service, grace=NO_GRACE)
    sweep.sweep(service, grace=NO_GRACE)
    send(service, id_of("new"), noise(6, 2))
    assert fetch(service, id_of("new")) == noise(6, 2)


def fill_the_cache(disk: Path) -> None:
    """Reads are whole without a copy where there is no room, and copies that are there still serve."""
    cache = make_fills(disk)
    copied, other, large = (Content(os.urandom(size * MEBIBYTE)) for size in (4, 4, 30))
    assert read_through(cache, copied) == copied.data
    with full(disk):
        copied.read_bytes = 0
        for content in (other, copied):
            assert read_through(cache, content) == content.data
        assert copied.read_bytes == 0
        assert cache.directory.list_contents() == {copied.id}
    again = make_fills(disk)
    assert read_through(again, large) == large.data
    assert not again.directory.holds(large.id)
    assert read_through(again, other) == other.data
    assert again.directory.holds(other.id)
    for each in (cache, again):
        each.close()


def expect(kind: type[problems.Problem], act: Callable[[], object]) -> problems.Problem:
    """Do something that must end in a problem of that kind."""
    try:
        act()
    except kind as problem:
        return problem
    raise AssertionError(f"{kind.__name__} was due")


def all_else_works(service: Service) -> None:
    """The image is queued again; what needs no room in the store works."""
    assert images.show_image(service, OWNER, id_of("new")).status is ImageStatus.QUEUED
    assert fetch(service, id_of("kept")) == KEPT
    assert downloads.open_image_data(service, OWNER, id_of("kept")).size_bytes == len(KEPT)


def stored(disk: Path) -> int:
    """Add up what lies on a disk."""
    return sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())


class full:  # noqa: N801 -- used as a block
    """Take all the room that a disk has, and give it back at the end of the block."""

    def __init__(self, disk: Path) -> None:
        self._filler = disk / "filler"

    def __enter__(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def __exit__(self, *_given: object) -> None:
        self._filler.unlink()


if __name__ == "__main__":
    main()
