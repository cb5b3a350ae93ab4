"""A sample of what `make fuzz` sends: each request is answered in time and none by a 5xx, and the service serves as before.

A failing run prints its seed; PARTAGE_FUZZ_SEED=<seed> repeats it.
"""

from http.server import BaseHTTPRequestHandler

import orjson
import pytest

from partage.http.options import EdgeOptions
from partage.http.v2 import openapi
from partage.http.v2.surface import OPENAPI_PATH
from tests.api.personas import Cast, Persona
from tests.fuzz.attack import Tally, by_chance, fire, seed_of_this_run
from tests.fuzz.chance import Shot
from tests.fuzz.explore import explore
from tests.fuzz.service import answering, still_serves


def attacked(cast: Cast, count: int) -> Tally:
    tally = by_chance(cast, count, seed=seed_of_this_run())
    print(tally.summary())
    assert tally.failures == []
    assert still_serves(cast.owner, cast.outsider) == []
    return tally


def test_1000_random_requests_are_answered_below_500(cast: Cast) -> None:
    tally = attacked(cast, 1000)
    assert {200, 201, 204, 400, 401, 403, 404, 405, 409} <= set(tally.statuses)
    assert tally.statuses["none"] < tally.count / 8


@pytest.mark.usefixtures("world_on_postgresql")
def test_300_random_requests_on_postgresql_are_answered_below_500(cast_on_postgresql: Cast) -> None:
    attacked(cast_on_postgresql, 300)


def test_answers_match_the_openapi_document(cast: Cast) -> None:
    found = explore(cast.admin, seed=seed_of_this_run(), examples=1, phases="fuzzing,stateful")
    assert found.is_good, found.words
    assert found.count > 60


class Broken(BaseHTTPRequestHandler):
    """A service that serves its OpenAPI document and nothing else: it fails, is silent, hangs up, or answers nonsense."""

    def do_GET(self) -> None:
        if self.path == OPENAPI_PATH:
            self.say(200, orjson.dumps(openapi.build_document(EdgeOptions(www_authenticate_uri="").formats)))
        elif self.path == "/silent":
            self.rfile.read(1)
        elif self.path == "/nonsense":
            self.wfile.write(b"nonsense\r\n\r\n")
        elif self.path != "/gone":
            self.say(500, b"{}")
        self.close_connection = True

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that is overridden
        del format, arguments


@pytest.mark.parametrize(
    ("path", "fault"),
    [("/", "answered 500"), ("/silent", "no answer within"), ("/gone", "closed without"), ("/nonsense", "not HTTP")],
)
def test_fuzzer_detects_a_failing_service(path: str, fault: str) -> None:
    with answering(Broken) as endpoint:
        _, found = fire(endpoint, Shot("GET", f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
    assert found is not None
    assert fault in found


def test_fuzzer_detects_answers_outside_the_openapi_document() -> None:
    with answering(Broken) as endpoint:
        found = explore(
            Persona("nobody", endpoint, token="x"),
            seed=1,
            examples=1,
            phases="fuzzing",
            include_path="/v2/images",
            max_failures="1",
        )
    assert not found.is_good
    assert "Server error" in found.words
