"""Problems as the sharing API's replies. Source: RFC 9457, "Problem Details for HTTP APIs"."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from partage import problems
from partage.http.errors import UNEXPECTED, Asked, Kind, headers_of, kind_of
from partage.http.messages import Header, Reply

CONTENT_TYPE = b"application/problem+json"

_TYPES = "urn:partage:problem:"
_FIELDS: Mapping[type[problems.Problem], tuple[str, ...]] = MappingProxyType(
    {problems.MethodNotAllowed: ("allowed",), problems.RangeUnsatisfiable: ("size_bytes",)}
)
"""Fields of problems that are members of the document, beside those of RFC 9457."""

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")


def type_of(problem: type[problems.Problem]) -> str:
    """Name a class of problems: a URI that stays the same whatever the words, such as `urn:partage:problem:image-not-found`."""
    return _TYPES + _WORD_START.sub("-", problem.__name__).lower()


def reply_to(problem: problems.Problem, asked: Asked) -> Reply:
    """Build the reply that tells a client of a problem."""
    kind = kind_of(type(problem))
    detail = problem.sentence()
    if isinstance(problem, problems.MethodNotAllowed) and not detail.strip():
        detail = f"This path takes {', '.join(problem.allowed)}, not {asked.method[:20]}"
    fields = {name: getattr(problem, name) for name in _FIELDS.get(type(problem), ())}
    return _reply(kind, type_of(type(problem)), detail, fields, headers_of(problem, asked))


def reply_to_unexpected(_asked: Asked) -> Reply:
    """Build the reply to a request that failed unexpectedly. It tells the client nothing of the failure."""
    detail = "The service failed unexpectedly; give the operator the x-openstack-request-id of this answer"
    return _reply(UNEXPECTED, f"{_TYPES}unexpected", detail, {}, ())


def _reply(kind: Kind, problem_type: str, detail: str, fields: Mapping[str, Any], headers: tuple[Header, ...]) -> Reply:
    # A sentence may repeat a client's text, and that may hold surrogates, which JSON cannot carry.
    detail = detail.encode("utf-8", "replace").decode()
    body = {"type": problem_type, "title": kind.title, "status": kind.status.value, "detail": detail, **fields}
    return Reply(status=kind.status, body=orjson.dumps(body), content_type=CONTENT_TYPE, headers=headers)
