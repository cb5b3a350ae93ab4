"""Problems become replies: the one table from kind to status, and the forms in which a client may want the words.

The forms and titles are those of Glance (of WebOb): HTML or JSON, whichever `Accept` prefers; plain text where it takes neither.
Differs from Glance: a client that states no preference gets JSON in the form that openstacksdk and python-glanceclient print.
"""

import html
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

import orjson

from partage import problems
from partage.http.messages import Header, Reply

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 2
_SHOWN_CHARACTERS = 200
_MOST_RANGES = 100
"""As many kinds of media are looked at: a header of 64 KiB has room for 30,000, and every refusal reads it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A status and its title, which is older than the standard library's in places."""

    status: HTTPStatus
    title: str


KINDS: Mapping[type[problems.Problem], Kind] = MappingProxyType(
    {
        problems.Invalid: Kind(HTTPStatus(400), "Bad Request"),
        problems.Unauthenticated: Kind(HTTPStatus(401), "Unauthorized"),
        problems.Forbidden: Kind(HTTPStatus(403), "Forbidden"),
        problems.NotFound: Kind(HTTPStatus(404), "Not Found"),
        problems.MethodNotAllowed: Kind(HTTPStatus(405), "Method Not Allowed"),
        problems.ClientGone: Kind(HTTPStatus(408), "Request Timeout"),
        problems.Conflict: Kind(HTTPStatus(409), "Conflict"),
        problems.Gone: Kind(HTTPStatus(410), "Gone"),
        problems.TooLarge: Kind(HTTPStatus(413), "Request Entity Too Large"),
        problems.MediaTypeUnsupported: Kind(HTTPStatus(415), "Unsupported Media Type"),
        problems.RangeUnsatisfiable: Kind(HTTPStatus(416), "Request Range Not Satisfiable"),
        problems.Unavailable: Kind(HTTPStatus(503), "Service Unavailable"),
    },
)
"""The only place where a kind of problem meets a status; a leaf is looked up along its ancestors."""

