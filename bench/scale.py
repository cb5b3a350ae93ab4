"""How lists grow with the number of images, and what shares that have ended cost them, on SQLite and PostgreSQL.

usage: bench/scale.py [IMAGES] [--postgresql URL]

Rows are written straight into the tables of a database of its own, ten owners and two members an image; then the pages that clients
ask for are timed at the records' interface, warm, the fastest of 30, because other load of the machine can only add. A page's time
should not depend on how many images there are.

Then a tenth of the accepted shares expires, a tenth ends with notice, and a tenth of as many images again is retained for their
members; the same pages are timed once more. They should take no more than 1.2 times as long.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert

from partage.model.caller import Caller
from partage.model.ending import Ending, EndReason
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, Visibility
from partage.model.limits import Limits
from partage.model.member import Member, MemberStatus
from partage.model.query import Filter, ImageQuery, Operator, SortKey
from partage.model.terms import Terms
from partage.records import endings, images, members, paging, schema, tables
from partage.records.database import Database, Transaction, to_microseconds

START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = 10_000
BATCH = 5000
EXPIRED, ENDING = 3, 6
"""Of ten accepted shares of a project, those that expire and that end."""
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
    "owner, tag, 100": (OWNER, ImageQuery(limit=100, tags=("t4",))),
    "member, property, 100": (MEMBER, ImageQuery(limit=100, visibility=Visibility.SHARED, properties=(("batch", "b40"),))),
    "member, sorted by name, 100": (MEMBER, ImageQuery(limit=100, visibility=Visibility.SHARED, sort=BY_NAME)),
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
    for begin in range(first, stop, BATCH):
        made = [image(number) for number in range(begin, min(stop, begin + BATCH))]
        shares = [share(each, number) for number, each in enumerate(made, begin)]
        offers = [replace(each, member_id=ProjectID(f"pending-{number % 7}")) for number, each in enumerate(shares, begin)]
        offers = [replace(each, status=MemberStatus.PENDING) for each in offers]
        with database.write() as tx:
            add_images(tx, made)
            tx.execute(insert(tables.members), [member_row(*pair) for pair in zip(shares + offers, made + made, strict=True)])


def share(of: Image, number: int) -> Member:
    """Make the accepted share of an image."""
    member = ProjectID(f"member-{number % 10}")
    return Member(image_id=of.id, member_id=member, created_at=START, updated_at=START, status=MemberStatus.ACCEPTED)


def add_images(tx: Transaction, made: Sequence[Image]) -> None:
    """Insert images with their tags and properties, many in a statement."""
    tx.execute(insert(tables.images), [images._row(each) for each in made])  # noqa: SLF001 -- one at a time takes five times as long
    tx.execute(insert(tables.image_tags), [{"image_id": each.id, "tag": tag} for each in made for tag in each.tags])
    properties = [{"image_id": each.id, "name": name, "value": value} for each in made for name, value in each.properties.items()]
    tx.execute(insert(tables.image_properties), properties)


def member_row(member: Member, of: Image) -> dict[str, object]:
    """Return the row of a membership."""
    copied = {"image_created_at": to_microseconds(of.created_at), "owner": of.owner}
    return members._row(member) | copied  # noqa: SLF001 -- as in `add_images`


def end_shares(database: Database, count: int) -> None:
    """Let a tenth of the accepted shares expire and a tenth end with notice; add a tenth of `count` images that are retained."""
    for begin in range(0, count, BATCH):
        with database.write() as tx:
            for number in range(begin, min(count, begin + BATCH)):
                if number // 10 % 10 == EXPIRED:
                    past = share(image(number), number)
                    members.set_terms(tx, replace(past, terms=Terms(expires_at=START + timedelta(days=1))))
                elif number // 10 % 10 == ENDING:
                    end(tx, image(number), number)
            if begin % (10 * BATCH) == 0:
                kept = [image(count + begin // 10 + each) for each in range(min(BATCH, count // 10))]
                add_images(tx, [each.retain(now=each.updated_at) for each in kept])
                for number, each in enumerate(kept, count + begin // 10):
                    end(tx, each, number)


def end(tx: Transaction, of: Image, number: int) -> None:
    """Replace an image's accepted share by its notice, which has no end."""
    was = share(of, number)
    members.remove(tx, was)
    ending = Ending(
        image_id=of.id, member_id=was.member_id, status=was.status, reason=EndReason.DELETED, began_at=START, ends_at=None
    )
    endings.put(tx, ending, of)


def milliseconds(ask: Callable[[], object]) -> float:
    """Time a question, warm."""
    ask()
    times = []
    for _ in range(30):
        begin = time.perf_counter()
        ask()
        times.append(time.perf_counter() - begin)
    return min(times) * 1000


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
        analyze(database)
        large = dict(answers(database))
        end_shares(database, chosen.images)
        analyze(database)
        print(f"{chosen.images - SMALL} images added in {seconds:.0f} s; {database.dialect}; milliseconds a page\n")
        print(f"{'':30}{SMALL:>10,}{chosen.images:>12,}{'grew':>8}{'with ended':>12}{'ratio':>8}")
        for name, ended in answers(database):
            grown = f"{large[name]:>12.2f}{large[name] / small[name]:>7.1f}x"
            print(f"{name:30}{small[name]:>10.2f}{grown}{ended:>12.2f}{ended / large[name]:>7.2f}x")
        database.close()


def analyze(database: Database) -> None:
    """Gather statistics on PostgreSQL, as its autovacuum does; nobody does so on SQLite."""
    if database.dialect == "postgresql":
        with database.write() as tx:
            tx.exec_driver_sql("ANALYZE")


if __name__ == "__main__":
    main()
