"""The application as far as it goes without a service behind it: versions, tokens, paths, methods, bodies that are not wanted."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from partage import problems
from partage.http.app import application
from partage.http.options import EdgeOptions
from partage.model.caller import Caller
from partage.model.ids import ProjectID, UserID
from partage.operations.service import Process, Service, SharingRules

TOKEN = (b"x-auth-token", b"good")
JSON = (b"accept", b"application/json")
UUID = "5e1cd3a0-0d5b-4d5c-a9b8-3a6b6ab3a7f5"


class OneToken:
    """An identity service that knows one token."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def find_cached(self, token: str, service_token: str | None = None) -> Caller | None:
        del token, service_token
        return None

    def was_valid(self, token: str, service_token: str | None = None) -> bool:
        del token, service_token
        return False

    def validate(self, token: str, service_token: str | None = None) -> Caller:
        self.asked.append((token, service_token))
        if token == "away":
            raise problems.IdentityUnavailable("the identity service does not answer")
        if token != "good":
            raise problems.Unauthenticated("not a token")
        return Caller(user_id=UserID("u"), project_id=ProjectID("p"), roles=frozenset({"member"}))


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


def call(
    path: str,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    body: bytes = b"",
    query: bytes = b"",
    identity: OneToken | None = None,
    **options: Any,
) -> Answer:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(served(path, send, *headers, method=method, body=body, query=query, identity=identity, **options))
    return Answer(sent)


async def served(
    path: str,
    send: Any,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    body: bytes = b"",
    query: bytes = b"",
    identity: OneToken | None = None,
    **options: Any,
) -> None:
    """Let the application answer one request by `send`."""
    given = [(b"host", b"images.example:9292"), *headers, *([(b"content-length", b"%d" % len(body))] if body else [])]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": given,
        "scheme": "http",
        "server": ("127.0.0.1", 9292),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    process = Process(worker="this", worker_lives=lambda _worker: True)
    app = application(
        service=cast(Service, SimpleNamespace(process=process, sharing=SharingRules())),
        identity=identity or OneToken(),
        options=EdgeOptions(www_authenticate_uri="https://id", **options),
    )
    await cast(Any, app)(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 300), ("/versions", 200), ("/v3/images", 300), ("/v2.99/images", 300), ("/x", 300)]
)
def test_versions_are_answered_without_a_token(path: str, status: int) -> None:
    answer = call(path)
    assert answer.status == status
    versions = answer.document["versions"]
    assert [each["status"] for each in versions] == ["CURRENT"] + ["SUPPORTED"] * (len(versions) - 1)
    assert {each["links"][0]["href"] for each in versions} == {"http://images.example:9292/v2/"}


def test_the_public_endpoint_wins_over_the_host_header() -> None:
    assert (
        call("/", public_endpoint="https://cloud/image/").document["versions"][0]["links"][0]["href"] == "https://cloud/image/v2/"
    )


def test_invalid_host_header_is_not_repeated() -> None:
    answer = call("/", (b"host", b'x"><script>'))
    assert answer.document["versions"][0]["links"][0]["href"] == "http://127.0.0.1:9292/v2/"


def test_health_is_answered_without_a_token() -> None:
    assert (call("/healthcheck").status, call("/healthcheck").body) == (200, b"OK")


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/images", "/v2/nope", "/v2.1/images", f"/v2/images/{UUID}/file"])
@pytest.mark.parametrize("headers", [(), ((b"x-auth-token", b"bad"),), ((b"x-auth-token", b""),)])
def test_everything_below_v2_needs_a_token(path: str, headers: Any) -> None:
    answer = call(path, *headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Keystone uri="https://id"'


def test_headers_of_identity_that_a_client_sends_are_ignored() -> None:
    forged = ((b"x-identity-status", b"Confirmed"), (b"x-roles", b"admin"), (b"x-project-id", b"p"), (b"x-user-id", b"u"))
    assert call("/v2/images", *forged).status == 401


def test_repeated_header_counts_once() -> None:
    identity = OneToken()
    call("/v2/nope", (b"x-auth-token", b"one"), (b"x-auth-token", b"two"), identity=identity)
    assert identity.asked == [("one,two", None)]
    answer = call("/v2/nope", TOKEN, (b"accept", b"application/json"), (b"accept", b"text/html"))
    assert answer.headers["content-type"] == "text/html; charset=UTF-8"


def test_a_service_token_is_handed_on() -> None:
    identity = OneToken()
    call("/v2/nope", TOKEN, (b"x-service-token", b"service"), identity=identity)
    assert identity.asked == [("good", "service")]


def test_unavailable_identity_service_refuses_every_caller() -> None:
    answer = call("/v2/images", (b"x-auth-token", b"away"))
    assert answer.status == 503
    assert "retry-after" in answer.headers


@pytest.mark.parametrize("path", ["/v2/", "/v2/nope", "/v2/images/", "/v2/images//file"])
def test_unknown_paths_are_not_found(path: str) -> None:
    assert call(path, TOKEN).status == 404


def test_the_bare_version_leads_to_its_root() -> None:
    answer = call("/v2", TOKEN)
    assert (answer.status, answer.headers["location"]) == (302, "http://images.example:9292/v2/")


@pytest.mark.parametrize(
    ("accept", "path"), [(b"application/vnd.openstack.images-v2.1", "/schemas/member"), (b"*/*", "/v2.13/schemas/member")]
)
def test_a_minor_version_is_accepted_as_prefix_and_as_media_type(accept: bytes, path: str) -> None:
    assert call(path, TOKEN, (b"accept", accept)).document["name"] == "member"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v2/images", "GET, HEAD, POST"),
        ("FOO", f"/v2/images/{UUID}", "GET, HEAD, PATCH, DELETE"),
        ("POST", f"/v2/images/{UUID}/file", "GET, HEAD, PUT"),
    ],
)
def test_other_methods_are_not_allowed(method: str, path: str, allowed: str) -> None:
    answer = call(path, TOKEN, JSON, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert answer.document["message"] == f"The method {method} is not allowed for this resource."


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"/v2/images/{UUID}"), ("DELETE", f"/v2/images/{UUID}"), ("PUT", f"/v2/images/{UUID}/tags/x")]
)
def test_a_body_that_is_not_wanted_is_refused(method: str, path: str) -> None:
    answer = call(path, TOKEN, JSON, method=method, body=b"{}")
    assert (answer.status, answer.document["message"]) == (400, "A body is not expected with this request.")


