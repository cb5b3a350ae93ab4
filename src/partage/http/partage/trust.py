"""Handlers of trust rules, and the JSON of a rule."""

from collections.abc import Sequence
from http import HTTPStatus

from partage import problems
from partage.http.messages import Reply, Request, json_reply
from partage.http.partage.share_json import Document, require_object
from partage.model.trust import TrustAnswer, TrustKind, TrustRule, TrustSubject
from partage.operations import trust

_LONGEST_ID = 255


async def list_rules(request: Request) -> Reply:
    """List the trust rules of the caller's project."""
    return json_reply(rules_to_json(await request.run_reading(trust.list_rules)))


async def show_rule(request: Request) -> Reply:
    """Show how the caller's project answers offers from a project or domain. Without a rule the reply is 404."""
    return json_reply(rule_to_json(await request.run_reading(trust.show_rule, _read_subject(request))))


async def set_rule(request: Request) -> Reply:
    """Set how the caller's project answers offers from a project or domain."""
    subject, answer = _read_subject(request), parse_answer(await request.document())
    # It waits for the identity service, which looks for the project or domain.
    return json_reply(rule_to_json(await request.run_remote(trust.set_rule, subject, answer)))


async def remove_rule(request: Request) -> Reply:
    """Remove a trust rule: the caller's project is asked again."""
    await request.run(trust.remove_rule, _read_subject(request))
    return Reply(status=HTTPStatus.NO_CONTENT)


def parse_answer(document: object) -> TrustAnswer:
    """Read the answer of a trust rule.

    Raises:
        BodyInvalid: the document does not fit its schema.
    """
    answer = require_object(document, ("rule",)).get("rule")
    if answer not in tuple(TrustAnswer):
        raise problems.BodyInvalid(f"rule must be one of {', '.join(TrustAnswer)}")
    return TrustAnswer(answer)


def rule_to_json(rule: TrustRule) -> Document:
    """Write a trust rule."""
    return {
        "kind": rule.subject.kind,
        "id": rule.subject.id,
        "rule": rule.answer,
        "created_at": rule.created_at,
        "updated_at": rule.updated_at,
    }


def rules_to_json(found: Sequence[TrustRule]) -> Document:
    """Write the trust rules of a project."""
    return {"rules": [rule_to_json(each) for each in found]}


def _read_subject(request: Request) -> TrustSubject:
    kind = TrustKind.PROJECT if "project_id" in request.path else TrustKind.DOMAIN
    subject_id = request.path[f"{kind}_id"]
    if len(subject_id) > _LONGEST_ID:
        raise problems.Invalid(f"The id of a {kind} has at most {_LONGEST_ID} characters")
    return TrustSubject(kind, subject_id)
