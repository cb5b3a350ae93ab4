"""Traces of a running service, as a receiver of OpenTelemetry's protocol gets them."""

import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from partage import problems
from partage.main.composition import compose
from partage.main.configuration import config
from partage.measures import UNTRACED, Activity, Unmetered
from tests.main.serving import serving
from tests.standalone import RunningKeystone

CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"
DATA = b"partage" * 100_000


@contextmanager
def receive() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Run a receiver; yield its URL and what it gets."""
    found: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the library's name

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", found
        server.shutdown()


def spans_in(found: list[ExportTraceServiceRequest]) -> list[Span]:
    return [span for each in found for resource in each.resource_spans for scope in resource.scope_spans for span in scope.spans]


def send(url: str, token: str, method: str, body: bytes, content_type: str) -> bytes:
    headers = {
        "X-Auth-Token": token,
        "Content-Type": content_type,
        "traceparent": f"00-{CALLERS_TRACE}-b7ad6b7169203331-01",
    }
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
        found: bytes = answer.read()
        return found


def test_upload_is_a_trace_of_the_caller_with_its_parts(keystone: RunningKeystone, tmp_path: Path) -> None:
    token = keystone.token("user-a", "project-a")
    with receive() as (endpoint, found):
        environment = {"PARTAGE_TRACING__ENDPOINT": endpoint, "PARTAGE_TRACING__SERVICE_NAME": "images"}
        with serving(keystone, tmp_path, "--workers", "1", **environment) as live:
            new = b'{"name": "golden", "disk_format": "raw", "container_format": "bare"}'
            created = send(f"{live.url}/v2/images", token, "POST", new, "application/json")
            image = re.findall(rb'"id":\s*"([^"]+)"', created)[0].decode()
            send(f"{live.url}/v2/images/{image}/file", token, "PUT", DATA, "application/octet-stream")
            live.process.terminate()
            assert live.process.wait(60) == 0
            assert "Traces" not in live.log
    spans = spans_in(found)
    by_id = {each.span_id: each for each in spans}
    mine = [each for each in spans if each.trace_id.hex() == CALLERS_TRACE]
    parts = {(by_id[each.parent_span_id].name, each.name) for each in mine if each.parent_span_id in by_id}
    assert {each.name for each in mine if each.parent_span_id not in by_id} == {
        "POST /v2/images",
        "PUT /v2/images/{image_id}/file",
    }
    assert ("POST /v2/images", "keystone validation") in parts
    assert ("POST /v2/images", "database write") in parts
    assert ("PUT /v2/images/{image_id}/file", "store put") in parts
    resource = found[0].resource_spans[0].resource.attributes
    assert ("service.name", "images") in [(each.key, each.value.string_value) for each in resource]
    assert token.encode() not in b"".join(each.SerializeToString() for each in found)
    assert image.encode() not in b"".join(each.SerializeToString() for each in found)


def test_nothing_is_traced_by_default(tmp_path: Path) -> None:
    with compose.open_service(config.load({"data": tmp_path}), traced=True) as service:
        assert isinstance(service.process.meter, Unmetered)
        assert service.process.meter.trace(Activity.REQUEST, "00-1") is UNTRACED


def test_missing_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "partage.tracing.spans", None)
    settings = config.load({"data": tmp_path, "tracing": {"endpoint": "http://127.0.0.1:4318/v1/traces"}})
    with pytest.raises(problems.Unavailable, match=r"tracing.endpoint needs opentelemetry; install partage\[tracing\]"):
        compose.build_service(settings)
