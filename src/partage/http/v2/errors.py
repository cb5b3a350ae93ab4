"""Problems as the Image API's replies, in the form that a client prefers.

The forms and titles are those of Glance (of WebOb): HTML or JSON, whichever `Accept` prefers; plain text where it takes neither.
Differs from Glance: a client that states no preference gets JSON in the form that openstacksdk and python-glanceclient print.
"""

import html

import orjson

from partage import problems
from partage.http.errors import UNEXPECTED, Asked, Kind, headers_of, kind_of
from partage.http.messages import Header, Reply

_SHOWN_CHARACTERS = 200
_MOST_RANGES = 100
"""As many kinds of media are looked at: a header of 64 KiB has room for 30,000, and every refusal reads it."""


def reply_to(problem: problems.Problem, asked: Asked) -> Reply:
    """Make the reply that tells a client of a problem."""
    kind = kind_of(type(problem))
    explanation, detail = _words(problem, asked)
    return _reply(kind, explanation, detail, asked, headers=headers_of(problem, asked))


def reply_to_unexpected(asked: Asked) -> Reply:
    """Make the reply to a request that failed unexpectedly. It tells the client nothing of the failure."""
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


def _reply(kind: Kind, explanation: str, detail: str, asked: Asked, headers: tuple[Header, ...] = ()) -> Reply:
    label = f"{kind.status.value} {kind.title}"
    # A sentence may repeat a client's text, and that may hold surrogates, which no form can carry.
    explanation, detail = (part.encode("utf-8", "replace").decode() for part in (explanation, detail))
    form = "application/json" if _states_no_preference(asked.accept) else choose_form(asked.accept)
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


def choose_form(accept: str | None) -> str:
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
