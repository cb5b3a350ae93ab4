"""Which claim codes can be used, and which are listed, against short definitions on random worlds; and windows of failed claims."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from partage.model.claim_code import ClaimCode, CodeID
from partage.model.ids import ProjectID
from partage.model.image import Image, Visibility
from partage.model.terms import Notice, Terms
from partage.records import claim_codes, claim_failures, images
from partage.records.database import Database
from tests.contract.records_worlds import START, build, undone
from tests.contract.records_worlds import image as make_image
from tests.contract.test_records_visibility import NOW, PROJECTS, TIMES, on_one_database

World = tuple[list[Image], list[ClaimCode]]
WINDOW = timedelta(minutes=10)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = [
        make_image(number, owner=draw(st.sampled_from(PROJECTS)), visibility=draw(st.sampled_from(list(Visibility))))
        for number in range(draw(st.integers(1, 4)))
    ]
    made = [each.retain(now=each.updated_at) if draw(st.integers(0, 5)) == 0 else each for each in made]
    codes = [
        ClaimCode(
            id=CodeID(f"code{number:08}"),
            digest=f"{number:064}",
            image_id=draw(st.sampled_from(made)).id,
            created_at=START,
            expires_at=draw(TIMES.filter(bool)),
            uses=3,
            uses_left=draw(st.integers(0, 3)),
            terms=Terms(notice=Notice(draw(st.sampled_from([None, timedelta(days=3)]))), expires_at=draw(TIMES), message="m"),
        )
        for number in range(draw(st.integers(0, 6)))
    ]
    return made, codes


def image_of(world: World, code: ClaimCode) -> Image:
    return next(each for each in world[0] if each.id == code.image_id)


def can_be_claimed(world: World, code: ClaimCode) -> bool:
    ends = code.terms.expires_at
    return image_of(world, code).visibility == "shared" and code.expires_at > NOW and (ends is None or ends > NOW)


@on_one_database
@given(world=worlds())
def test_code_is_found_if_it_can_be_claimed_and_listed_until_it_expires(database: Database, world: World) -> None:
    made, codes = world
    with undone(database) as tx:
        build(tx, made)
        for code in codes:
            claim_codes.add(tx, code, image_of(world, code))
        found = [claim_codes.find_claimable(tx, each.id, now=NOW) for each in codes]
        listed = {each.id: claim_codes.list_of_image(tx, each.id, now=NOW) for each in made}
        counts = {each: claim_codes.count_of_project(tx, ProjectID(each), now=NOW) for each in PROJECTS}
        taken = [claim_codes.take_use(tx, each.id) for each in codes]
        left = {each.id: each.uses_left for image in made for each in claim_codes.list_of_image(tx, image.id, now=START)}
        expired = claim_codes.remove_expired(tx, now=NOW)
    valid = [each for each in codes if each.expires_at > NOW]
    assert found == [each if can_be_claimed(world, each) else None for each in codes]
    assert listed == {image.id: [each for each in valid if each.image_id == image.id] for image in made}
    assert counts == {each: sum(image_of(world, code).owner == each for code in valid) for each in PROJECTS}
    assert taken == [each.uses_left > 0 for each in codes]
    assert left == {each.id: max(0, each.uses_left - 1) for each in codes}
    assert expired == len(codes) - len(valid)


def test_codes_follow_their_image_to_its_new_owner_and_go_with_it(database: Database) -> None:
    image = make_image(1)
    code = ClaimCode(
        id=CodeID("c"), digest="d", image_id=image.id, created_at=START, expires_at=NOW, uses=1, uses_left=1, terms=Terms()
    )
    with undone(database) as tx:
        build(tx, [image])
        claim_codes.add(tx, code, image)
        images.save(tx, replace(image, owner=ProjectID("B")), was=image)
        assert [claim_codes.count_of_project(tx, ProjectID(each), now=START) for each in "AB"] == [0, 1]
        assert not claim_codes.remove(tx, make_image(2).id, code.id, now=START)
        images.remove(tx, image)
        assert claim_codes.count_of_project(tx, ProjectID("B"), now=START) == 0


@on_one_database
@given(spans=st.lists(st.integers(0, 700), max_size=12), successes=st.sets(st.integers(0, 11)))
def test_failures_are_those_of_the_window_that_the_first_began(database: Database, spans: list[int], successes: set[int]) -> None:
    began: datetime | None = None
    now, count = START, 0
    with undone(database) as tx:
        claim_failures.add(tx, "another", now=START, window=WINDOW)
        for number, seconds in enumerate(spans):
            now += timedelta(seconds=seconds)
            if began is None or now - began >= WINDOW:
                began, count = now, 0
            count += 1
            assert claim_failures.add(tx, "one", now=now, window=WINDOW) == (count, began + WINDOW)
            if number in successes:
                claim_failures.subtract(tx, ["one"])
                count -= 1
            assert claim_failures.find(tx, "one", now=now, window=WINDOW) == (count, began + WINDOW)
        assert claim_failures.find(tx, "one", now=now + WINDOW, window=WINDOW)[0] == 0
        assert claim_failures.remove_old(tx, before=now + WINDOW) == 1 + bool(spans)
