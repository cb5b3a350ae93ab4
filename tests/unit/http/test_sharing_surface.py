"""The sharing API beside the Image API: its own prefix, form of errors and OpenAPI document."""

import inspect
from typing import Any

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from test_http_app import TOKEN, OneToken, call

from partage import problems
from partage.http.errors import FailedRequest, kind_of
from partage.http.partage import errors, openapi, query
from partage.http.partage.descriptions import DESCRIPTIONS
from partage.http.partage.paths import PREFIX
from partage.http.partage.routes import ROWS
from partage.http.v2.surface import OPENAPI_PATH
from partage.model.limits import Limits

ASKED = FailedRequest(method="GET", accept="text/html", content_type=None, www_authenticate_uri="https://id")
LEAVES = [
    each
    for _, each in inspect.getmembers(problems, inspect.isclass)
    if issubclass(each, problems.Problem) and each not in (problems.Problem, problems.Explained)
]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_every_problem_has_a_type_of_its_own(leaf: type[problems.Problem]) -> None:
    assert errors.type_of(leaf).startswith(("urn:partage:problem:", "https://iana.org/assignments/http-problem-types#"))
    assert sum(errors.type_of(each) == errors.type_of(leaf) for each in LEAVES) == 1
    assert kind_of(leaf).status >= 400


def test_problem_is_a_problem_document() -> None:
    reply = errors.reply_to(problems.ImageNotFound("No image \ud800"), ASKED)
    assert reply.content_type == b"application/problem+json"
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body) == {
        "type": "urn:partage:problem:image-not-found",
        "title": "Not Found",
        "status": 404,
        "detail": "No image ?",
    }


def test_problem_carries_its_fields() -> None:
    reply = errors.reply_to(problems.MethodNotAllowed(("GET", "HEAD")), ASKED)
    assert isinstance(reply.body, bytes)
    assert orjson.loads(reply.body)["allowed"] == ["GET", "HEAD"]
    assert (b"allow", b"GET, HEAD") in reply.headers


@pytest.mark.parametrize("path", ["/partage", "/partage/", "/partage/v1", "/partage/v1/"])
def test_version_and_features_need_no_token(path: str) -> None:
    answer = call(path)
    assert answer.status == 200
    assert answer.document["versions"][0]["id"] == "v1.0"
    assert "retained-images" in answer.document["features"]
    described = answer.document["versions"][0]["links"][1]["href"].removeprefix("http://images.example:9292")
    assert call(described).document["openapi"] == "3.1.0"


def test_path_without_a_route_is_a_problem_document() -> None:
    answer = call("/partage/v1/nope", TOKEN)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.document["type"] == "urn:partage:problem:route-not-found"


def test_caller_without_a_token_learns_that_first() -> None:
    answer = call("/partage/v1/nope")
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == 'Keystone uri="https://id"'


def test_other_methods_of_open_documents_are_refused() -> None:
    answer = call("/partage", method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_neighbouring_path_belongs_to_no_surface() -> None:
    assert call("/partagez").status == 300


@pytest.mark.parametrize("path", ["/partage/v2", "/partage/v2/shares", "/partage/v1x", "/partage/v10/shares", "/partage//v1"])
def test_version_that_is_not_served_is_not_found(path: str) -> None:
    """The answer was 300 with the versions of the Image API."""
    answer = call(path, TOKEN)
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/partage/v1/shares/%ff/x", "/partage/%00", "/partage/v1/%c3"])
def test_path_that_cannot_be_decoded_is_a_problem_document(path: str) -> None:
    answer = call(path, TOKEN)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert call("/v2/images/%ff", TOKEN).headers["content-type"] == "application/json"


@pytest.mark.parametrize("limit", ["\u0661", "1\u0662", "\uff11", "\u0967"])
def test_limit_of_other_digits_than_ascii_is_refused(limit: str) -> None:
    with pytest.raises(problems.QueryInvalid):
        query.read_limit({"limit": limit}, Limits())


def test_media_type_of_the_image_api_does_not_move_the_sharing_api() -> None:
    answer = call("/partage/v1/nope", TOKEN, (b"accept", b"application/vnd.openstack.images-v2"))
    assert answer.headers["content-type"] == "application/problem+json"


class Failing(OneToken):
    def validate(self, token: str, service_token: str | None = None) -> Any:
        del token, service_token
        raise RuntimeError("secret detail")


@pytest.mark.parametrize("path", ["/partage/v1/nope", "/v2/images"])
def test_unexpected_failure_is_logged_and_not_shown(path: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = call(path, TOKEN, (b"x-openstack-request-id", b"req-1"), identity=Failing())
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "req-1" in caplog.text
    assert "secret detail" in caplog.text


def test_openapi_document_is_valid_and_has_every_route() -> None:
    document = orjson.loads(orjson.dumps(openapi.build_document()))
    OpenAPIV31SpecValidator(document).validate()
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found == {(row.method, row.path) for row in ROWS}
    assert set(DESCRIPTIONS) == {f"{row.method} {row.path}" for row in ROWS}
    assert all(row.path.startswith(f"{PREFIX}/") for row in ROWS)


def test_document_of_the_image_api_stays_where_it_was() -> None:
    assert call(OPENAPI_PATH).document["info"]["title"] == "Image API v2"
