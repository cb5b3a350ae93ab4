"""How many rows a page reads does not depend on how many images there are, for every filter and order that an index serves."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from partage.model.ending import EndReason
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import Member, MemberStatus
from partage.model.query import Filter, ImageQuery, Operator, SortKey
from partage.model.share import Direction, ShareQuery
from partage.model.terms import Terms
from partage.records import images, members, shares, tables
from partage.records.database import NEVER, Database, Transaction, to_microseconds
from tests.contract.plans import analyze, count_work
from tests.contract.records_worlds import START, caller, empty, image, undone

IMAGES = 20_000
MOST = {"sqlite": 400, "postgresql": 2500, "mariadb": 5000}
"""A page of 100 images, in the units of `count_work`. Reading all images of their owner takes more than three times as much."""

NOW = START + timedelta(days=365)
MISSING = "0" * 32


def make(number: int) -> Image:
    """Make one image of many: one of a thousand has each rare value."""
    is_rare = number % 1000 == 0
    return image(
        number,
        owner="other" if number % 10 == 1 else "owner",
        status=ImageStatus.QUEUED if is_rare else ImageStatus.ACTIVE,
        os_hidden=number % 1000 == 10,
        protected=is_rare,
        size=10**12 if is_rare else number,
        disk_format="iso" if is_rare else "qcow2",
        container_format="bare",
        checksum=f"{number // 4:032x}",
        os_hash_algo="sha512",
        os_hash_value=f"{number // 4:064x}" * 2,
        tags=("all", "rare") if is_rare else ("all",),
        properties={"os": "debian"} | ({"role": "golden"} if is_rare else {}),
        updated_at=START + timedelta(minutes=number * 7919 % IMAGES),
    )


def rows_of(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    made = make(number)
    yield "images", images._row(made)  # noqa: SLF001 -- many rows at once
    for tag in made.tags:
        yield "image_tags", {"image_id": made.id, "tag": tag}
    for name, value in made.properties.items():
        yield "image_properties", {"image_id": made.id, "name": name, "value": value}
    for project, status in (("member", MemberStatus.ACCEPTED), (f"other-{number % 5}", MemberStatus.PENDING)):
        share = Member(image_id=made.id, member_id=caller(project).project_id, created_at=START, updated_at=START, status=status)  # type: ignore[arg-type]
        copied = {"image_created_at": to_microseconds(made.created_at), "owner": made.owner}
        yield "members", members._row(share) | copied  # noqa: SLF001
    yield (
        "endings",
        {
            **copied,
            "image_id": made.id,
            "member_id": "former",
            "status": MemberStatus.ACCEPTED.value,
            "reason": EndReason.REMOVED.value,
            "began_at": to_microseconds(START),
            "ends_at": NEVER,
            **members.terms_row(Terms()),
            "used_until": 0,
            "least_ends_at": NEVER,
        },
    )


@pytest.fixture(scope="module")
def many(migrated_database: Database) -> Iterator[Transaction]:
    """Open a transaction in which there are many images, each of them shared with two projects, and statistics of them."""
    if migrated_database.dialect == "mariadb":  # where gathering statistics commits
        with migrated_database.write() as tx:
            insert_many(tx)
        analyze(migrated_database)
        with migrated_database.read() as tx:
            yield tx
        empty(migrated_database)
        return
    with undone(migrated_database) as tx:
        insert_many(tx)
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("ANALYZE")  # as its autovacuum does; nobody does so on SQLite
        yield tx


def insert_many(tx: Transaction) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(IMAGES):
        for name, row in rows_of(number):
            found.setdefault(name, []).append(row)
    for name, rows in found.items():
        tx.execute(insert(tables.metadata.tables[name]), rows)


def only(attribute: str, operator: Operator, *values: Any) -> dict[str, Any]:
    return {"filters": (Filter(attribute, operator, values),)}


def sorted_by(*keys: str) -> dict[str, Any]:
    found = [SortKey(key.removeprefix("-"), key.startswith("-")) for key in keys]
    rest = [SortKey(name, found[0].descending) for name in ("created_at", "id") if name not in [key.attribute for key in found]]
    return {"sort": (*found, *rest)}


ANY: dict[str, dict[str, Any]] = {
    "nothing": {},
    "visibility": {"visibility": Visibility.SHARED},
    "no visibility": {"visibility": Visibility.COMMUNITY},
    "all visibilities": {"all_visibilities": True},
    "member status": {"member_status": MemberStatus.REJECTED},
    "name": only("name", Operator.EQ, "image 500"),
    "no name": only("name", Operator.EQ, "missing"),
    "names": only("name", Operator.IN, "image 500", "image 700"),
    "ids": only("id", Operator.IN, *(make(number).id for number in range(100))),
    "checksum": only("checksum", Operator.EQ, make(500).checksum),
    "no checksum": only("checksum", Operator.EQ, MISSING),
    "hash": only("os_hash_value", Operator.EQ, make(500).os_hash_value),
    "status": only("status", Operator.EQ, "active"),
    "disk format": only("disk_format", Operator.IN, "raw", "qcow2"),
    "size": only("size", Operator.GTE, 1),
    "created": only("created_at", Operator.LT, START + timedelta(minutes=50)),
    "created at": only("created_at", Operator.EQ, START + timedelta(minutes=50)),
    "not created": only("created_at", Operator.NEQ, START + timedelta(minutes=50)),
    "created after": only("created_at", Operator.GTE, START + timedelta(minutes=IMAGES)),
    "unprotected": only("protected", Operator.EQ, False),
    "tag": {"tags": ("all",)},
    "rare tag": {"tags": ("rare",)},
    "no tag": {"tags": ("missing",)},
    "tags": {"tags": ("all", "rare")},
    "property": {"properties": (("os", "debian"),)},
    "rare property": {"properties": (("role", "golden"),)},
    "no property": {"properties": (("role", "missing"),)},
    "tag and property": {"tags": ("all",), "properties": (("os", "debian"),)},
    "rare tag by name": {"tags": ("rare",), **sorted_by("name")},
    "oldest": sorted_by("created_at"),
}
"""What an owner and a member ask for."""

OWN: dict[str, dict[str, Any]] = {
    "rare status": only("status", Operator.EQ, "queued"),
    "no status": only("status", Operator.EQ, "killed"),
    "rare format": only("disk_format", Operator.EQ, "iso"),
    "no size": only("size", Operator.EQ, 5 * 10**11),
    "hidden": {"os_hidden": True},
    "protected": only("protected", Operator.EQ, True),
    **{
        f"by {key}": sorted_by(key)
        for name in ("name", "status", "disk_format", "size", "updated_at")
        for key in (name, f"-{name}")
    },
    "active by name": {**only("status", Operator.EQ, "active"), **sorted_by("name")},
    "active by update": {**only("status", Operator.EQ, "active"), **sorted_by("-updated_at")},
    "statuses": only("status", Operator.IN, "active", "deactivated"),
    "updated, by update": {**only("updated_at", Operator.GT, START + timedelta(minutes=IMAGES - 50)), **sorted_by("-updated_at")},
    "updated": only("updated_at", Operator.GT, START + timedelta(minutes=10)),
    "shared by name": {"visibility": Visibility.SHARED, **sorted_by("name")},
}
"""What an owner asks for: indexes on the images of a project, which a member's shares do not have."""


