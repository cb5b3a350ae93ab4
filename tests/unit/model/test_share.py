"""Markers of lists of shares, and the bounds of terms."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model.ids import ImageID, ProjectID
from partage.model.share import SharePosition
from partage.model.terms import NO_NOTICE, Notice, NoticeBounds, Terms

NOW = datetime(2026, 11, 29, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=255)
NOTICES = st.one_of(st.none(), st.timedeltas(timedelta(0), timedelta(days=9))).map(Notice)


@given(st.timedeltas(timedelta(0), timedelta(days=2_000_000)).map(lambda age: NOW + age), TEXTS, TEXTS)
def test_marker_is_read_as_it_was_written(moment: datetime, image: str, member: str) -> None:
    position = SharePosition(moment, ImageID(image), ProjectID(member))
    assert SharePosition.parse(position.marker) == position
    assert position.marker.isascii()


@pytest.mark.parametrize(
    "text",
    [b"[]", b"[1,2]", b'["x","i","m"]', b"[1e300,1,2]", b'[1e18,"i","m"]', b'[1,"\\u0000","m"]', b'{"a":1}', b"7", b"[", b""],
)
def test_marker_of_another_making_is_refused(text: bytes) -> None:
    with pytest.raises(problems.QueryInvalid):
        SharePosition.parse(base64.urlsafe_b64encode(text).decode())


@pytest.mark.parametrize("text", ["=", "é", "a b", "%", "x" * 5])
def test_marker_that_is_no_encoded_text_is_refused(text: str) -> None:
    with pytest.raises(problems.QueryInvalid):
        SharePosition.parse(text)


@pytest.mark.parametrize("text", ["P\u0663D", "PT\u0661H", "P1\u0660D", "P\uff13D", "PT\u0967S"])
def test_duration_of_other_digits_than_ascii_is_refused(text: str) -> None:
    with pytest.raises(problems.BodyInvalid):
        Notice.parse(text)


@given(NOTICES, NOTICES)
def test_of_two_notices_the_longer_covers_the_other(one: Notice, other: Notice) -> None:
    ends = [each.end(NOW) or datetime.max.replace(tzinfo=UTC) for each in (one, other)]
    assert one.covers(other) == (ends[0] >= ends[1])


@given(NOTICES, NOTICES, NOTICES)
def test_notice_passes_between_its_bounds_only(least: Notice, longest: Notice, notice: Notice) -> None:
    bounds = NoticeBounds(least=least, longest=longest)
    if notice.covers(least) and longest.covers(notice):
        bounds.check(notice)
    else:
        with pytest.raises(problems.TermsRefused):
            bounds.check(notice)


@pytest.mark.parametrize(
    ("was", "becomes", "is_extended"),
    [(None, None, True), (1, 1, True), (1, 2, True), (1, None, True), (2, 1, False), (None, 1, False)],
)
def test_expiry_of_accepted_terms_is_only_put_off(was: int | None, becomes: int | None, *, is_extended: bool) -> None:
    before, after = (Terms(expires_at=None if days is None else NOW + timedelta(days=days)) for days in (was, becomes))
    if is_extended:
        after.require_extended(before)
    else:
        with pytest.raises(problems.TermsRefused):
            after.require_extended(before)


def test_bounds_of_a_cloud_without_settings_allow_everything() -> None:
    for notice in (NO_NOTICE, Notice(timedelta(days=10_000)), Notice(None)):
        NoticeBounds().check(notice)
