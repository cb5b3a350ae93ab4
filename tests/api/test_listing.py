"""Lists of images: filters, their operators, every form of sorting, and pages that are followed to the end."""

import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

import pytest

from tests.api.conftest import World, cast_of
from tests.api.personas import Cast, Persona

NAMES = ("apple", "Apple", "apple", None, "zebra:striped", "a,b", 'with "quotes"', "ünïcode", "x" * 255)


@dataclass(frozen=True)
class Shelf:
    """Some images of one project, all with one tag; lists of them are not disturbed by what other stories make."""

    who: Persona
    tag: str
    documents: tuple[dict[str, Any], ...]

    def lists(self, query: str = "") -> list[dict[str, Any]]:
        return self.who.lists(f"tag={self.tag}&limit=1000&{query}")

    def names(self, query: str) -> list[str | None]:
        return sorted((each["name"] for each in self.lists(query)), key=str)

    def walks(self, query: str) -> list[list[str]]:
        """Follow `next` from the first page to the last, and return the ids of each page."""
        pages = []
        following = f"/v2/images?tag={self.tag}&{query}"
        while following:
            page = self.who.call("GET", following).json()
            assert parse_qsl(urlsplit(page["first"]).query) == parse_qsl(f"tag={self.tag}&{query}")
            pages.append([each["id"] for each in page["images"]])
            following = page.get("next")
        return pages


@pytest.fixture(scope="module")
def shelf(world: World, everybody: dict[str, tuple[str, str]]) -> Shelf:
    who = cast_of(world, everybody).owner
    tag = f"shelf-{uuid4()}"
    for number, name in enumerate(NAMES):
        given: dict[str, Any] = {
            "name": name,
            "tags": [tag, "even" if number % 2 == 0 else "odd", *(["third"] if number % 3 == 0 else [])],
            "min_ram": number * 100,
            "min_disk": number,
            "protected": number == 1,
            "visibility": ("private", "shared", "community")[number % 3],
            "number": str(number),
        }
        if number in (0, 1):
            given |= {"disk_format": "qcow2" if number else "raw", "container_format": ("bare", "ovf")[number]}
        who.has_an_image(b"y" * (number * 100) if number in (0, 2, 4) else None, **given)
    documents = who.lists(f"tag={tag}&limit=1000")
    assert len(documents) == len(NAMES)
    return Shelf(who, tag, tuple(documents))


# Filters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=apple", ["apple", "apple"]),
        ("name=eq:apple", ["apple", "apple"]),
        ("name=APPLE", []),
        ("name=in:Apple,zebra:striped", ["Apple", "zebra:striped"]),
        ('name=in:"a,b",Apple', ["Apple", "a,b"]),
        ("name=eq:zebra:striped", ["zebra:striped"]),
        ("name=" + quote('with "quotes"'), ['with "quotes"']),
        ("name=" + quote("ünïcode"), ["ünïcode"]),
        ("name=" + "x" * 255, ["x" * 255]),
        ("name=app%25", []),
        ("number=3", [None]),
        ("number=3&number=4", ["zebra:striped"]),
        ("absent=3", []),
        ("is_public=True", []),
        ("locations=x", []),
        ("status=active&number=4", ["zebra:striped"]),
        ("status=queued&number=4", []),
        ("status=in:queued,saving&number=1", ["Apple"]),
        ("container_format=ovf", ["Apple"]),
        ("disk_format=in:qcow2,iso", ["Apple"]),
        ("protected=true", ["Apple"]),
        ("protected=false&number=1", []),
        ("min_disk=5", ["a,b"]),
        ("min_disk_min=7", ["ünïcode", "x" * 255]),
        ("min_ram_max=100", ["Apple", "apple"]),
        ("min_ram_min=100&min_ram_max=200", ["Apple", "apple"]),
        ("size=400", ["zebra:striped"]),
        ("size_min=1", ["apple", "zebra:striped"]),
        ("size_max=200", ["apple", "apple"]),
        ("virtual_size_min=300", ["zebra:striped"]),
        ("size=abc", []),
        ("tag=third", [None, "apple", 'with "quotes"']),
        ("tag=third&tag=odd", [None]),
        ("tag=even&tag=odd", []),
        ("tag=", []),
        ("visibility=community", ["apple", "a,b", "x" * 255]),
        ("visibility=public", []),
        ("owner=nobody", []),
        ("created_at=gt:2100-01-01T00:00:00Z", []),
        ("created_at=lt:2000-01-01", []),
        ("updated_at=gte:2000-01-01T00:00:00%2B02:00&number=5", ["a,b"]),
        ("created_at=neq:2000-01-01T00:00:00Z&number=5", ["a,b"]),
    ],
)
def test_filter_lists_matching_images(query: str, expected: list[str | None], shelf: Shelf) -> None:
    assert shelf.names(query) == sorted(expected, key=str)


