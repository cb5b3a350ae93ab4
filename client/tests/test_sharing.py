"""The same stories on Partage and on plain Glance: offer, accept, list, reject, leave, end; and what is refused."""

from collections.abc import Sequence

import pytest

import partageclient
from partageclient import Outcome, Terms, errors
from places import Place

UNKNOWN = "0123456789abcdef0123456789abcdef"


def visibility(place: Place, image_id: str) -> str:
    return str(place.cloud("project-a").request("GET", f"/v2/images/{image_id}", asked="Show").document["visibility"])


def results(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    return [(each.result, each.status) for each in outcomes]


def test_private_image_is_made_shared_accepted_and_seen_by_the_member(place: Place) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [outcome] = partageclient.share(a, ["golden"], accept_as=[b])
    assert outcome.problem is None
    assert outcome.was_made_shared
    assert (outcome.status, outcome.result) == ("accepted", "accepted, member sees it active")
    assert (outcome.image_id, outcome.project_id) == (image["id"], b.project_id)
    assert [(each.image_id, each.status) for each in partageclient.inbox(b)] == [(image["id"], "accepted")]


def test_offer_that_is_repeated_changes_nothing(place: Place) -> None:
    place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    first = partageclient.share(a, ["golden"], [b.project_id])
    second = partageclient.share(a, ["golden"], [b.project_id])
    assert results(first) == [("offered", "pending")]
    assert results(second) == [("unchanged", "pending")]
    assert len(partageclient.outbox(a)) == 1


def test_every_pair_has_an_outcome_in_the_order_of_the_request(place: Place) -> None:
    ids = [place.create_image(f"disk-{number}")["id"] for number in range(3)]
    a, b, c = (place.cloud(f"project-{letter}") for letter in "abc")
    outcomes = partageclient.share(a, [*ids, "absent"], [b.project_id, c.project_id])
    assert [(each.image_id, each.project_id) for each in outcomes[:6]] == [
        (image, project) for image in ids for project in (b.project_id, c.project_id)
    ]
    assert [each.result for each in outcomes] == ["offered"] * 6 + ["failed"] * 2
    assert isinstance(outcomes[6].problem, errors.NotFound)
    assert len(partageclient.outbox(a, member=c.project_id)) == 3


def test_profile_of_clouds_yaml_names_its_project(place: Place) -> None:
    place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [outcome] = partageclient.share(a, ["golden"], ["project-b"])
    assert outcome.project_id == b.project_id


@pytest.mark.parametrize("wrong", ["own", "too short", "no such name"])
def test_project_that_cannot_be_right_is_refused_before_anything_changes(place: Place, wrong: str) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    text = {"own": a.project_id, "too short": b.project_id[:-1], "no such name": "nobody"}[wrong]
    with pytest.raises(errors.ClientError, match=r"[Nn]othing was changed"):
        partageclient.share(a, ["golden"], [b.project_id, text])
    assert visibility(place, image["id"]) == "private"
    assert partageclient.outbox(a) == []


def test_unknown_project_is_refused_where_somebody_can_be_asked(place: Place) -> None:
    """Glance takes every id, and its users may not ask Keystone. Partage asks by itself."""
    image = place.create_image("golden")
    a = place.cloud("project-a")
    if place.is_glance:
        assert results(partageclient.share(a, ["golden"], [UNKNOWN])) == [("offered", "pending")]
        return
    with pytest.raises(errors.Invalid, match=r"[Nn]othing was changed"):
        partageclient.share(a, ["golden"], [UNKNOWN])
    assert visibility(place, image["id"]) == "private"


def test_administrator_shares_by_name_because_keystone_lets_it_look(place: Place) -> None:
    place.create_image("golden", owner="admin")
    admin, b = place.cloud("admin"), place.cloud("project-b")
    try:
        with pytest.raises(errors.Invalid, match="no project of this name"):
            partageclient.share(admin, ["golden"], ["nobody"])
        [outcome] = partageclient.share(admin, ["golden"], [b.project_id])
        assert outcome.result == "offered"
    finally:
        place.forget_images("admin")


def test_dry_run_says_what_would_be_done_and_does_nothing(place: Place) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    [outcome] = partageclient.share(a, ["golden"], [b.project_id], dry_run=True)
    assert (outcome.result, outcome.was_made_shared, outcome.problem) == ("would offer", True, None)
    assert visibility(place, image["id"]) == "private"
    partageclient.share(a, ["golden"], [b.project_id])
    assert results(partageclient.share(a, ["golden"], [b.project_id], dry_run=True)) == [("unchanged", "pending")]
    assert results(partageclient.accept(b, ["golden"], dry_run=True)) == [("would be accepted", "pending")]
    assert results(partageclient.unshare(a, "golden", [b.project_id], dry_run=True)) == [("would end", "pending")]
    assert [each.status for each in partageclient.inbox(b)] == ["pending"]


def test_private_image_stays_private_where_that_is_asked_for(place: Place) -> None:
    image = place.create_image("golden")
    [outcome] = partageclient.share(place.cloud("project-a"), ["golden"], [place.cloud("project-b").project_id], make_shared=False)
    assert outcome.result == "failed"
    assert visibility(place, image["id"]) == "private"


def test_community_image_is_refused_with_the_way_out(place: Place) -> None:
    place.create_image("golden", visibility="community")
    [outcome] = partageclient.share(place.cloud("project-a"), ["golden"], [place.cloud("project-b").project_id])
    assert outcome.result == "failed"
    assert outcome.problem is not None


def test_terms_are_kept_by_partage_and_refused_on_glance(place: Place) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    terms = Terms(notice="P30D", message="for the move")
    if place.is_glance:
        with pytest.raises(errors.Unsupported, match="Share without --notice"):
            partageclient.share(a, ["golden"], [b.project_id], terms=terms)
        assert visibility(place, image["id"]) == "private"
        return
    partageclient.share(a, ["golden"], [b.project_id], terms=terms)
    [share] = partageclient.inbox(b)
    assert (share.notice, share.message, share.image_name) == ("P30D", "for the move", "golden")
    [again] = partageclient.share(a, ["golden"], [b.project_id], terms=Terms(notice="P60D"))
    assert isinstance(again.problem, errors.Conflict)
    assert partageclient.change_terms(a, "golden", b.project_id[:8], Terms(notice="P60D")).notice == "P60D"
    partageclient.accept(b, ["golden"])
    [ended] = partageclient.unshare(a, "golden", [b.project_id])
    assert ended.result == "ending"
    assert ended.ends_at is not None
    assert [(each.status, each.ends_at) for each in partageclient.inbox(b)] == [("accepted", ended.ends_at)]
    assert [each.result for each in partageclient.leave(b, [image["id"]])] == ["left"]


def test_member_answers_and_leaves(place: Place) -> None:
    image = place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, ["golden"], [b.project_id])
    assert results(partageclient.reject(b, ["golden"])) == [("rejected", "rejected")]
    assert [each.status for each in partageclient.inbox(b, status="rejected")] == ["rejected"]
    assert results(partageclient.accept(b, [image["id"]])) == [("accepted", "accepted")]
    assert partageclient.find_share(b, "golden").status == "accepted"
    [left] = partageclient.leave(b, ["golden"])
    assert left.problem is None
    assert [each.status for each in partageclient.inbox(b)] == (["rejected"] if place.is_glance else [])


