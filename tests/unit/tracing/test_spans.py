"""Spans of what is measured: what belongs to which trace, what a span says, and what makes it an error."""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from partage.main.process import listening
from partage.measures import (
    DATABASE_FAILURES,
    IMPORTS,
    POOL_BUSY,
    REQUEST_SECONDS,
    STORE_CALL_SECONDS,
    STORE_FAILURES,
    TRANSACTION_SECONDS,
    VALIDATION_SECONDS,
    Activity,
    Unmetered,
)
from partage.metrics import exposition
from partage.metrics.sheets import Sheets
from partage.tracing import spans
from partage.tracing.spans import Tracer

CALLERS_TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"
REQUEST = {"method": "GET", "route": "/v2/images/{image_id}", "request_id": "req-1", "bytes_in": 0}


class Traced:
    """A tracer, and the spans that it has made."""

    def __init__(self, sample_ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        self.sheets = Sheets()
        sheet = self.sheets.claim("this")
        assert sheet is not None
        processor = SimpleSpanProcessor(self._exporter)
        self.tracer = Tracer(processor, Resource({"service.name": "partage"}), sample_ratio=sample_ratio, behind=sheet)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def serve(self, act: Callable[[], None] = lambda: None, *, traceparent: str = "", **facts: Any) -> ReadableSpan:
        """Measure a request during which `act` runs, and return its span."""
        trace = self.tracer.trace(Activity.REQUEST, traceparent)
        act()
        trace.end(**{**REQUEST, "status": 200, **facts})
        return self.spans[-1]


def test_request_is_a_span_with_its_route_status_and_id() -> None:
    span = Traced().serve()
    assert span.name == "GET /v2/images/{image_id}"
    assert span.kind.name == "SERVER"
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/v2/images/{image_id}",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "partage.request_id": "req-1",
    }
    assert span.parent is None
    assert span.status.status_code.name == "UNSET"


@pytest.mark.parametrize(("status", "expected"), [(404, "UNSET"), (500, "ERROR"), (503, "ERROR")])
def test_failure_of_the_service_is_an_error(status: int, expected: str) -> None:
    assert Traced().serve(status=status).status.status_code.name == expected


@pytest.mark.parametrize(
    ("durations", "labels", "name"),
    [
        (TRANSACTION_SECONDS, ("write",), "database write"),
        (STORE_CALL_SECONDS, ("fast", "put"), "store put"),
        (VALIDATION_SECONDS, ("valid",), "keystone validation"),
    ],
)
def test_part_of_a_request_is_a_span_below_it(durations: Any, labels: tuple[str, ...], name: str) -> None:
    traced = Traced()
    request = traced.serve(lambda: traced.tracer.time(durations, 0.25, *labels))
    part = traced.spans[0]
    assert part.name == name
    assert part.context.trace_id == request.context.trace_id
    assert part.parent is not None
    assert part.parent.span_id == request.context.span_id
    assert dict(part.attributes or {}) == {f"partage.{key}": value for key, value in zip(durations.labels, labels, strict=True)}
    assert (part.end_time or 0) - (part.start_time or 0) == 250_000_000


def test_part_in_another_thread_belongs_to_the_request_in_its_context() -> None:
    traced = Traced()

    def run_elsewhere() -> None:
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(traced.tracer.time, TRANSACTION_SECONDS, 0.1, "read"))
        thread.start()
        thread.join()

    request = traced.serve(run_elsewhere)
    assert [each.context.trace_id for each in traced.spans] == [request.context.trace_id] * 2


def test_what_no_trace_asks_for_is_no_span() -> None:
    traced = Traced()
    traced.tracer.time(TRANSACTION_SECONDS, 0.1, "read")
    traced.serve(lambda: traced.tracer.time(REQUEST_SECONDS, 0.1, "GET", "/v2/images"))
    traced.tracer.time(TRANSACTION_SECONDS, 0.1, "read")
    assert len(traced.spans) == 1


@pytest.mark.parametrize(
    ("counter", "durations", "labels"),
    [(DATABASE_FAILURES, TRANSACTION_SECONDS, ("write",)), (STORE_FAILURES, STORE_CALL_SECONDS, ("fast", "get"))],
)
def test_failed_part_is_an_error_and_the_next_one_is_not(counter: Any, durations: Any, labels: tuple[str, ...]) -> None:
    traced = Traced()

    def fail_then_succeed() -> None:
        traced.tracer.add(counter, *labels)
        traced.tracer.time(durations, 0.1, *labels)
        traced.tracer.time(durations, 0.1, *labels)

    traced.serve(fail_then_succeed)
    assert [each.status.status_code.name for each in traced.spans] == ["ERROR", "UNSET", "UNSET"]