def test_filters_by_what_the_service_sets(shelf: Shelf) -> None:
    one = next(each for each in shelf.documents if each["size"] == 400)
    for name in ("id", "owner", "checksum", "os_hash_value", "os_hash_algo", "created_at"):
        assert one["id"] in [each["id"] for each in shelf.lists(f"{name}={one[name]}")]
    assert [each["id"] for each in shelf.lists(f"checksum={one['checksum']}")] == [one["id"]]
    assert [each["id"] for each in shelf.lists(f"id=in:{one['id']},{uuid4()}")] == [one["id"]]
    for operator, found in (("lt", False), ("lte", True), ("eq", True), ("gte", True), ("gt", False), ("neq", False)):
        assert (one["id"] in [each["id"] for each in shelf.lists(f"created_at={operator}:{one['created_at']}")]) is found


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "marker=x",
        "visibility=x",
        "member_status=x",
        "os_hidden=x",
        "protected=True",
        "sort=x",
        "sort=name:x",
        "sort=name&sort_key=id",
        "sort_key=x",
        "sort_dir=x",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "size_min=x",
        "name=like:x",
        "name=a:b",
        "changes-since=2000",
        "created_at=x",
        "created_at=like:2000-01-01",
        'name=in:a"b',
        "name=%ff",
        "name=%00",
    ],
)
def test_invalid_query_is_refused_with_a_reason(query: str, cast: Cast) -> None:
    answer = cast.owner.call("GET", f"/v2/images?{query}", headers={"Accept": "application/json"})
    assert answer.status_code == 400
    assert len(answer.json()["message"]) > 15


# Order


def ordered(documents: tuple[dict[str, Any], ...], keys: list[tuple[str, bool]]) -> list[str]:
    """Sort as the API does: an unset value comes before every other; created_at and id settle what is equal."""
    found = list(documents)
    for name, descending in reversed(keys):
        found.sort(key=lambda each: (each[name] is not None, each[name] or 0), reverse=descending)
    return [each["id"] for each in found]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("sort=name:asc,id:asc", [("name", False), ("id", False)]),
        ("sort=name:desc,id:desc", [("name", True), ("id", True)]),
        ("sort=name,id:asc", [("name", True), ("id", False)]),
        ("sort=size:asc,name:desc,id:asc", [("size", False), ("name", True), ("id", False)]),
        ("sort=disk_format:desc,container_format:asc,id:desc", [("disk_format", True), ("container_format", False), ("id", True)]),
        ("sort_key=name&sort_key=id&sort_dir=asc", [("name", False), ("id", False)]),
        ("sort_key=status&sort_dir=asc&sort_key=id&sort_dir=desc", [("status", False), ("id", True)]),
        ("sort_key=size&sort_key=id", [("size", True), ("id", True)]),
        ("sort=id:asc", [("id", False)]),
        ("sort_dir=asc&sort_key=id", [("id", False)]),
    ],
)
def test_a_list_is_in_the_order_that_was_asked_for(query: str, keys: list[tuple[str, bool]], shelf: Shelf) -> None:
    expected = ordered(shelf.documents, keys)
    assert [each["id"] for each in shelf.lists(query)] == expected
    for limit in (1, 2, 4):
        assert list(itertools.chain(*shelf.walks(f"limit={limit}&{query}"))) == expected


def test_the_newest_image_comes_first(cast: Cast) -> None:
    older, newer = cast.owner.has_an_image(None), cast.owner.has_an_image(None)
    assert [each["id"] for each in cast.owner.lists("limit=2")] == [newer, older]


