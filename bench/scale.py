"""How lists grow with the number of images: the same pages at 10,000 images and at many more, on SQLite and PostgreSQL.

usage: bench/scale.py [IMAGES] [--postgresql URL]

Rows are written straight into the tables of a database of its own, ten owners and two members an image; then the pages that clients
ask for are timed at the records' interface, warm, median of 30. A page's time should not depend on how many images there are.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, Visibility
from partage.model.limits import Limits
from partage.model.member import Member, MemberStatus
from partage.model.query import Filter, ImageQuery, Operator, SortKey
from partage.records import images, members, paging, schema
from partage.records.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = 10_000
OWNER, MEMBER = "owner-0", "member-0"
SHARED = ImageQuery(limit=100, visibility=Visibility.SHARED)
BY_NAME = (SortKey("name", descending=False), SortKey("created_at", descending=False), SortKey("id", descending=False))
QUESTIONS: dict[str, tuple[str, ImageQuery]] = {
    "owner, 25": (OWNER, ImageQuery(limit=25)),
    "owner, 100": (OWNER, ImageQuery(limit=100)),
    "owner, 1,000": (OWNER, ImageQuery(limit=1000)),
    "member, shared, 100": (MEMBER, SHARED),
    "member, shared, tag, 100": (MEMBER, ImageQuery(limit=100, visibility=Visibility.SHARED, tags=("t4",))),
    "owner, property, 100": (OWNER, ImageQuery(limit=100, properties=(("batch", "b40"),))),
    "owner, name": (OWNER, ImageQuery(limit=25, filters=(Filter("name", Operator.EQ, ("image 500",)),))),
    "owner, sorted by name, 100": (OWNER, ImageQuery(limit=100, sort=BY_NAME)),
    "a project with nothing": ("stranger", ImageQuery(limit=25)),
}


def image(number: int) -> Image:
    """Make one image of many."""
    made = START + timedelta(seconds=number)
    return Image(
        id=ImageID(str(UUID(int=number))),
        owner=ProjectID(f"owner-{number % 10}"),
        created_at=made,
        updated_at=made,
        name=f"image {number}",
        tags=("bench", f"t{number // 10 % 10}"),
        properties={"batch": f"b{number % 100}", "os_distro": "debian"},
    )


def fill(database: Database, first: int, stop: int) -> None:
    """Add images, each shared with two projects; a project is a member of a tenth of them."""
    for begin in range(first, stop, 5000):
        with database.write() as tx:
            for number in range(begin, min(stop, begin + 5000)):
                made = image(number)
                images.add(tx, made)
                for member, status in [
                    (f"member-{number % 10}", MemberStatus.ACCEPTED),
                    (f"pending-{number % 7}", MemberStatus.PENDING),
                ]:
                    row = Member(image_id=made.id, member_id=ProjectID(member), created_at=START, updated_at=START, status=status)
                    members.add(tx, row, made)


def milliseconds(ask: Callable[[], object]) -> float:
    """Time a question, warm."""
    ask()
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def answers(database: Database) -> Iterator[tuple[str, float]]:
    """Time every question, and the last page beside the first."""
    for name, (project, query) in QUESTIONS.items():
        yield name, milliseconds(lambda project=project, query=query: page(database, project, query, None))  # type: ignore[misc]
    last = image(1200)
    yield "owner, 100, near the end", milliseconds(lambda: page(database, OWNER, ImageQuery(limit=100), last))


def page(database: Database, project: str, query: ImageQuery, marker: Image | None) -> Sequence[Image]:
    """Ask for one page."""
    caller = Caller(user_id=UserID("u"), project_id=ProjectID(project), roles=frozenset({"member", "reader"}))
    with database.read() as tx:
        after = None if marker is None else paging.position(marker, query)
        return images.page(tx, caller, query, after=after, most_bytes=Limits().page_bytes, now=datetime.now(UTC)).images


def main() -> None:
    """Measure at 10,000 images and at as many as asked for, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int, nargs="?", default=100_000)
    parser.add_argument("--postgresql", metavar="URL", help="an empty database; SQLite in a temporary folder without it")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(chosen.postgresql or f"sqlite:///{Path(folder)}/scale.db")
        schema.upgrade(database)
        fill(database, 0, SMALL)
        small = dict(answers(database))
        begin = time.perf_counter()
        fill(database, SMALL, chosen.images)
        seconds = time.perf_counter() - begin
        print(f"{chosen.images - SMALL} images added in {seconds:.0f} s; {database.dialect}; milliseconds a page\n")
        print(f"{'':30}{SMALL:>10,}{chosen.images:>12,}{'grew':>8}")
        for name, large in answers(database):
            print(f"{name:30}{small[name]:>10.2f}{large:>12.2f}{large / small[name]:>7.1f}x")
        database.close()


if __name__ == "__main__":
    main()
