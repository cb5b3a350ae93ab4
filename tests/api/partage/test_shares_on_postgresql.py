"""Shares with their records in PostgreSQL: what databases differ in, and random requests."""

import pytest

from partage.http.partage import paths
from tests.api.partage import test_adoption_over_http as adoptions
from tests.api.partage import test_claims_over_http as claims
from tests.api.partage import test_guard_over_http as guards
from tests.api.partage import test_impact_over_http as impacts
from tests.api.partage import test_shares_over_http as stories
from tests.api.personas import Cast, at_once
from tests.fuzz.attack import seed_of_this_run
from tests.fuzz.explore import explore

STORIES = [
    stories.test_sharing_is_one_call_on_each_side,
    stories.test_inbox_and_outbox_are_filtered_by_status_image_and_project,
    stories.test_lists_have_limit_marker_and_next_as_in_v2,
    stories.test_next_page_is_there_although_the_share_of_its_marker_is_gone,
    stories.test_many_images_are_offered_to_many_recipients_with_an_outcome_each,
    stories.test_offer_is_all_or_nothing_on_demand,
    stories.test_offer_is_idempotent_with_a_key,
    stories.test_terms_are_only_extended_once_accepted,
    stories.test_offers_are_accepted_and_rejected_for_many_at_once,
    stories.test_member_may_always_leave,
    adoptions.test_adopting_answers_201_with_an_image_of_the_adopter,
    adoptions.test_adopted_image_stays_when_the_source_is_gone,
    adoptions.test_lineage_is_recorded_and_under_v2_nothing_is_ours,
    impacts.test_impact_says_who_loses_what_and_when,
    impacts.test_takedown_is_shown_as_such_to_both_sides,
    guards.test_acknowledged_end_proceeds_with_the_cool_down_as_notice,
    guards.test_switching_off_is_pending_visible_and_can_be_taken_back,
    claims.test_claim_makes_the_callers_project_a_member_with_those_terms,
    claims.test_repeated_claim_is_200_and_takes_no_use,
    claims.test_claim_does_not_shorten_terms_and_accepts_an_offer,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story_is_the_same_on_postgresql(story: stories.Story, cast_on_postgresql: Cast) -> None:
    story(cast_on_postgresql)


def test_answers_about_shares_match_the_document_on_postgresql(cast_on_postgresql: Cast) -> None:
    found = explore(
        cast_on_postgresql.admin, seed=seed_of_this_run(), examples=10, phases="examples,fuzzing", document=paths.OPENAPI
    )
    assert found.is_good, found.words


def test_requests_of_one_key_at_once_are_carried_out_once(cast_on_postgresql: Cast) -> None:
    owner, member = cast_on_postgresql.owner, cast_on_postgresql.member
    image, headers = owner.has_an_image(None), {"Idempotency-Key": "one-request"}

    def send(who: stories.Persona) -> object:
        return stories.offer(who, [image], [member.project_id], headers=headers)

    answers = at_once(owner, *[send] * 8)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["results"][0]["problem"] is None
