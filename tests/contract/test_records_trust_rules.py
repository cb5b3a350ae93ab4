"""How trust rules answer offers, and which hidden offers appear when rules change, against a short definition on random worlds."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.member import Member, MemberStatus
from partage.model.share import Direction, ShareQuery
from partage.model.trust import TrustAnswer, TrustKind, TrustRule, TrustSubject
from partage.records import images, members, shares, trust_rules
from partage.records.database import Database, Transaction
from tests.contract.records_worlds import START, build, caller, undone
from tests.contract.records_worlds import image as make_image
from tests.contract.test_records_visibility import NOW, PROJECTS, on_one_database

DOMAINS = ["d1", "d2", ""]


@dataclass(frozen=True)
class Offer:
    """An offer that is hidden: of an image, to a project, from a domain."""

    image: Image
    member: str
    domain: str


World = tuple[dict[tuple[str, TrustSubject], TrustAnswer], list[Offer]]

subjects = st.builds(TrustSubject, st.just(TrustKind.PROJECT), st.sampled_from(PROJECTS)) | st.builds(
    TrustSubject, st.just(TrustKind.DOMAIN), st.sampled_from(DOMAINS[:2])
)
rules = st.dictionaries(st.tuples(st.sampled_from(PROJECTS), subjects), st.sampled_from(list(TrustAnswer)), max_size=8)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = [make_image(number, owner=draw(st.sampled_from(PROJECTS))) for number in range(draw(st.integers(0, 4)))]
    offers = [
        Offer(each, project, draw(st.sampled_from(DOMAINS)))
        for each in made
        for project in PROJECTS
        if project != each.owner and draw(st.booleans())
    ]
    return draw(rules), offers


def answer(chosen: dict[tuple[str, TrustSubject], TrustAnswer], member: str, owner: str | None, domain: str) -> TrustAnswer:
    """Define the answer: the rule for the project, or that for its domain, or to ask."""
    for subject in (TrustSubject(TrustKind.PROJECT, owner or ""), TrustSubject(TrustKind.DOMAIN, domain)):
        if (member, subject) in chosen:
            return chosen[member, subject]
    return TrustAnswer.ASK


def put(tx: Transaction, member: str, subject: TrustSubject, chosen: TrustAnswer) -> None:
    trust_rules.put(tx, TrustRule(project_id=ProjectID(member), subject=subject, answer=chosen, created_at=START, updated_at=NOW))


def add(tx: Transaction, offer: Offer) -> None:
    row = Member(
        image_id=offer.image.id,
        member_id=ProjectID(offer.member),
        created_at=START,
        updated_at=START,
        is_hidden=True,
        offered_from=offer.domain,
    )
    members.add(tx, row, offer.image)


def inbox(tx: Transaction, project: str) -> set[str]:
    query = ShareQuery(direction=Direction.IN, limit=100)
    return {each.image.id for each in shares.page(tx, caller(project), query, now=NOW).shares}


@on_one_database
@given(chosen=rules, owner=st.sampled_from([*PROJECTS, None]), domain=st.sampled_from(DOMAINS))
def test_offer_is_answered_by_the_most_specific_rule(
    database: Database, chosen: dict[tuple[str, TrustSubject], TrustAnswer], owner: str | None, domain: str
) -> None:
    with undone(database) as tx:
        for (member, subject), each in chosen.items():
            put(tx, member, subject, each)
        asked = [ProjectID(each) for each in PROJECTS]
        found = trust_rules.find_answers(tx, asked, owner=None if owner is None else ProjectID(owner), domain_id=domain)
        listed = {each: trust_rules.list_of_project(tx, ProjectID(each)) for each in PROJECTS}
        counts = {each: trust_rules.lock(tx, ProjectID(each)) for each in PROJECTS}
    assert {each: found.get(ProjectID(each), TrustAnswer.ASK) for each in PROJECTS} == {
        each: answer(chosen, each, owner, domain) for each in PROJECTS
    }
    assert {(member, each.subject): each.answer for member, rows in listed.items() for each in rows} == chosen
    assert counts == {each: len(rows) for each, rows in listed.items()}


@on_one_database
@given(world=worlds(), changed=st.sampled_from(PROJECTS))
def test_hidden_offers_appear_once_no_rule_refuses_them(database: Database, world: World, changed: str) -> None:
    chosen, offers = world
    with undone(database) as tx:
        build(tx, list({each.image.id: each.image for each in offers}.values()))
        for each in offers:
            add(tx, each)
        for (member, subject), each_answer in chosen.items():
            put(tx, member, subject, each_answer)
        before = {each: inbox(tx, each) for each in PROJECTS}
        members.show_unrefused(tx, member_id=ProjectID(changed))
        after = {each: inbox(tx, each) for each in PROJECTS}
        seen = {each.image.id: is_found(tx, changed, each.image) for each in offers if each.member == changed}
    assert before == {each: set() for each in PROJECTS}
    appear = {
        each.image.id
        for each in offers
        if each.member == changed and answer(chosen, changed, each.image.owner, each.domain) is not TrustAnswer.REFUSE
    }
    assert after == {**before, changed: appear}
    assert {image_id for image_id, is_seen in seen.items() if is_seen} == appear


def is_found(tx: Transaction, project: str, image: Image) -> bool:
    try:
        images.find(tx, caller(project), image.id, now=NOW)
    except problems.ImageNotFound:
        return False
    return True


def test_hidden_membership_is_there_for_the_owner_only(database: Database) -> None:
    image = make_image(1)
    with undone(database) as tx:
        build(tx, [image])
        add(tx, Offer(image, "B", "d1"))
        add(tx, Offer(image, "C", "d1"))
        assert [each.member_id for each in members.list_members(tx, caller("A"), image.id, now=NOW)] == ["B", "C"]
        assert members.list_members(tx, caller("B"), image.id, now=NOW) == []
        hidden = members.find(tx, caller("A"), image.id, ProjectID("B"), now=NOW)
        with pytest.raises(problems.MemberNotFound):
            members.find(tx, caller("B"), image.id, ProjectID("B"), now=NOW)
        members.set_status(tx, hidden.become("accepted", now=NOW))
        assert members.find(tx, caller("B"), image.id, ProjectID("B"), now=NOW).status is MemberStatus.ACCEPTED
        assert not members.remove_hidden(tx, image.id, ProjectID("B"))
        assert members.remove_hidden(tx, image.id, ProjectID("C"))


def test_hidden_membership_is_the_same_after_a_restore() -> None:
    hidden = Member(
        image_id=make_image(1).id, member_id=ProjectID("B"), created_at=START, updated_at=START, is_hidden=True, offered_from="d1"
    )
    shown = replace(hidden, member_id=ProjectID("C"), is_hidden=False)
    assert members.decode(hidden.image_id, members.encode([hidden, shown])) == [hidden, shown]


def test_lists_of_a_member_walk_no_hidden_offers(database: Database) -> None:
    """A project that refuses offers must not pay for those that it is made."""
    statement = shares.page_statement(Direction.IN, has_status=False, has_image=False, has_project=False, has_position=False)
    with database.read() as tx:
        if tx.dialect.name == "mariadb":
            made = tx.exec_driver_sql("SHOW CREATE TABLE members").one()[1]
            assert "`ix_members_member` (`member_id`,`hidden`," in made
            return
        if tx.dialect.name != "sqlite":
            found = tx.exec_driver_sql("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_members_member'").scalar_one()
            assert "WHERE (hidden = 0)" in found
            return
        compiled = str(statement.compile(dialect=tx.dialect))
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple([1] * compiled.count("?")))
        plan = "\n".join(str(row[-1]) for row in rows)
        index = tx.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'ix_members_member'").scalar_one()
    assert "INDEX ix_members_member" in plan
    assert "WHERE hidden = 0" in index
