"""Trust rules of the caller's project, and the answers that they give to offers.

A refused offer is a membership that is hidden from its member: the queries of the member's requests leave it out. For the owner it
is an offer that waits, in every response.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ProjectID
from partage.model.image import Image
from partage.model.member import Member
from partage.model.trust import MOST_TRUST_RULES, TrustAnswer, TrustKind, TrustRule, TrustSubject, apply_answer
from partage.operations.service import Service
from partage.policies import authority
from partage.policies import sharing as rules
from partage.records import members, projects, trust_rules
from partage.records.database import Transaction


@dataclass(frozen=True, slots=True)
class Answers:
    """How projects answer offers of one image, which come from this domain."""

    domain_id: str
    by_member: Mapping[ProjectID, TrustAnswer]

    def apply(self, member: Member, *, now: datetime) -> Member:
        """Return a new offer as its member's rules answer it."""
        answer = self.by_member.get(member.member_id, TrustAnswer.ASK)
        return apply_answer(replace(member, offered_from=self.domain_id), answer, now=now)


def find_answers(tx: Transaction, caller: Caller, image: Image, member_ids: Collection[ProjectID]) -> Answers:
    """Find how projects answer an offer of an image, in the transaction that inserts the offer.

    Call it before the transaction changes a membership: it locks rules, and a change of a project's rules locks these first and
    then memberships. In the other order both waited for each other.

    The rules look for the image's owner and its domain. The domain is known if the caller acts for the owner: to an offer that an
    administrator makes for another project only rules for projects apply.
    """
    domain_id = caller.project_domain_id if caller.project_id == image.owner else ""
    return Answers(domain_id, trust_rules.find_answers(tx, member_ids, owner=image.owner, domain_id=domain_id))


def list_rules(service: Service, caller: Caller) -> list[TrustRule]:
    """List the trust rules of the caller's project.

    Raises:
        PolicyForbids: the caller may not see them.
    """
    service.authority.require(caller, rules.LIST_TRUST, authority.project_target(caller.project_id))
    with service.database.read() as tx:
        return trust_rules.list_of_project(tx, _require_project(caller, rules.LIST_TRUST))


def show_rule(service: Service, caller: Caller, subject: TrustSubject) -> TrustRule:
    """Return one trust rule of the caller's project.

    Raises:
        PolicyForbids: the caller may not see it.
        TrustRuleNotFound: there is none: the project asks.
    """
    service.authority.require(caller, rules.LIST_TRUST, authority.project_target(caller.project_id))
    with service.database.read() as tx:
        found = trust_rules.find(tx, _require_project(caller, rules.LIST_TRUST), subject)
    if found is None:
        raise _no_rule(subject)
    return found


def set_rule(service: Service, caller: Caller, subject: TrustSubject, answer: TrustAnswer) -> TrustRule:
    """Set how the caller's project answers offers from a project or domain from now on. Waits for Keystone.

    Offers that were made before keep their answers, with one exception: those that no rule refuses any more appear, and wait.

    Raises:
        PolicyForbids: the caller may not answer offers of its project.
        RecipientNotFound: there is no such project or domain.
        RecipientRefused: it is the caller's own project.
        TooMany: the project has the maximum number of rules.
        IdentityUnavailable: the identity service does not answer.
    """
    project_id = _require_change(service, caller)
    _require_existing(service, caller, subject)
    now = service.clock()
    with service.database.write() as tx:
        projects.lock(tx, project_id)
        count = trust_rules.lock(tx, project_id)
        was = trust_rules.find(tx, project_id, subject)
        if was is None and count >= MOST_TRUST_RULES:
            raise problems.TooMany(f"The project has {count} trust rules, as many as it may have; remove some first")
        created_at = now if was is None else was.created_at
        rule = TrustRule(project_id=project_id, subject=subject, answer=answer, created_at=created_at, updated_at=now)
        trust_rules.put(tx, rule)
        members.show_unrefused(tx, member_id=project_id)
    return rule


def remove_rule(service: Service, caller: Caller, subject: TrustSubject) -> None:
    """Remove a trust rule: the project asks, or the rule for the domain answers. Offers that no rule refuses any more appear.

    Raises:
        PolicyForbids: the caller may not answer offers of its project.
        TrustRuleNotFound: there is no such rule.
    """
    project_id = _require_change(service, caller)
    with service.database.write() as tx:
        projects.lock(tx, project_id)
        trust_rules.lock(tx, project_id)
        if not trust_rules.remove(tx, project_id, subject):
            raise _no_rule(subject)
        members.show_unrefused(tx, member_id=project_id)


def _require_change(service: Service, caller: Caller) -> ProjectID:
    target = {**authority.project_target(caller.project_id), "member_id": caller.project_id}
    service.authority.require(caller, rules.SET_TRUST, target)
    return _require_project(caller, rules.SET_TRUST)


def _require_project(caller: Caller, rule: str) -> ProjectID:
    if caller.project_id is None:
        raise problems.PolicyForbids(rule=rule)
    return caller.project_id


def _require_existing(service: Service, caller: Caller, subject: TrustSubject) -> None:
    if subject == TrustSubject(TrustKind.PROJECT, caller.project_id or ""):
        raise problems.RecipientRefused(f"Project {subject.id} is the caller's own; a trust rule is for other projects")
    if service.integrations.recipients is None:
        return
    search = service.integrations.recipients.search(caller.project_id)
    if subject.kind is TrustKind.PROJECT:
        exists = search.find(ProjectID(subject.id)) is not None
    else:
        exists = search.find_domain(subject.id) == subject.id  # not by its name
    if not exists:
        raise problems.RecipientNotFound(f"There is no {subject.kind} of the id {subject.id[:64]!r} that this service can find")


def _no_rule(subject: TrustSubject) -> problems.TrustRuleNotFound:
    return problems.TrustRuleNotFound(f"The project has no trust rule for the {subject.kind} {subject.id[:64]!r}")
