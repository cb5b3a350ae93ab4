"""Renders problems as replies of the Image API, in the form that the client prefers.

The forms and titles are those of Glance (of WebOb): HTML or JSON, as `Accept` prefers, or plain text if it accepts neither.
Differs from Glance: a client that states no preference gets JSON in the form that openstacksdk and python-glanceclient print.
"""

import html

import orjson

from partage import problems
from partage.http.errors import UNEXPECTED, FailedRequest, Kind, headers_of, kind_of
from partage.http.media_types import choose_form
from partage.http.messages import Header, Reply

_SHOWN_CHARACTERS = 200


def reply_to(problem: problems.Problem, request: FailedRequest) -> Reply:
    """Render a problem."""
    kind = kind_of(type(problem))
    explanation, detail = _explain(problem, request)
    return _build_reply(kind, explanation, detail, request, headers=headers_of(problem, request))


def reply_to_unexpected(request: FailedRequest) -> Reply:
    """Render an unexpected failure. The reply tells the client nothing about it."""
    explanation = "The server has either erred or is incapable of performing the requested operation."
    return _build_reply(UNEXPECTED, explanation, "", request)


def _explain(problem: problems.Problem, request: FailedRequest) -> tuple[str, str]:
    """Return explanation and detail. Source: WebOb, where some statuses have a fixed sentence."""
    if isinstance(problem, problems.MethodNotAllowed) and not problem.words:
        return f"The method {request.method[:_SHOWN_CHARACTERS]} is not allowed for this resource. ", ""
    if isinstance(problem, problems.MediaTypeUnsupported):
        sent = f" {request.content_type[:_SHOWN_CHARACTERS]}" if request.content_type else ""
        return f"The request media type{sent} is not supported by this server.\n", problem.sentence()
    if isinstance(problem, problems.RangeUnsatisfiable):
        return "The Range requested is not available.", problem.sentence()
    return problem.sentence(), ""


def _build_reply(kind: Kind, explanation: str, detail: str, request: FailedRequest, headers: tuple[Header, ...] = ()) -> Reply:
    label = f"{kind.status.value} {kind.title}"
    # A sentence may repeat the client's text, which may contain surrogates, and these cannot be encoded.
    explanation, detail = (part.encode("utf-8", "replace").decode() for part in (explanation, detail))
    form = "application/json" if _states_no_preference(request.accept) else choose_form(request.accept)
    if _states_no_preference(request.accept):
        # python-glanceclient, which sends */*, prints the status from here only.
        beginning = f"{label}: " if request.accept and request.accept.strip() else ""
        message = f"{beginning}{detail or explanation.strip()}"
        body = orjson.dumps({"error": {"message": message, "code": label, "title": kind.title}})
    elif form == "application/json":
        # Differs from Glance: no markup in the text, because clients print it unchanged.
        message = " ".join(part for part in (explanation.strip(), detail) if part)
        body = orjson.dumps({"message": message, "code": label, "title": kind.title})
    elif form == "text/html":
        body = _render_html(label, explanation, detail)
    else:
        body = f"{label}\n\n{explanation}\n\n{detail}\n".encode()
    charset = "" if form == "application/json" else "; charset=UTF-8"
    return Reply(status=kind.status, body=body, content_type=f"{form}{charset}".encode(), headers=headers)


def _render_html(label: str, explanation: str, detail: str) -> bytes:
    # Quotes need no escape between tags, and clients that remove the tags print escapes unchanged.
    words = f"{html.escape(explanation, quote=False)}<br /><br />\n{html.escape(detail, quote=False)}\n"
    page = f"<html>\n <head>\n  <title>{label}</title>\n </head>\n <body>\n  <h1>{label}</h1>\n  {words}\n </body>\n</html>"
    return page.encode()


def _states_no_preference(accept: str | None) -> bool:
    """Return whether a client accepts any form of error.

    Source: openstacksdk sends an empty `Accept` with image data, python-glanceclient and requests send `*/*`. openstacksdk prints
    text from JSON and HTML only; python-glanceclient reads JSON only if each member of the document is an object. Both print HTML
    escapes unchanged, so that this form is the only one that both print correctly.
    """
    return accept is None or accept.strip(" \t,") in {"", "*/*"}