UNEXPECTED = Kind(HTTPStatus(500), "Internal Server Error")
UNAUTHENTICATED_WORDS = (
    "This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong "
    "credentials (e.g., bad password), or your browser does not understand how to supply the credentials required."
)
PATCH_TYPES = ("application/openstack-images-v2.0-json-patch", "application/openstack-images-v2.1-json-patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a request shapes the reply to its failure."""

    method: str
    accept: str | None
    content_type: str | None
    www_authenticate_uri: str


def kind_of(problem: type[problems.Problem]) -> Kind:
    """Find the status of a class of problems."""
    return next(KINDS[ancestor] for ancestor in problem.__mro__ if ancestor in KINDS)


def reply_to(problem: problems.Problem, asked: Asked) -> Reply:
    """Make the reply that tells a client of a problem."""
    kind = kind_of(type(problem))
    explanation, detail = _words(problem, asked)
    return _reply(kind, explanation, detail, asked, headers=_headers(problem, asked))


def reply_to_unexpected(error: Exception, request_id: str, asked: Asked) -> Reply:
    """Log what nobody foresaw, once and with everything, and make a reply that tells the client none of it."""
    _LOG.error("%s: unexpected failure", request_id, exc_info=error)
    explanation = "The server has either erred or is incapable of performing the requested operation."
    return _reply(UNEXPECTED, explanation, "", asked)


def _words(problem: problems.Problem, asked: Asked) -> tuple[str, str]:
    """Give explanation and detail, as WebOb has them: some statuses have a sentence of their own."""
    if isinstance(problem, problems.MethodNotAllowed) and not problem.words:
        return f"The method {asked.method[:_SHOWN_CHARACTERS]} is not allowed for this resource. ", ""
    if isinstance(problem, problems.MediaTypeUnsupported):
        sent = f" {asked.content_type[:_SHOWN_CHARACTERS]}" if asked.content_type else ""
        return f"The request media type{sent} is not supported by this server.\n", problem.sentence()
    if isinstance(problem, problems.RangeUnsatisfiable):
        return "The Range requested is not available.", problem.sentence()
    return problem.sentence(), ""


def _headers(problem: problems.Problem, asked: Asked) -> tuple[Header, ...]:
    if isinstance(problem, problems.Unauthenticated):
        return ((b"www-authenticate", f'Keystone uri="{asked.www_authenticate_uri}"'.encode()),)
    if isinstance(problem, problems.MethodNotAllowed):
        return ((b"allow", ", ".join(problem.allowed).encode()),)
    if isinstance(problem, problems.PatchTypeUnsupported):
        return ((b"accept-patch", ", ".join(PATCH_TYPES).encode()),)
    if isinstance(problem, problems.RangeUnsatisfiable):
        return ((b"content-range", b"bytes */%d" % problem.size_bytes),)
    if isinstance(problem, problems.Unavailable):
        return ((b"retry-after", b"%d" % _RETRY_SECONDS),)
    return ()


def _reply(kind: Kind, explanation: str, detail: str, asked: Asked, headers: tuple[Header, ...] = ()) -> Reply:
    label = f"{kind.status.value} {kind.title}"
    # A sentence may repeat a client's text, and that may hold surrogates, which no form can carry.
    explanation, detail = (part.encode("utf-8", "replace").decode() for part in (explanation, detail))
    form = "application/json" if _states_no_preference(asked.accept) else preferred_form(asked.accept)
    if _states_no_preference(asked.accept):
        # python-glanceclient, which sends */*, prints nothing else of the status.
        beginning = f"{label}: " if asked.accept and asked.accept.strip() else ""
        message = f"{beginning}{detail or explanation.strip()}"
        body = orjson.dumps({"error": {"message": message, "code": label, "title": kind.title}})
    elif form == "application/json":
        # Differs from Glance: no markup between the words. Clients print them as they are.
        message = " ".join(part for part in (explanation.strip(), detail) if part)
        body = orjson.dumps({"message": message, "code": label, "title": kind.title})
    elif form == "text/html":
        body = _page(label, explanation, detail)
    else:
        body = f"{label}\n\n{explanation}\n\n{detail}\n".encode()
    charset = "" if form == "application/json" else "; charset=UTF-8"
    return Reply(status=kind.status, body=body, content_type=f"{form}{charset}".encode(), headers=headers)


def _page(label: str, explanation: str, detail: str) -> bytes:
    # Quotes need no escape between tags, and clients that print a page without its tags print escapes as they are.
    words = f"{html.escape(explanation, quote=False)}<br /><br />\n{html.escape(detail, quote=False)}\n"
    page = f"<html>\n <head>\n  <title>{label}</title>\n </head>\n <body>\n  <h1>{label}</h1>\n  {words}\n </body>\n</html>"
    return page.encode()


def _states_no_preference(accept: str | None) -> bool:
    """Say whether a client leaves the form of an error to the service.

    Source: openstacksdk sends an empty `Accept` with image data, python-glanceclient and requests send `*/*`. openstacksdk prints
    words from JSON and HTML only; python-glanceclient reads JSON only where each member of the document is an object. Both print
    the escapes of HTML as they are, so that this one form is the only one that both print without a flaw.
    """
    return accept is None or accept.strip(" \t,") in {"", "*/*"}


def preferred_form(accept: str | None) -> str:
    """Choose a form from the Accept header: HTML, JSON, or plain text when neither is taken.

    Source: RFC 9110, 12.5.1, as Glance (WebOb) reads it: HTML wins a tie, a type with parameters is another type, a header with
    something that is no type says nothing, and one that is not there takes neither.
    """
    if accept is None:
        return "text/plain"
    if accept == "*/*":
        return "text/html"
    ranges = [_media_range(part) for part in accept.split(",", _MOST_RANGES)[:_MOST_RANGES] if part.strip()]
    if any("/" not in name for name, _quality_of_it in ranges):
        return "text/html"
    best = max(("text/html", "application/json"), key=lambda offer: _quality(offer, ranges))
    return best if _quality(best, ranges) > 0 else "text/plain"


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for number, parameter in enumerate(parameters):
        if parameter.startswith("q="):
            try:
                return ";".join([name, *parameters[:number]]), float(parameter[2:])
            except ValueError:
                return name, 0.0
    return ";".join([name, *parameters]), 1.0


def _quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    for candidate in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == candidate]
        if found:
            return max(found)
    return 0.0
