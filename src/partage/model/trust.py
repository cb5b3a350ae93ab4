"""Trust rules: how a project answers offers from another project, or from the projects of a domain. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from partage.model.ids import ProjectID
from partage.model.member import Member, MemberStatus

MOST_TRUST_RULES = 500
"""Rules of one project."""


class TrustKind(StrEnum):
    """From where the offers of a rule come."""

    PROJECT = "project"
    DOMAIN = "domain"


class TrustAnswer(StrEnum):
    """What a rule does with an offer: accept it, let the member decide, or refuse it without a sign to its sender."""

    ACCEPT = "accept"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class TrustSubject:
    """A project or a domain, by its id."""

    kind: TrustKind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRule:
    """One rule of a project. Times are UTC, aware."""

    project_id: ProjectID
    subject: TrustSubject
    answer: TrustAnswer
    created_at: datetime
    updated_at: datetime


def choose_answer(rules: Iterable[tuple[TrustKind, TrustAnswer]]) -> TrustAnswer:
    """Return the answer to an offer, from the rules that match it: the rule for the project wins over that for its domain."""
    found = dict(rules)
    return found.get(TrustKind.PROJECT) or found.get(TrustKind.DOMAIN) or TrustAnswer.ASK


def apply_answer(member: Member, answer: TrustAnswer, *, now: datetime) -> Member:
    """Return a new offer as the member's rule answers it. A refused offer is pending, and hidden from the member."""
    if answer is TrustAnswer.ACCEPT:
        return member.become(MemberStatus.ACCEPTED, now=now)
    return replace(member, is_hidden=answer is TrustAnswer.REFUSE)
