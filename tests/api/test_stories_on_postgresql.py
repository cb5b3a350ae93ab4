"""The same service with its records in PostgreSQL: one walk through sharing, the table of answers, and what databases differ in."""

import hashlib
import itertools
import os
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.api import test_malformed_requests as malformed
from tests.api import test_sharing_states as states
from tests.api.personas import Cast, at_once


def test_an_image_is_made_shared_used_and_deleted(cast_on_postgresql: Cast) -> None:
    owner, member, outsider = cast_on_postgresql.owner, cast_on_postgresql.member, cast_on_postgresql.outsider
    data = os.urandom(3_000_000) + bytes(2_000_000)
    image = owner.has_an_image(data, name="ünïcode", tags=["b", "a"], os_distro="debian")
    assert owner.shows(image).json()["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert owner.shares_with(image, member.project_id).json()["status"] == "pending"
    assert not member.sees_in_list(image)
    assert member.accepts(image).status_code == 200
    assert member.sees_in_list(image)
    assert member.downloads(image).content == data
    assert member.downloads(image, Range="bytes=2999999-3000001").content == data[2_999_999:3_000_002]
    assert outsider.shows(image).status_code == outsider.downloads(image).status_code == 404
    assert owner.removes_member(image, member.project_id).status_code == 204
    assert member.downloads(image).status_code == 404
    assert owner.deletes(image).status_code == 204
    assert owner.shows(image).status_code == 404
    assert owner.creates(id=image).status_code == 409


@pytest.mark.parametrize("state", ["accepted", "private again", "deactivated"])
@pytest.mark.parametrize("caller", sorted({caller for caller, _ in states.TABLE}))
def test_answers_are_those_of_glance(caller: str, state: str, cast_on_postgresql: Cast) -> None:
    states.test_answers_are_those_of_glance(caller, state, cast_on_postgresql)


@pytest.mark.parametrize("kind", malformed.DOCUMENTS)
def test_a_document_that_cannot_be_read_is_refused(kind: str, cast_on_postgresql: Cast) -> None:
    malformed.test_a_document_that_cannot_be_read_is_refused(kind, cast_on_postgresql)


@pytest.mark.parametrize("query", malformed.QUERIES, ids=lambda query: query[:40])
def test_no_query_makes_the_service_fail_or_finds_more(query: str, cast_on_postgresql: Cast) -> None:
    malformed.test_no_query_makes_the_service_fail_or_finds_more(query, cast_on_postgresql)


def test_a_list_is_filtered_sorted_and_walked_through(cast_on_postgresql: Cast) -> None:
    owner, tag = cast_on_postgresql.owner, f"walk-{uuid4()}"
    names = ("b", None, "A", "a", "ü", "", "b", "a b")
    for number, name in enumerate(names):
        owner.has_an_image(None, name=name, tags=[tag, "all"], min_ram=number, number=str(number))
    for query, count in (
        ("min_ram_min=6", 2),
        ("number=3", 1),
        ("name=in:a,b", 3),
        ("tag=all", 8),
        ("created_at=lt:2000-01-01", 0),
    ):
        assert len(owner.lists(f"tag={tag}&{query}")) == count
    for sort in ("name:asc", "name:desc,id:asc", "size:asc,name:asc", "id:asc", "created_at:asc"):
        whole = [each["id"] for each in owner.lists(f"tag={tag}&sort={sort}")]
        pages, following = [], f"/v2/images?tag={tag}&sort={quote(sort)}&limit=3"
        while following:
            page = owner.call("GET", following).json()
            pages.append([each["id"] for each in page["images"]])
            following = page.get("next")
        assert list(itertools.chain(*pages)) == whole
        assert [len(page) for page in pages] == [3, 3, 2]


def test_concurrent_requests_are_all_answered(cast_on_postgresql: Cast) -> None:
    owner, member = cast_on_postgresql.owner, cast_on_postgresql.member.project_id
    image = owner.has_an_image(None)
    assert (
        sorted(each.status_code for each in at_once(owner, *[lambda who: who.shares_with(image, member)] * 8)) == [200] + [409] * 7
    )
    changes: list[Any] = [
        lambda who, number=number: who.patches(image, {"op": "add", "path": f"/p{number}", "value": "x"}) for number in range(8)
    ]
    assert {each.status_code for each in at_once(owner, *changes)} == {200}
    assert {f"p{number}" for number in range(8)} <= set(owner.shows(image).json())
    uploads = at_once(owner, *[lambda who: who.uploads(image, b"x" * 100_000)] * 8)
    assert sorted(each.status_code for each in uploads) == [204] + [409] * 7
    chosen = str(uuid4())
    assert sorted(each.status_code for each in at_once(owner, *[lambda who: who.creates(id=chosen)] * 8)) == [201] + [409] * 7
    deletions = at_once(owner, *[lambda who: who.deletes(image)] * 8)
    assert sorted(each.status_code for each in deletions) == [204] + [404] * 7