@pytest.mark.parametrize("path", ["/v2/images/%ff", "/v2/images/a%00", "/v2/images/%ed%a0%80"])
def test_paths_that_cannot_be_read_are_refused(path: str) -> None:
    assert call(path, TOKEN).status == 400


def test_headers_of_any_length_are_refused() -> None:
    assert call("/v2/images", TOKEN, (b"x-long", b"x" * 70_000)).status == 400


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"req-abc", "req-abc"),
        (b"hello", "req-hello"),
        (b"x" * 65, None),
        (b"a b", None),
        (b"", None),
    ],
)
def test_a_request_keeps_the_id_it_came_with_if_that_is_one(given: bytes, expected: str | None) -> None:
    found = call("/", (b"x-openstack-request-id", given)).headers["x-openstack-request-id"]
    assert found == expected if expected else found.startswith("req-") and len(found) == 40


def test_a_document_has_a_tag_and_is_not_sent_again_to_one_who_has_it() -> None:
    first = call("/v2/schemas/member", TOKEN)
    again = call("/v2/schemas/member", TOKEN, (b"if-none-match", first.headers["etag"].encode()))
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert "content-length" not in again.headers


def test_unforeseen_exception_is_500_without_its_text() -> None:
    answer = call("/v2/images", TOKEN, JSON)  # there is no service behind this application
    assert answer.status == 500
    assert b"NoneType" not in answer.body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Body expected"),
        (b"[]", "'method'"),
        (b"{}", "'method'"),
        (b'{"method": {}}', "'name'"),
        (b'{"method": "x"}', "'name'"),
        (b'{"method": {"name": "glance-direct"}}', "Unknown import method name 'glance-direct'"),
    ],
)
def test_no_import_method_is_known(body: bytes, words: str) -> None:
    answer = call(f"/v2/images/{UUID}/import", TOKEN, JSON, method="POST", body=body)
    assert answer.status == 400
    assert words in answer.document["message"]


def test_staging_is_switched_off() -> None:
    assert call(f"/v2/images/{UUID}/stage", TOKEN, method="PUT", body=b"x").status == 404


@pytest.mark.parametrize("headers", [(), ((b"content-type", b"text/plain"),)])
def test_image_data_of_another_media_type_is_refused(headers: Any) -> None:
    assert call(f"/v2/images/{UUID}/file", TOKEN, *headers, method="PUT", body=b"x").status == 415


@pytest.mark.parametrize("size", [b"x", b"", b"-1", b"1.5", b"9" * 30])
def test_invalid_announced_size_is_refused(size: bytes) -> None:
    headers = ((b"content-type", b"application/octet-stream"), (b"x-openstack-image-size", size))
    assert call(f"/v2/images/{UUID}/file", TOKEN, *headers, method="PUT", body=b"x").status == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"5", b"{}", b'{"member": ""}', b'{"member": 3}', b'{"member": ["x"]}', b'{"member": "' + b"x" * 256 + b'"}'],
)
def test_invalid_member_id_is_refused(body: bytes) -> None:
    assert call(f"/v2/images/{UUID}/members", TOKEN, method="POST", body=body).status == 400


def test_patch_of_another_media_type_is_refused_naming_the_right_one() -> None:
    answer = call(f"/v2/images/{UUID}", TOKEN, (b"content-type", b"application/json-patch+json"), method="PATCH", body=b"[]")
    assert answer.status == 415
    assert "application/openstack-images-v2.1-json-patch" in answer.headers["accept-patch"]


def test_a_document_that_is_too_large_is_refused() -> None:
    assert call("/v2/images", TOKEN, method="POST", body=b"x" * 2000, document_bytes=1000).status == 413


def test_client_that_reads_no_answer_is_disconnected() -> None:
    """A server of which nothing is known but ASGI may wait for a client for ever."""

    async def send(message: Any) -> None:
        del message
        await asyncio.Event().wait()

    async def run() -> None:
        async with asyncio.timeout(20):
            await served("/versions", send, stall_seconds=0.05)

    asyncio.run(run())
