"""Which images a list shows and a look-up finds, against three-line definitions, on random worlds."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partage import problems
from partage.model.ids import ImageID
from partage.model.image import Image, ImageStatus, Visibility
from partage.model.member import MemberStatus
from partage.model.query import Filter, ImageQuery, Operator, SortKey
from partage.records import images, paging, selective
from partage.records.database import Database
from tests.contract.records_worlds import START, Notice, Share, build, caller, image, undone

PROJECTS = ["A", "B", "C"]
on_one_database = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


NOW = START + timedelta(days=1)
TIMES = st.sampled_from([None, None, NOW - timedelta(microseconds=1), NOW, NOW + timedelta(microseconds=1)])
World = tuple[list[Image], list[Share], list[Notice]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = [
        image(
            number,
            owner=draw(st.sampled_from(PROJECTS)),
            visibility=draw(st.sampled_from(list(Visibility))),
            os_hidden=draw(st.sampled_from([False, False, True])),
            size=draw(st.sampled_from([None, 0, 5, 7])),
            name=draw(st.sampled_from([None, "", "a", "b"])),
            tags=tuple(sorted(draw(st.sets(st.sampled_from(["x", "y"]))))),
            properties=draw(st.dictionaries(st.sampled_from(["os", "arch"]), st.sampled_from(["1", "2"]))),
            status=draw(st.sampled_from([ImageStatus.ACTIVE, ImageStatus.ACTIVE, ImageStatus.DEACTIVATED])),
            protected=draw(st.booleans()),
            disk_format=draw(st.sampled_from([None, "raw", "iso"])),
            checksum=draw(st.sampled_from([None, "c" * 32, "d" * 32])),
            os_hash_value=draw(st.sampled_from([None, "e" * 127 + "1", "e" * 127 + "2"])),
        )
        for number in range(draw(st.integers(0, 9)))
    ]
    pairs = [(each, project) for each in made for project in PROJECTS]
    chosen = draw(st.lists(st.sampled_from(pairs), unique_by=lambda pair: (pair[0].id, pair[1]))) if pairs else []
    made = [each.retain(now=each.updated_at) if draw(st.integers(0, 7)) == 0 else each for each in made]
    statuses = st.sampled_from(list(MemberStatus))
    offers = st.sampled_from([*((each, False) for each in MemberStatus), (MemberStatus.PENDING, True)])
    shares = [
        Share(each, project, status, draw(TIMES), hidden=hidden)
        for each, project in chosen
        if draw(st.booleans())
        for status, hidden in [draw(offers)]
    ]
    notices = [Notice(each, project, draw(statuses), draw(TIMES)) for each, project in chosen if draw(st.booleans())]
    return made, shares, notices


queries = st.builds(
    ImageQuery,
    limit=st.integers(1, 4),
    visibility=st.sampled_from([None, *Visibility]),
    all_visibilities=st.booleans(),
    member_status=st.sampled_from([None, *MemberStatus]),
    os_hidden=st.booleans(),
    sort=st.permutations([SortKey("created_at", True), SortKey("size", False), SortKey("name", True)]).map(
        lambda keys: (*keys[:2], SortKey("id", False)),
    )
    | st.just((SortKey("created_at", True), SortKey("id", True)))
    | st.just((SortKey("name", False), SortKey("created_at", False), SortKey("id", False)))
    | st.just((SortKey("updated_at", True), SortKey("created_at", True), SortKey("id", True))),
    tags=st.sampled_from([(), ("x",), ("x", "y")]),
    properties=st.sampled_from([(), (("os", "1"),)]),
    filters=st.sampled_from(
        [
            (),
            (Filter("size", Operator.GTE, (5,)),),
            (Filter("name", Operator.IN, ("a", "b")),),
            (Filter("owner", Operator.EQ, ("A",)),),
            (Filter("status", Operator.EQ, ("active",)),),
            (Filter("status", Operator.IN, ("active", "queued")),),
            (Filter("id", Operator.IN, (image(1).id, image(2).id, image(50).id)),),
            (Filter("name", Operator.EQ, ("",)),),
            (Filter("checksum", Operator.EQ, ("c" * 32,)),),
            (Filter("os_hash_value", Operator.EQ, ("e" * 127 + "1",)),),
            (Filter("disk_format", Operator.EQ, ("raw",)), Filter("protected", Operator.EQ, (True,))),
            (Filter("size", Operator.EQ, (5,)), Filter("protected", Operator.EQ, (False,))),
            (Filter("updated_at", Operator.GT, (image(3).created_at,)),),
            (Filter("created_at", Operator.GT, (image(3).created_at,)),),
            (Filter("created_at", Operator.EQ, (image(3).created_at,)),),
            (Filter("created_at", Operator.NEQ, (image(3).created_at,)),),
        ],
    ),
).map(lambda query: query if query.visibility is None else ImageQuery(**{**fields(query), "all_visibilities": False}))


def fields(query: ImageQuery) -> dict[str, object]:
    return {name: getattr(query, name) for name in ImageQuery.__slots__}


def has_notice(project: str, each: Image, notices: list[Notice]) -> bool:
    return any(runs(notice, each, project) for notice in notices)


def runs(notice: Notice, each: Image, project: str) -> bool:
    return notice.image.id == each.id and notice.member == project and (notice.ends_at is None or notice.ends_at > NOW)


def live(share: Share, each: Image, project: str) -> bool:
    is_unexpired = share.expires_at is None or share.expires_at > NOW
    return share.image.id == each.id and share.member == project and is_unexpired and not share.hidden


def knows(project: str, each: Image, shares: list[Share], notices: list[Notice]) -> bool:
    is_member = each.visibility == "shared" and any(live(share, each, project) for share in shares)
    return each.owner == project or each.visibility in ("public", "community") or is_member or has_notice(project, each, notices)


def seen_by(project: str, each: Image, notices: list[Notice]) -> Image:
    """Return the image as a project sees it: with a running notice, as it was shared."""
    return each.as_shared() if each.owner != project and has_notice(project, each, notices) else each


def lists(project: str, each: Image, shares: list[Share], notices: list[Notice], query: ImageQuery) -> bool:
    if has_notice(project, each, notices):
        answers = [notice.status for notice in notices if runs(notice, each, project)]
        each = seen_by(project, each, notices)
    else:
        answers = [share.status for share in shares if live(share, each, project)]
    offered = each.visibility == "shared" and any(query.member_status in (None, answer) for answer in answers)
    open_to_all = each.visibility == "public" or (
        each.visibility == "community" and (query.all_visibilities or bool(query.visibility))
    )
    return each.owner == project or offered or open_to_all


def is_owned_or_held(each: Image, notices: list[Notice]) -> bool:
    return not each.is_retained or any(has_notice(project, each, notices) for project in PROJECTS)


def administrator_lists(project: str, each: Image, notices: list[Notice], query: ImageQuery) -> bool:
    if not is_owned_or_held(each, notices):
        return False
    return each.visibility != "community" or each.owner == project or query.all_visibilities or bool(query.visibility)


def passes(each: Image, query: ImageQuery) -> bool:
    if query.visibility not in (None, each.visibility) or each.os_hidden != query.os_hidden:
        return False
    named = all(each.properties.get(name) == value for name, value in query.properties)
    return named and set(query.tags) <= set(each.tags) and all(holds(each, condition) for condition in query.filters)


def holds(each: Image, condition: Filter) -> bool:
    value, first = getattr(each, condition.attribute), condition.values[0]
    if value is None:
        return False
    return {
        Operator.EQ: lambda: value == first,
        Operator.NEQ: lambda: value != first,
        Operator.GT: lambda: value > first,
        Operator.GTE: lambda: value >= first,
        Operator.IN: lambda: value in condition.values,
    }[condition.operator]()


def in_order(found: list[Image], query: ImageQuery) -> list[Image]:
    for key in reversed(query.sort):
        unset = -1 if key.attribute == "size" else ""
        found = sorted(found, key=lambda each: _value(each, key.attribute, unset), reverse=key.descending)
    return found


def _value(each: Image, attribute: str, unset: object) -> object:
    value = getattr(each, attribute)
    return unset if value is None else value


@pytest.mark.thorough
@on_one_database
@given(
    world=worlds(),
    project=st.sampled_from(PROJECTS),
    query=queries,
    is_admin=st.booleans(),
    most_bytes=st.sampled_from([1, 40, 1 << 22]),
    may_start_from_filter=st.booleans(),
    has_few=st.booleans(),
)
def test_pages_contain_exactly_the_visible_images_in_order(
    database: Database,
    world: World,
    project: str,
    query: ImageQuery,
    *,
    is_admin: bool,
    most_bytes: int,
    may_start_from_filter: bool,
    has_few: bool,
) -> None:
    """In each way: from the few images that a filter matches, from the project's few shares, and in the order of the list."""
    made, shares, notices = world
    if is_admin:
        shown = [each for each in made if administrator_lists(project, each, notices, query)]
    else:
        shown = [seen_by(project, each, notices) for each in made if lists(project, each, shares, notices, query)]
    expected = in_order([each for each in shown if passes(each, query)], query)
    choose = selective.choose if may_start_from_filter else (lambda *_: None)
    counted = {"has_few_shares": lambda *_: has_few, "has_few_endings": lambda *_: has_few}
    with undone(database) as tx, patch.multiple(selective, choose=choose, **counted):
        build(tx, made, shares, notices)
        walked: list[Image] = []
        after = None
        while True:
            found = images.page(tx, caller(project, is_admin=is_admin), query, after=after, most_bytes=most_bytes, now=NOW)
            walked += found.images
            assert len(found.images) <= query.limit
            assert len(found.images) <= 1 or sum(each.document_bytes for each in found.images) <= most_bytes
            if not found.has_more:
                break
            after = paging.position(found.images[-1], query)
    assert [each.id for each in walked] == [each.id for each in expected]
    assert walked == expected


@on_one_database
@given(world=worlds(), project=st.sampled_from(PROJECTS), is_admin=st.booleans())
def test_image_is_found_by_id_exactly_if_the_project_may_see_it(
    database: Database,
    world: World,
    project: str,
    is_admin: bool,
) -> None:
    made, shares, notices = world
    with undone(database) as tx:
        build(tx, made, shares, notices)
        found = [each for each in made if finds(tx, caller(project, is_admin=is_admin), each.id)]
        seen = [images.find(tx, caller(project, is_admin=is_admin), each.id, now=NOW) for each in found]
    assert found == [
        each for each in made if (is_owned_or_held(each, notices) if is_admin else knows(project, each, shares, notices))
    ]
    assert seen == [each if is_admin else seen_by(project, each, notices) for each in found]


def finds(tx: images.Transaction, who: object, image_id: ImageID) -> bool:
    try:
        images.find(tx, who, image_id, now=NOW)  # type: ignore[arg-type]
    except problems.ImageNotFound:
        return False
    return True
