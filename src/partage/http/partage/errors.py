"""Problems as the sharing API's replies. Source: RFC 9457, "Problem Details for HTTP APIs"."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from partage import problems
from partage.http.errors import UNEXPECTED, FailedRequest, Kind, headers_of, kind_of
from partage.http.messages import Header, Reply
from partage.model.offer import OfferOutcome

CONTENT_TYPE = b"application/problem+json"

_TYPES = "urn:partage:problem:"
_FIELDS: Mapping[type[problems.Problem], tuple[str, ...]] = MappingProxyType(
    {
        problems.MethodNotAllowed: ("allowed",),
        problems.RangeUnsatisfiable: ("size_bytes",),
        problems.OffsetMismatch: ("expected_offset", "provided_offset"),
    }
)
"""Fields of problems that are members of the document, beside those of RFC 9457."""

_REGISTERED = "https://iana.org/assignments/http-problem-types#"
_FOREIGN_TYPES: Mapping[type[problems.Problem], str] = MappingProxyType(
    {
        problems.OffsetMismatch: f"{_REGISTERED}mismatching-upload-offset",
        problems.LengthInconsistent: f"{_REGISTERED}inconsistent-upload-length",
    }
)
"""Types that others have defined. Source: draft-ietf-httpbis-resumable-upload-12, "Problem Types"."""

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")


def type_of(problem: type[problems.Problem]) -> str:
    """Name a class of problems: a URI that stays the same whatever the words, such as `urn:partage:problem:image-not-found`."""
    return _FOREIGN_TYPES.get(problem) or _TYPES + _WORD_START.sub("-", problem.__name__).lower()


def reply_to(problem: problems.Problem, request: FailedRequest) -> Reply:
    """Build the reply that tells a client of a problem."""
    document = describe(problem)
    if isinstance(problem, problems.MethodNotAllowed) and not problem.sentence().strip():
        document["detail"] = f"This path takes {', '.join(problem.allowed)}, not {request.method[:20]}"
    return _reply(kind_of(type(problem)), document, headers_of(problem, request))


def describe(problem: problems.Problem) -> dict[str, Any]:
    """Write a problem as the document of a reply, or as a part of one."""
    kind = kind_of(type(problem))
    fields = {name: getattr(problem, name) for name in _FIELDS.get(type(problem), ())}
    if type(problem) in _FOREIGN_TYPES:  # their members have hyphens
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
    if isinstance(problem, problems.OffersRefused):
        fields["results"] = orjson.loads(problem.results)["results"]
    return _document(kind, type_of(type(problem)), problem.sentence()) | fields


def outcome_to_json(outcome: OfferOutcome) -> dict[str, Any]:
    """Write what became of one pair of image and project."""
    return {
        "image_id": outcome.image_id,
        "project": outcome.project,
        "project_id": outcome.project_id,
        "problem": None if outcome.problem is None else describe(outcome.problem),
    }


def reply_to_unexpected(_asked: FailedRequest) -> Reply:
    """Build the reply to a request that failed unexpectedly. It tells the client nothing of the failure."""
    detail = "The service failed unexpectedly; give the operator the x-openstack-request-id of this answer"
    return _reply(UNEXPECTED, _document(UNEXPECTED, f"{_TYPES}unexpected", detail), ())


def _document(kind: Kind, problem_type: str, detail: str) -> dict[str, Any]:
    # A sentence may repeat a client's text, and that may hold surrogates, which JSON cannot carry.
    detail = detail.encode("utf-8", "replace").decode()
    return {"type": problem_type, "title": kind.title, "status": kind.status.value, "detail": detail}


def _reply(kind: Kind, document: Mapping[str, Any], headers: tuple[Header, ...]) -> Reply:
    return Reply(status=kind.status, body=orjson.dumps(document), content_type=CONTENT_TYPE, headers=headers)