@pytest.mark.parametrize(("result", "expected"), [("succeeded", "UNSET"), ("failed", "ERROR")])
def test_import_is_a_span_with_its_result(result: str, expected: str) -> None:
    traced = Traced()
    trace = traced.tracer.trace(Activity.IMPORT)
    traced.tracer.add(IMPORTS, "import", result)
    trace.end(task="1", request_id="req-1")
    (span,) = traced.spans
    assert (span.name, span.kind.name, span.status.status_code.name) == ("import", "CONSUMER", expected)
    assert dict(span.attributes or {}) == {
        "partage.type": "import",
        "partage.result": result,
        "partage.task": "1",
        "partage.request_id": "req-1",
    }


def test_trace_of_the_caller_is_continued() -> None:
    span = Traced().serve(traceparent=f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-01")
    assert f"{span.context.trace_id:032x}" == CALLERS_TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == CALLERS_SPAN


@pytest.mark.parametrize("malformed", ["", "00-1-2-01", f"00-{'0' * 32}-{CALLERS_SPAN}-01", "ÿ" * 55])
def test_malformed_trace_of_the_caller_begins_a_new_one(malformed: str) -> None:
    assert Traced().serve(traceparent=malformed).parent is None


@pytest.mark.parametrize(("flags", "kept"), [("01", 1), ("00", 0)])
def test_caller_decides_whether_its_trace_is_kept(flags: str, kept: int) -> None:
    traced = Traced(sample_ratio=1.0 - kept)
    trace = traced.tracer.trace(Activity.REQUEST, f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-{flags}")
    trace.end(**REQUEST, status=200)
    assert len(traced.spans) == kept


def test_trace_that_is_not_sampled_has_no_spans() -> None:
    traced = Traced(sample_ratio=0.0)
    trace = traced.tracer.trace(Activity.REQUEST)
    traced.tracer.time(TRANSACTION_SECONDS, 0.1, "read")
    trace.end(**REQUEST, status=200)
    assert traced.spans == ()


def test_measurements_are_passed_on() -> None:
    traced = Traced()
    traced.tracer.add(STORE_FAILURES, "fast", "get", by=2)
    traced.tracer.change(POOL_BUSY, "reading", by=3)
    traced.tracer.time(TRANSACTION_SECONDS, 0.1, "read")
    sheets = Sheets()
    reference = sheets.claim("this")
    assert reference is not None
    reference.add(STORE_FAILURES, "fast", "get", by=2)
    reference.change(POOL_BUSY, "reading", by=3)
    reference.time(TRANSACTION_SECONDS, 0.1, "read")
    pages = [exposition.write_page(each, tuple, is_alive=lambda _worker: True) for each in (traced.sheets, sheets)]
    assert b'partage_pool_busy{pool="reading"} 3.0' in pages[0]
    assert pages[0] == pages[1]


@pytest.mark.thorough
def test_receiver_that_is_away_is_one_warning_and_delays_no_stop(caplog: pytest.LogCaptureFixture) -> None:
    receiver = f"127.0.0.1:{listening.find_free_port()}/v1/traces"
    tracer = spans.start(
        endpoint=f"http://user:secret@{receiver}",
        service_name="partage",
        version="1",
        worker="this",
        sample_ratio=1.0,
        behind=Unmetered(),
    )
    for _ in range(1500):  # three batches
        tracer.trace(Activity.REQUEST).end(**REQUEST, status=200)
    began_at = time.monotonic()
    tracer.close()
    assert time.monotonic() - began_at < 10
    (line,) = caplog.messages
    assert line.startswith(f"Traces cannot be sent to http://{receiver}, "), "without the password"


def test_maintenance_run_is_a_span_without_parts() -> None:
    traced = Traced()
    trace = traced.tracer.trace(Activity.MAINTENANCE)
    traced.tracer.time(TRANSACTION_SECONDS, 0.001, "write")
    trace.end(job="sweep", outcome="success", chunks=3)
    [span] = traced.spans
    assert (span.name, span.kind.name, span.status.status_code.name) == ("maintenance", "INTERNAL", "UNSET")
    assert span.attributes == {"partage.job": "sweep", "partage.outcome": "success", "partage.chunks": 3}


def test_maintenance_run_that_failed_is_an_error() -> None:
    traced = Traced()
    traced.tracer.trace(Activity.MAINTENANCE).end(job="sweep", outcome="failure")
    [span] = traced.spans
    assert span.status.status_code.name == "ERROR"
