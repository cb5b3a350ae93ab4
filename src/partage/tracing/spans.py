"""Makes spans of what is measured, and sends them to a receiver of OpenTelemetry's protocol (OTLP over HTTP).

The only module that knows opentelemetry. A span of a request or an import begins with its trace; a part of it, such as a
transaction, is reported when it has ended, as every measurement is. No span has a path, a query, a token or a body.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextvars import Token
from urllib.parse import urlsplit

from opentelemetry import trace as tracing
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult, SpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from partage.measures import (
    DATABASE_FAILURES,
    IMPORTS,
    STORE_CALL_SECONDS,
    STORE_FAILURES,
    TRANSACTION_SECONDS,
    VALIDATION_SECONDS,
    Activity,
    Counter,
    Durations,
    Fact,
    Level,
    Meter,
)

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_SERVER_ERROR = 500
_PARTS = {
    TRANSACTION_SECONDS.name: "database {kind}",
    STORE_CALL_SECONDS.name: "store {call}",
    VALIDATION_SECONDS.name: "keystone validation",
}
"""What is a span of its own: the name of the measure, and that of the span."""
_FAILURES = {DATABASE_FAILURES.name: TRANSACTION_SECONDS.name, STORE_FAILURES.name: STORE_CALL_SECONDS.name}
"""A counter of failures, and what failed: its time is reported next, by the same thread."""
_KINDS = {Activity.REQUEST: SpanKind.SERVER, Activity.IMPORT: SpanKind.CONSUMER, Activity.MAINTENANCE: SpanKind.INTERNAL}
_BAD_OUTCOMES = {"failure", "interrupted"}
_ATTRIBUTES = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "bytes_in": "http.request.body.size",
    "bytes_out": "http.response.body.size",
    "address": "client.address",
}
"""Facts that have a name of OpenTelemetry's. Source: its semantic conventions 1.27 for HTTP."""


def start(*, endpoint: str, service_name: str, version: str, worker: str, sample_ratio: float, behind: Meter) -> "Tracer":
    """Start to send the spans of this process to `endpoint`, an URL, from a thread; `behind` gets all measurements, too."""
    parts = urlsplit(endpoint)
    # The log has neither a password nor a key in the query.
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    exporter = _LoggedExporter(OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_SECONDS), shown)
    for library in ("opentelemetry.exporter", "opentelemetry.sdk"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # they repeat each failure; see _LoggedExporter
    resource = Resource.create({"service.name": service_name, "service.version": version, "service.instance.id": worker})
    return Tracer(_Queue(exporter), resource, sample_ratio=sample_ratio, behind=behind)


class Tracer:
    """A `Meter` that makes spans of what it passes on to the one behind it."""

    def __init__(self, processor: SpanProcessor, resource: Resource, *, sample_ratio: float, behind: Meter) -> None:
        """Give ended spans to `processor`. A trace that the caller has begun is kept as the caller says."""
        self._behind = behind
        self._provider = TracerProvider(sampler=ParentBasedTraceIdRatio(sample_ratio), resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("partage")
        self._failed = threading.local()

    def add(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """See `Meter`."""
        self._behind.add(counter, *labels, by=by)
        if counter.name in _FAILURES:
            self._failed.measure = _FAILURES[counter.name]
        elif counter is IMPORTS:
            span = tracing.get_current_span()
            span.set_attributes({f"partage.{name}": label for name, label in zip(counter.labels, labels, strict=True)})
            if "failed" in labels:
                span.set_status(StatusCode.ERROR)

    def change(self, level: Level, *labels: str, by: float) -> None:
        """See `Meter`."""
        self._behind.change(level, *labels, by=by)

    def time(self, durations: Durations, seconds: float, *labels: str) -> None:
        """See `Meter`."""
        self._behind.time(durations, seconds, *labels)
        name = _PARTS.get(durations.name)
        if name is None:
            return
        is_failed = getattr(self._failed, "measure", None) == durations.name or "failed" in labels
        self._failed.measure = None
        if not tracing.get_current_span().is_recording():
            return  # a periodic job, a maintenance run, or a trace that nobody keeps
        ended_ns = time.time_ns()
        facts = dict(zip(durations.labels, labels, strict=True))
        span = self._tracer.start_span(
            name.format_map(facts),
            kind=SpanKind.CLIENT,
            attributes={f"partage.{key}": value for key, value in facts.items()},
            start_time=ended_ns - int(seconds * 1e9),
        )
        if is_failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended_ns)

    def trace(self, activity: Activity, traceparent: str = "") -> "_Trace":
        """See `Meter`. Source: W3C, "Trace Context"; a `traceparent` that is malformed begins a new trace."""
        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
        span = self._tracer.start_span(activity.value, context=context, kind=_KINDS[activity])
        has_parts = activity is not Activity.MAINTENANCE
        return _Trace(span, attach(tracing.set_span_in_context(span, context) if has_parts else context))

    def close(self) -> None:
        """See `Meter`. Takes as long as the receiver does, a few seconds at most."""
        self._provider.shutdown()
        self._behind.close()


class _Trace:
    """A trace that has begun. See `measures.Trace`."""

    is_kept = True

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    def end(self, **facts: Fact) -> None:
        """See `measures.Trace`."""
        span = self._span
        span.set_attributes({_ATTRIBUTES.get(name, f"partage.{name}"): value for name, value in facts.items()})
        if "route" in facts:
            span.update_name(f"{facts['method']} {facts['route']}")
        status = facts.get("status")
        if (isinstance(status, int) and status >= _SERVER_ERROR) or facts.get("outcome") in _BAD_OUTCOMES:
            span.set_status(StatusCode.ERROR)
        span.end()
        detach(self._token)


class _Queue(BatchSpanProcessor):  # type: ignore[misc]
    """Spans that wait to be sent. A stop does not wait for each batch of them until a receiver that is away refuses it."""

    def __init__(self, exporter: "_LoggedExporter") -> None:
        super().__init__(exporter)
        self._of = exporter

    def shutdown(self) -> None:
        """Send what waits, up to the first failure."""
        self._of.gives_up = True
        super().shutdown()


class _LoggedExporter(SpanExporter):  # type: ignore[misc]
    """Logs when spans cannot be sent, and when they can again: once each, because the receiver may be away for days.

    `gives_up`: after a failure nothing more is sent.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._fails = False
        self.gives_up = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that cannot be sent are lost."""
        if self.gives_up and self._fails:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            _LOG.warning(
                "Traces cannot be sent to %s, and are lost until it accepts them; start the receiver, or correct tracing.endpoint",
                self._endpoint,
            )
        elif self._fails and not fails:
            _LOG.warning("Traces are sent to %s again", self._endpoint)
        self._fails = fails
        return result

    def shutdown(self) -> None:
        """Stop a running attempt."""
        self._exporter.shutdown()