# Pages


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 10])
@pytest.mark.parametrize(
    "query", ["", "&sort=name:asc", "&sort_key=size&sort_dir=asc", "&sort=name:desc,size:asc", "&tag=even&tag=third"]
)
def test_pages_are_full_and_the_last_one_has_no_next(limit: int, query: str, shelf: Shelf) -> None:
    expected = [each["id"] for each in shelf.lists(query.removeprefix("&"))]
    pages = shelf.walks(f"limit={limit}{query}")
    assert list(itertools.chain(*pages)) == expected
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages) == -(-len(expected) // limit)


def test_next_repeats_every_parameter_as_often_as_it_was_given(shelf: Shelf) -> None:
    query = f"tag={shelf.tag}&tag=even&sort_key=name&sort_key=size&sort_dir=asc&sort_dir=desc&limit=1&name=in:apple,Apple"
    page = shelf.who.call("GET", f"/v2/images?{query}").json()
    marker = page["images"][0]["id"]
    *asked, (name, _position) = parse_qsl(urlsplit(page["next"]).query)
    assert asked == [*parse_qsl(query), ("marker", marker)]
    assert name == "os_glance_after", "where the marker stood"
    assert parse_qsl(urlsplit(page["first"]).query) == parse_qsl(query)
    assert parse_qsl(urlsplit(shelf.who.call("GET", page["next"]).json()["first"]).query) == parse_qsl(query)


def test_values_in_links_survive_the_way_there_and_back(shelf: Shelf) -> None:
    for value in ('in:"a,b",Apple', "in:ünïcode,zebra:striped", "in:a&b,apple", "in:a b+c%,apple"):
        query = f"name={quote(value)}&limit=1"
        page = shelf.who.call("GET", f"/v2/images?tag={shelf.tag}&{query}").json()
        assert dict(parse_qsl(urlsplit(page["first"]).query))["name"] == value


def test_a_limit_is_clipped_and_zero_is_a_limit(shelf: Shelf) -> None:
    assert len(shelf.lists("limit=999999999")) == len(NAMES)
    page = shelf.who.call("GET", f"/v2/images?tag={shelf.tag}&limit=0").json()
    assert page["images"] == []
    assert "next" not in page


def test_page_has_25_images_by_default(cast: Cast) -> None:
    tag = f"many-{uuid4()}"
    for _ in range(26):
        cast.owner.has_an_image(None, tags=[tag])
    page = cast.owner.call("GET", f"/v2/images?tag={tag}").json()
    assert len(page["images"]) == 25
    assert len(cast.owner.call("GET", page["next"]).json()["images"]) == 1


def test_paging_survives_concurrent_changes(cast: Cast) -> None:
    """New images appear before the first page and deleted ones vanish; what stays is seen once."""
    tag = f"walk-{uuid4()}"
    images = [cast.owner.has_an_image(None, tags=[tag]) for _ in range(6)][::-1]
    page = cast.owner.call("GET", f"/v2/images?tag={tag}&limit=2").json()
    seen = [each["id"] for each in page["images"]]
    cast.owner.has_an_image(None, tags=[tag])
    cast.owner.deletes(images[0])
    cast.owner.deletes(images[2])
    while "next" in page:
        page = cast.owner.call("GET", page["next"]).json()
        seen += [each["id"] for each in page["images"]]
    assert seen == [*images[:2], *images[3:]]


def test_a_marker_may_be_an_image_that_the_list_leaves_out(cast: Cast) -> None:
    """Any image in reach will do; the page starts behind where it would stand."""
    tag = f"marker-{uuid4()}"
    older = cast.owner.has_an_image(None, tags=[tag])
    marker = cast.owner.has_an_image(None)
    cast.owner.has_an_image(None, tags=[tag])
    assert [each["id"] for each in cast.owner.lists(f"tag={tag}&marker={marker}")] == [older]


@pytest.mark.parametrize("sort", ["", "&sort=name:asc", "&sort=size:desc,id:asc"])
def test_pages_mix_own_shared_and_public_images_in_one_order(sort: str, cast: Cast) -> None:
    tag = f"mixed-{uuid4()}"
    expected = []
    for number in range(9):
        name = f"{number * 7 % 9}"
        if number % 3 == 0:
            expected.append(cast.member.has_an_image(None, tags=[tag], name=name))
        elif number % 3 == 1:
            expected.append(cast.owner.has_an_image(None, tags=[tag], name=name))
            cast.owner.shares_with(expected[-1], cast.member.project_id)
            cast.member.accepts(expected[-1])
        else:
            expected.append(cast.admin.has_an_image(None, tags=[tag], name=name, visibility="public"))
    whole = [each["id"] for each in cast.member.lists(f"tag={tag}{sort}")]
    assert sorted(whole) == sorted(expected)
    pages = Shelf(cast.member, tag, ()).walks(f"limit=2{sort}")
    assert list(itertools.chain(*pages)) == whole


def test_an_image_is_listed_once_even_when_its_owner_is_its_member(cast: Cast) -> None:
    tag = f"once-{uuid4()}"
    image = cast.owner.has_an_image(None, tags=[tag])
    assert cast.owner.shares_with(image, cast.owner.project_id).status_code == 200
    for query in ("", "&visibility=shared", "&visibility=all", "&member_status=all", "&member_status=pending"):
        assert [each["id"] for each in cast.owner.lists(f"tag={tag}{query}")] == [image]


def test_the_list_shows_documents_as_each_image_shows_itself(shelf: Shelf) -> None:
    assert shelf.documents
    for each in shelf.documents:
        assert shelf.who.shows(each["id"]).json() == each


def test_an_unchanged_list_is_not_sent_twice(cast: Cast) -> None:
    tag = f"etag-{uuid4()}"
    image = cast.owner.has_an_image(None, tags=[tag])
    first = cast.owner.call("GET", f"/v2/images?tag={tag}")
    known = {"If-None-Match": first.headers["ETag"]}
    assert cast.owner.call("GET", f"/v2/images?tag={tag}", headers=known).status_code == 304
    cast.owner.sets(image, "name", "changed")
    assert cast.owner.call("GET", f"/v2/images?tag={tag}", headers=known).status_code == 200
