"""What a client asks before it knows anything: versions, schemas, stores, and how errors are written."""

import json

import pytest

from tests.api.personas import Cast

MINORS = ["2.17", "2.15", "2.13", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"]
JSON = {"Accept": "application/json"}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 300), ("/versions", 200), ("/v3/images", 300), ("/v1", 300), ("/v2.99/images", 300), ("/favicon.ico", 300)],
)
def test_versions_need_no_token(path: str, status: int, cast: Cast) -> None:
    answer = cast.anonymous.call("GET", path)
    assert answer.status_code == status
    versions = answer.json()["versions"]
    assert [each["id"] for each in versions] == [f"v{minor}" for minor in MINORS]
    assert [each["status"] for each in versions] == ["CURRENT"] + ["SUPPORTED"] * (len(MINORS) - 1)
    assert {each["links"][0]["href"] for each in versions} == {f"{cast.anonymous.endpoint}/v2/"}


def test_versions_of_the_cache_are_there_where_a_cache_is(caching_cast: Cast, cast: Cast) -> None:
    """Source: Glance lists 2.14, 2.16 and 2.18 when `image_cache_dir` is set."""
    versions = caching_cast.anonymous.call("GET", "/versions").json()["versions"]
    assert [each["id"] for each in versions] == ["v2.18", "v2.17", "v2.16", "v2.15", "v2.14", *[f"v{each}" for each in MINORS[2:]]]
    assert [each["status"] for each in versions] == ["CURRENT"] + ["SUPPORTED"] * (len(versions) - 1)
    for minor in ("2.14", "2.16", "2.18"):
        assert caching_cast.owner.call("GET", f"/v{minor}/images").status_code == 200
        assert cast.owner.call("GET", f"/v{minor}/images").status_code == 300


def test_healthcheck_is_answered(cast: Cast) -> None:
    answer = cast.anonymous.call("GET", "/healthcheck")
    assert (answer.status_code, answer.text) == (200, "OK")