def test_member_that_was_removed_after_listing_cannot_accept(place: Place) -> None:
    kept, removed = (place.create_image(name) for name in ("kept", "removed"))
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, ["kept", "removed"], [b.project_id])
    listed = [each.image_id for each in partageclient.inbox(b, status="pending")]
    partageclient.unshare(a, "removed", [b.project_id])
    outcomes = {each.image_id: each for each in partageclient.accept(b, listed)}
    assert outcomes[kept["id"]].result == "accepted"
    assert isinstance(outcomes[removed["id"]].problem, errors.NotFound)


def test_share_that_is_ended_twice_has_no_member_the_second_time(place: Place) -> None:
    place.create_image("golden")
    a, b = place.cloud("project-a"), place.cloud("project-b")
    partageclient.share(a, ["golden"], accept_as=[b])
    assert [each.result for each in partageclient.unshare(a, "golden", [b.project_id[:8]])] == ["ended"]
    assert [each.result for each in partageclient.unshare(a, "golden", [b.project_id])] == ["no member"]
    assert partageclient.inbox(b) == []


def test_name_of_several_images_is_refused_with_their_ids(place: Place) -> None:
    ids = {place.create_image("golden")["id"] for _ in range(2)}
    [outcome] = partageclient.share(place.cloud("project-a"), ["golden"], [place.cloud("project-b").project_id])
    assert isinstance(outcome.problem, errors.Ambiguous)
    assert all(each in str(outcome.problem) for each in ids)


def test_profile_that_accepts_has_to_be_of_a_recipient(place: Place) -> None:
    place.create_image("golden")
    a, b, c = (place.cloud(f"project-{letter}") for letter in "abc")
    with pytest.raises(errors.Invalid, match="is no recipient"):
        partageclient.share(a, ["golden"], [b.project_id], accept_as=[c])
    with pytest.raises(errors.Invalid, match="of your own project"):
        partageclient.share(a, ["golden"], accept_as=[a])
    assert partageclient.outbox(a) == []
