"""Rows of trust rules: find, list, put, remove; and the answers to offers.

On PostgreSQL and MariaDB an offer holds a shared lock on the rules that answer it, and a change of a project's rules locks all of
them. So an offer is answered by the rules before a change, and the change finds its row; or by the rules after the change.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, or_, select, update

from partage.model.ids import ProjectID
from partage.model.trust import TrustAnswer, TrustKind, TrustRule, TrustSubject, choose_answer
from partage.records.database import Transaction, from_microseconds, to_microseconds
from partage.records.tables import trust_rules

_COLUMNS = (
    trust_rules.c.project_id,
    trust_rules.c.kind,
    trust_rules.c.subject_id,
    trust_rules.c.answer,
    trust_rules.c.created_at,
    trust_rules.c.updated_at,
)

_ANSWERS = (
    select(trust_rules.c.project_id, trust_rules.c.kind, trust_rules.c.answer)
    .where(
        trust_rules.c.project_id.in_(bindparam("project_ids", expanding=True)),
        or_(
            and_(trust_rules.c.kind == TrustKind.PROJECT.value, trust_rules.c.subject_id == bindparam("owner")),
            and_(trust_rules.c.kind == TrustKind.DOMAIN.value, trust_rules.c.subject_id == bindparam("domain_id")),
        ),
    )
    .order_by(trust_rules.c.project_id, trust_rules.c.kind, trust_rules.c.subject_id)  # as `lock`, so that both wait in turn
    .with_for_update(read=True)
)


def find(tx: Transaction, project_id: ProjectID, subject: TrustSubject) -> TrustRule | None:
    """Return one rule of a project."""
    row = tx.execute(select(*_COLUMNS).where(*_is_row(project_id, subject))).first()
    return None if row is None else _parse(row)


def list_of_project(tx: Transaction, project_id: ProjectID) -> list[TrustRule]:
    """List the rules of a project, those for projects first, each kind by id."""
    statement = select(*_COLUMNS).where(trust_rules.c.project_id == project_id)
    return [_parse(row) for row in tx.execute(statement.order_by(trust_rules.c.kind.desc(), trust_rules.c.subject_id))]


def lock(tx: Transaction, project_id: ProjectID) -> int:
    """Lock the rules of a project until the transaction ends; return how many there are."""
    statement = select(trust_rules.c.subject_id).where(trust_rules.c.project_id == project_id)
    ordered = statement.order_by(trust_rules.c.kind, trust_rules.c.subject_id)
    return len(tx.execute(ordered.with_for_update()).all())


def put(tx: Transaction, rule: TrustRule) -> None:
    """Insert a rule, or change the answer of the one that there is. The caller has locked the project's rules."""
    of = _is_row(rule.project_id, rule.subject)
    moment = to_microseconds(rule.updated_at)
    if tx.execute(update(trust_rules).where(*of).values(answer=rule.answer.value, updated_at=moment)).rowcount:
        return
    row = {
        "project_id": rule.project_id,
        "kind": rule.subject.kind.value,
        "subject_id": rule.subject.id,
        "answer": rule.answer.value,
        "created_at": to_microseconds(rule.created_at),
        "updated_at": moment,
    }
    tx.execute(insert(trust_rules), row)


def remove(tx: Transaction, project_id: ProjectID, subject: TrustSubject) -> bool:
    """Delete a rule; return whether it existed."""
    return tx.execute(delete(trust_rules).where(*_is_row(project_id, subject))).rowcount == 1


def find_answers(
    tx: Transaction, project_ids: Collection[ProjectID], *, owner: ProjectID | None, domain_id: str
) -> Mapping[ProjectID, TrustAnswer]:
    """Return how projects answer an offer of this owner, in this domain. Projects without a rule for it ask, and are left out."""
    found = _find_answers(tx, project_ids, owner, domain_id)
    if tx.dialect.name != "sqlite":
        # While the rules were locked, a transaction may have added a more specific one than that which refuses. They are read again
        # whatever they answer, so that the sender cannot tell a refusal by its time.
        return _find_answers(tx, project_ids, owner, domain_id)
    return found


def _find_answers(
    tx: Transaction, project_ids: Collection[ProjectID], owner: ProjectID | None, domain_id: str
) -> dict[ProjectID, TrustAnswer]:
    given = {"project_ids": list(project_ids), "owner": owner or "", "domain_id": domain_id}
    rules: dict[ProjectID, list[tuple[TrustKind, TrustAnswer]]] = {}
    for project_id, kind, answer in tx.execute(_ANSWERS, given):
        rules.setdefault(ProjectID(project_id), []).append((TrustKind(kind), TrustAnswer(answer)))
    return {project_id: choose_answer(each) for project_id, each in rules.items()}


def _is_row(project_id: ProjectID, subject: TrustSubject) -> tuple[ColumnElement[bool], ...]:
    return (
        trust_rules.c.project_id == project_id,
        trust_rules.c.kind == subject.kind.value,
        trust_rules.c.subject_id == subject.id,
    )


def _parse(row: Sequence[Any]) -> TrustRule:
    project_id, kind, subject_id, answer, created_at, updated_at = row
    return TrustRule(
        project_id=ProjectID(project_id),
        subject=TrustSubject(TrustKind(kind), subject_id),
        answer=TrustAnswer(answer),
        created_at=from_microseconds(created_at),
        updated_at=from_microseconds(updated_at),
    )