@pytest.mark.parametrize("minor", MINORS)
def test_every_minor_version_is_a_prefix(minor: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    assert cast.owner.call("GET", f"/v{minor}/images/{image}").json() == cast.owner.shows(image).json()
    media_type = {"Accept": f"application/vnd.openstack.images-v{minor}"}
    assert cast.owner.call("GET", f"/images/{image}", headers=media_type).json()["id"] == image


def test_the_version_alone_leads_to_the_version_list(cast: Cast) -> None:
    answer = cast.owner.call("GET", "/v2", allow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{cast.owner.endpoint}/v2/"
    assert cast.owner.call("GET", "/v2/").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v2/nothing", "/v2/images/x/nothing", "/v2/images/", "/v2/schemas", "/v2/schemas/nothing", "/v2/info", "/v2//images"]
)
def test_unknown_paths_are_404(path: str, cast: Cast) -> None:
    assert cast.owner.call("GET", path).status_code == 404
    assert cast.anonymous.call("GET", path).status_code == 401


@pytest.mark.parametrize("kind", ["image", "images", "member", "members", "tasks"])
def test_schemas_describe_what_is_sent(kind: str, cast: Cast) -> None:
    schema = cast.owner.call("GET", f"/v2/schemas/{kind}").json()
    assert schema["name"] == kind
    image = cast.owner.has_an_image(tags=["a"])
    cast.owner.shares_with(image, cast.member.project_id)
    document = {
        "image": f"/v2/images/{image}",
        "images": "/v2/images?limit=1",
        "member": f"/v2/images/{image}/members/{cast.member.project_id}",
        "members": f"/v2/images/{image}/members",
        "tasks": "/v2/tasks",
    }[kind]
    assert set(cast.admin.call("GET", document).json()) <= {*schema["properties"], "first", "next"}


def test_store_details_are_shown_to_administrators_only(cast: Cast) -> None:
    assert cast.owner.call("GET", "/v2/info/stores").json() == {"stores": [{"id": "local", "default": "true"}, {"id": "second"}]}
    assert cast.owner.call("GET", "/v2/info/stores/detail").status_code == 403
    for who in (cast.admin, cast.service):
        assert who.call("GET", "/v2/info/stores/detail").json()["stores"][0]["type"] == "posix"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unchanged_document_is_not_sent_twice(method: str, cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    at = f"/v2/images/{image}"
    first = cast.owner.call(method, at)
    again = cast.owner.call("GET", at, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert cast.owner.call("GET", at, headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'}).status_code == 304
    cast.owner.sets(image, "name", "changed")
    assert cast.owner.call("GET", at, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v2/images?limit=1", "/v2/images/{image}", "/v2/images/{image}/members", "/v2/schemas/image", "/v2/info/stores"]
)
def test_head_is_get_without_the_body(path: str, cast: Cast) -> None:
    at = path.format(image=cast.owner.has_an_image(None))
    whole, without = cast.owner.call("GET", at), cast.owner.call("HEAD", at)
    assert without.status_code == whole.status_code == 200
    assert without.content == b""
    ignored = ("date", "x-openstack-request-id")
    assert [each for each in without.headers.items() if each[0].lower() not in ignored] == [
        each for each in whole.headers.items() if each[0].lower() not in ignored
    ]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, */*", "text/html; charset=UTF-8"),
        ("application/json, */*;q=0.5", "application/json"),
        ("text/html;q=0.1, application/json", "application/json"),
        ("text/plain", "text/plain; charset=UTF-8"),
        ("image/png", "text/plain; charset=UTF-8"),
    ],
)
def test_an_error_is_written_as_the_client_prefers(accept: str | None, form: str, cast: Cast) -> None:
    answer = cast.owner.call("GET", "/v2/images/none", headers={"Accept": accept})
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == form
    assert "No image found with ID none" in answer.text
    if form == "application/json" and accept not in {None, "*/*"}:
        assert json.loads(answer.text) == {"message": "No image found with ID none", "code": "404 Not Found", "title": "Not Found"}


def test_client_text_is_escaped_in_errors(cast: Cast) -> None:
    answer = cast.owner.call("GET", "/v2/images?sort=%3Cscript%3E", headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_wrong_method_is_405_with_the_allowed_methods(cast: Cast) -> None:
    image = cast.owner.has_an_image(None)
    for method, path, allowed in (
        ("PUT", f"/v2/images/{image}", "GET, HEAD, PATCH, DELETE"),
        ("DELETE", f"/v2/images/{image}/file", "GET, HEAD, PUT"),
        ("PATCH", "/v2/images", "GET, HEAD, POST"),
        ("TRACE", "/v2/images", "GET, HEAD, POST"),
        ("GET", f"/v2/images/{image}/tags/x", "PUT, DELETE"),
    ):
        answer = cast.owner.call(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/", "/v2/images", "/v2/none", "/v2/cache"])
def test_options_request_needs_no_token(path: str, cast: Cast) -> None:
    """As by Glance: without a word of what is allowed, so that a browser goes no further."""
    answer = cast.anonymous.call("OPTIONS", path, headers={"Origin": "https://elsewhere.example"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert not {"Allow", "Content-Type", "Access-Control-Allow-Origin"} & {*answer.headers}


def test_forwarded_scheme_is_used_in_links(cast: Cast) -> None:
    for sent, scheme in ((None, "http"), ("http", "http"), ("https", "https"), ("gopher", "http"), ("https://x/?", "http")):
        answer = cast.anonymous.call("GET", "/versions", headers={"X-Forwarded-Proto": sent})
        assert {each["links"][0]["href"].partition(":")[0] for each in answer.json()["versions"]} == {scheme}


def test_every_answer_names_its_request(cast: Cast) -> None:
    ids = {
        cast.owner.call("GET", path).headers["X-Openstack-Request-Id"] for path in ("/", "/v2/images", "/v2/none", "/healthcheck")
    }
    assert len(ids) == 4
    assert {each[:4] for each in ids} == {"req-"}
    given = {"X-Openstack-Request-Id": "req-7c1a5a7e-made-by-nova"}
    assert cast.owner.call("GET", "/v2/images", headers=given).headers["X-Openstack-Request-Id"] == "req-7c1a5a7e-made-by-nova"


OPENAPI = "/partage/v1/openapi/image-api-v2.json"


def test_openapi_document_needs_no_token(cast: Cast) -> None:
    answer = cast.anonymous.call("GET", OPENAPI)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["ETag"].startswith('"')
    document = answer.json()
    assert document["openapi"].startswith("3.1.")
    assert "/v2/images/{image_id}/members" in document["paths"]
    assert cast.badtoken.call("GET", OPENAPI).content == answer.content


def test_the_openapi_document_is_not_sent_twice(cast: Cast) -> None:
    etag = cast.anonymous.call("GET", OPENAPI).headers["ETag"]
    for method in ("GET", "HEAD"):
        answer = cast.anonymous.call(method, OPENAPI, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, etag, b"")
    head = cast.anonymous.call("HEAD", OPENAPI)
    assert (head.status_code, head.headers["ETag"], head.content) == (200, etag, b"")


def test_openapi_document_accepts_reading_methods_only(cast: Cast) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = cast.owner.call(method, OPENAPI)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
