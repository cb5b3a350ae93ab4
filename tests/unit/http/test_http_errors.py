"""Problems as replies: every leaf has a status, and the three forms are as clients know them."""

import inspect
import re
from pathlib import Path

import orjson
import pytest

import partage.http
from partage import problems
from partage.http import media_types
from partage.http.errors import FailedRequest, kind_of
from partage.http.v2 import errors

ASKED = FailedRequest(method="PUT", accept=None, content_type="text/plain", www_authenticate_uri="https://cloud/identity")
LEAVES = [
    each
    for _, each in inspect.getmembers(problems, inspect.isclass)
    if issubclass(each, problems.Problem) and each not in (problems.Problem, problems.Explained)
]
STATUSES = {
    "Invalid": 400,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "ClientGone": 408,
    "Conflict": 409,
    "Gone": 410,
    "TooLarge": 413,
    "MediaTypeUnsupported": 415,
    "RangeUnsatisfiable": 416,
    "ClaimsExceeded": 429,
    "Unavailable": 503,
}


def asked(accept: str | None) -> FailedRequest:
    return FailedRequest(method="GET", accept=accept, content_type=None, www_authenticate_uri="https://cloud/identity")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_every_problem_has_the_status_of_its_kind(leaf: type[problems.Problem]) -> None:
    kind = next(ancestor.__name__ for ancestor in leaf.__mro__ if ancestor.__name__ in STATUSES)
    assert kind_of(leaf).status.value == STATUSES[kind]


def test_html_is_for_those_who_ask_for_it_and_escapes_no_quotes() -> None:
    reply = errors.reply_to(problems.ImageNotFound("No image '<é>'"), asked("text/html"))
    assert reply.content_type == b"text/html; charset=UTF-8"
    assert isinstance(reply.body, bytes)
    assert reply.body.decode() == (
        "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n"
        "  No image '&lt;é&gt;'<br /><br />\n\n\n </body>\n</html>"
    )


@pytest.mark.parametrize(
    ("accept", "beginning"),
    [(None, ""), ("", ""), (" ", ""), ("*/*", "415 Unsupported Media Type: "), (", */*", "415 Unsupported Media Type: ")],
)
def test_client_without_preference_gets_the_json_that_clients_print(accept: str | None, beginning: str) -> None:
    reply = errors.reply_to(problems.FormatRefused("It's <é> & no disk"), asked(accept))
    assert reply.content_type == b"application/json"
    assert isinstance(reply.body, bytes)
    said = {"message": f"{beginning}It's <é> & no disk", "code": "415 Unsupported Media Type", "title": "Unsupported Media Type"}
    assert orjson.loads(reply.body) == {"error": said}


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html", "text/plain"])
def test_surrogates_of_a_client_break_no_form(accept: str | None) -> None:
    reply = errors.reply_to(problems.ImageNotFound("No image \ud800"), asked(accept))
    assert isinstance(reply.body, bytes)
    assert "No image ?" in reply.body.decode()


def test_json_is_for_those_who_ask_for_it() -> None:
    reply = errors.reply_to(problems.ImageNotFound("No image <é>"), asked("application/json"))
    assert reply.content_type == b"application/json"
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body) == {"message": "No image <é>", "code": "404 Not Found", "title": "Not Found"}


def test_text_is_for_those_who_take_neither() -> None:
    reply = errors.reply_to(problems.QueryInvalid("limit param must be positive"), asked("text/plain"))
    assert reply.content_type == b"text/plain; charset=UTF-8"
    assert reply.body == b"400 Bad Request\n\nlimit param must be positive\n\n\n"


PREFERRED = {
    None: "text/plain",
    "*/*": "text/html",
    "text/html": "text/html",
    "application/json": "application/json",
    "APPLICATION/JSON": "application/json",
    "application/*": "application/json",
    "application/json, */*": "text/html",
    "application/json, */*;q=0.1": "application/json",
    "application/json;q=0.5, text/html": "text/html",
    "application/json;q=x": "text/plain",
    "": "text/plain",
    "text/plain": "text/plain",
    "text/html;q=0, application/json;q=0": "text/plain",
    "application/json; charset=utf-8": "text/plain",
    "application/json; charset=utf-8; q=0.5, application/json;q=0.4, text/html;q=0.1": "application/json",
    "json": "text/html",
    "*": "text/html",
}


@pytest.mark.parametrize(("accept", "form"), PREFERRED.items())
def test_choose_form(accept: str | None, form: str) -> None:
    assert media_types.choose_form(accept) == form


def test_retry_and_method_headers_are_sent() -> None:
    assert (b"www-authenticate", b'Keystone uri="https://cloud/identity"') in errors.reply_to(
        problems.Unauthenticated("x"), ASKED
    ).headers
    assert (b"allow", b"GET, HEAD") in errors.reply_to(problems.MethodNotAllowed(("GET", "HEAD")), ASKED).headers
    assert (b"content-range", b"bytes */10") in errors.reply_to(problems.RangeUnsatisfiable(10), ASKED).headers
    assert any(name == b"retry-after" for name, _ in errors.reply_to(problems.StoreUnavailable("x"), ASKED).headers)
    assert any(name == b"accept-patch" for name, _ in errors.reply_to(problems.PatchTypeUnsupported("x"), ASKED).headers)


def test_unexpected_failure_has_a_reply_of_its_own() -> None:
    reply = errors.reply_to_unexpected(asked("application/json"))
    assert reply.status is not None
    assert reply.status.value == 500


def test_statuses_are_numbers_in_two_modules_only() -> None:
    folder = Path(partage.http.__file__).parent
    modules = list(folder.rglob("*.py"))
    assert len(modules) > 30
    for module in modules:
        found = re.findall(r"\b(?:[1-5]\d\d)\b", re.sub(r'""".*?"""|#.*', "", module.read_text(), flags=re.DOTALL))
        found = [
            number
            for number in found
            if number in {"200", "201", "202", "204", "206", "300", "302", "304"} or "400" <= number < "512"
        ]
        found = [number for number in found if not (module.name == "query.py" and number in {"200", "500"})]  # counts of parameters
        found = [number for number in found if module.name not in {"errors.py", "routes.py"}]
        found = [number for number in found if not (module.name == "options.py" and number == "300")]  # seconds
        assert not found, module.name
