"""The statements as the databases read them. A changed query shows as changed SQL: render anew with PARTAGE_GOLDEN=write."""

import os
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import Executable

from partage.model.ids import ImageID
from partage.model.image import Visibility
from partage.model.query import Filter, ImageQuery, Operator, SortKey
from partage.model.share import Direction
from partage.records import cache, contents, events, images, mariadb, members, paging, shares, trust_rules

FOLDER = Path(__file__).parent / "sql"
DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect(), "mariadb": mariadb.Dialect(paramstyle="pyformat")}
EVERYTHING = ImageQuery(
    limit=10,
    marker=ImageID("some"),
    visibility=Visibility.SHARED,
    member_status=None,
    sort=(SortKey("name", descending=False), SortKey("created_at", descending=True), SortKey("id", descending=True)),
    tags=("one", "two"),
    properties=(("os_distro", "debian"),),
    filters=(Filter("size", Operator.GTE, (1,)), Filter("status", Operator.IN, ("active", "queued"))),
)


PAGES = {
    "page_default": ImageQuery(limit=25),
    "page_default_after_marker": ImageQuery(limit=25, marker=ImageID("some")),
    "page_with_everything": EVERYTHING,
    "page_of_administrator": ImageQuery(limit=25),
    "page_of_all_visibilities": ImageQuery(limit=25, all_visibilities=True),
}
STATEMENTS: dict[str, Executable] = {
    "find_image": images._FIND[False].statement,  # noqa: SLF001
    "find_image_for_change": images._FIND_FOR_CHANGE[False].statement,  # noqa: SLF001
    "list_members": members._LIST[False].statement,  # noqa: SLF001
    "inbox_after_marker": shares.page_statement(
        Direction.IN, has_status=False, has_image=False, has_project=False, has_position=True
    ),
    "outbox_with_everything": shares.page_statement(
        Direction.OUT, has_status=True, has_image=True, has_project=True, has_position=True
    ),
    "list_recent_images": images._LIST_RECENT.statement,  # noqa: SLF001
    "manifest_segments": contents._SEGMENTS,  # noqa: SLF001
    "page_of_events": events.page_statement(of_all=False),
    "page_of_all_events": events.page_statement(of_all=True),
    "list_cached_images": cache._LIST,  # noqa: SLF001
    "answers_to_offers": trust_rules._ANSWERS,  # noqa: SLF001
}


def page_statement(name: str, dialect: str) -> Executable:
    query = PAGES[name]
    is_admin, merges = name == "page_of_administrator", dialect == "sqlite"
    shape = paging.shape_of(query, is_admin=is_admin, has_position=query.marker is not None, merges=merges)
    return images._page_statement(shape)  # noqa: SLF001 -- the statement is what is pinned


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("name", sorted([*STATEMENTS, *PAGES]))
def test_statement_is_the_reviewed_one(name: str, dialect: str) -> None:
    statement = STATEMENTS[name] if name in STATEMENTS else page_statement(name, dialect)
    rendered = str(statement.compile(dialect=DIALECTS[dialect])) + "\n"  # type: ignore[attr-defined]
    golden = FOLDER / f"{name}.{dialect}.sql"
    if os.environ.get("PARTAGE_GOLDEN") == "write":
        golden.write_text(rendered)
    assert rendered == golden.read_text()
