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
from partage.records import cache, contents, events, images, members, paging, shares

FOLDER = Path(__file__).parent / "sql"
DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}
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


def page(query: ImageQuery, *, is_admin: bool = False) -> Executable:
    shape = paging.shape_of(query, is_admin=is_admin, has_position=query.marker is not None)
    return images._page_statement(shape)  # noqa: SLF001 -- the statement is what is pinned


STATEMENTS: dict[str, Executable] = {
    "find_image": images._FIND[False].statement,  # noqa: SLF001
    "find_image_for_change": images._FIND_FOR_CHANGE[False].statement,  # noqa: SLF001
    "page_default": page(ImageQuery(limit=25)),
    "page_default_after_marker": page(ImageQuery(limit=25, marker=ImageID("some"))),
    "page_with_everything": page(EVERYTHING),
    "page_of_administrator": page(ImageQuery(limit=25), is_admin=True),
    "page_of_all_visibilities": page(ImageQuery(limit=25, all_visibilities=True)),
    "list_members": members._LIST[False].statement,  # noqa: SLF001
    "inbox_after_marker": shares.page_statement(
        Direction.IN, has_status=False, has_image=False, has_project=False, has_position=True
    ),
    "outbox_with_everything": shares.page_statement(
        Direction.OUT, has_status=True, has_image=True, has_project=True, has_position=True
    ),
    "manifest_segments": contents._SEGMENTS,  # noqa: SLF001
    "page_of_events": events.page_statement(of_all=False),
    "page_of_all_events": events.page_statement(of_all=True),
    "list_cached_images": cache._LIST,  # noqa: SLF001
}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_statement_is_the_reviewed_one(name: str, dialect: str) -> None:
    rendered = str(STATEMENTS[name].compile(dialect=DIALECTS[dialect])) + "\n"  # type: ignore[attr-defined]
    golden = FOLDER / f"{name}.{dialect}.sql"
    if os.environ.get("PARTAGE_GOLDEN") == "write":
        golden.write_text(rendered)
    assert rendered == golden.read_text()