@pytest.mark.parametrize("after", [None, IMAGES // 2], ids=["first", "middle"])
@pytest.mark.parametrize(
    ("project", "name"), [*((project, name) for name in ANY for project in ("owner", "member")), *(("owner", name) for name in OWN)]
)
def test_page_of_images_reads_few_rows(many: Transaction, project: str, name: str, after: int | None) -> None:
    query = ImageQuery(limit=100, **(ANY | OWN)[name])
    marker = None if after is None else images.paging.position(make(after), query)
    with count_work(many) as work:
        images.page(many, caller(project), query, after=marker, most_bytes=1 << 22, now=NOW)
    assert work[0] <= MOST[many.dialect.name]


def test_bound_is_below_the_work_of_reading_all_images_of_a_project(many: Transaction) -> None:
    query = ImageQuery(limit=100, **only("min_ram", Operator.GTE, 1))
    with count_work(many) as work:
        images.page(many, caller("owner"), query, after=None, most_bytes=1 << 22, now=NOW)
    assert work[0] > 3 * MOST[many.dialect.name]


@pytest.mark.parametrize("project", ["member", "former", "stranger"])
@pytest.mark.parametrize("key", ["name", "-name"])
def test_page_of_received_images_by_name_reads_few_rows(many: Transaction, project: str, key: str) -> None:
    query = ImageQuery(limit=100, visibility=Visibility.SHARED, **sorted_by(key))
    with count_work(many) as work:
        images.page(many, caller(project), query, after=None, most_bytes=1 << 22, now=NOW)
    assert work[0] <= MOST[many.dialect.name]


@pytest.mark.parametrize("status", [None, MemberStatus.ACCEPTED, MemberStatus.REJECTED])
@pytest.mark.parametrize(("project", "direction"), [("member", Direction.IN), ("former", Direction.IN), ("owner", Direction.OUT)])
def test_page_of_shares_reads_few_rows(many: Transaction, project: str, direction: Direction, status: MemberStatus | None) -> None:
    query = ShareQuery(direction=direction, limit=100, status=status)
    with count_work(many) as work:
        shares.page(many, caller(project), query, now=NOW)
    assert work[0] <= MOST[many.dialect.name]


@pytest.mark.parametrize(("project", "direction"), [("member", Direction.IN), ("owner", Direction.OUT)])
def test_shares_of_an_image_are_found_by_few_rows(many: Transaction, project: str, direction: Direction) -> None:
    query = ShareQuery(direction=direction, limit=100, image_id=make(500).id)
    with count_work(many) as work:
        found = shares.page(many, caller(project), query, now=NOW).shares
    assert found
    assert work[0] <= MOST[many.dialect.name]
