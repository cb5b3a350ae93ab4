"""What is recorded of a request when it has ended: a line of the log, measurements, its trace. No token, query or body is."""

import logging
import time
from dataclasses import dataclass, field
from enum import StrEnum

from partage.measures import BROKEN_OFF, RECEIVED_BYTES, REQUEST_SECONDS, REQUESTS, SENT_BYTES, Fact, Meter, Trace
from partage.model.caller import Caller

_LOG = logging.getLogger("partage.requests")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "-"
"""Stands for the route of a request that matches none, so that no client chooses what is counted."""


class Ending(StrEnum):
    """How a request ended. `BROKEN_OFF`: the service could not send the rest of the image data."""

    WHOLE = "whole"
    CLIENT_GONE = "client gone"
    BROKEN_OFF = "broken off"
    STOPPED = "stopped"


@dataclass(slots=True)
class Exchange:
    """One request and its response, as far as they have come. Belongs to the event loop's thread.

    `route` is the template of the path, never the path itself. `sent_bytes` are bytes of the response's body that the kernel has
    accepted, or that wait in the server's buffer.
    """

    began_at: float = field(default_factory=time.perf_counter)
    route: str = NO_ROUTE
    caller: Caller | None = None
    status: int = 0
    sent_bytes: int = 0
    ending: Ending = Ending.WHOLE

    def end(self, ending: Ending) -> None:
        """Record how the request ended, unless that is known: what happened first is the reason."""
        if self.ending is Ending.WHOLE:
            self.ending = ending

    @property
    def seconds(self) -> float:
        """How long it has taken, from the end of the request's head."""
        return time.perf_counter() - self.began_at


def measure(exchange: Exchange, meter: Meter, *, method: str, received_bytes: int) -> None:
    """Measure a request that has ended."""
    method = method if method in _METHODS else NO_ROUTE
    meter.add(REQUESTS, method, exchange.route, str(exchange.status))
    meter.time(REQUEST_SECONDS, exchange.seconds, method, exchange.route)
    if received_bytes:
        meter.add(RECEIVED_BYTES, exchange.route, by=received_bytes)
    if exchange.sent_bytes:
        meter.add(SENT_BYTES, exchange.route, by=exchange.sent_bytes)
    if exchange.ending is not Ending.WHOLE:
        meter.add(BROKEN_OFF, exchange.route, exchange.ending.value)


def record(
    exchange: Exchange, trace: Trace, *, method: str, received_bytes: int, request_id: str, global_id: str, address: str
) -> None:
    """Log a request that has ended, and end its trace."""
    is_logged = _LOG.isEnabledFor(logging.INFO)
    if not (is_logged or trace.is_kept):
        return
    fields: dict[str, Fact] = {
        "method": method,
        "route": exchange.route,
        "status": exchange.status,
        "milliseconds": round(exchange.seconds * 1000, 1),
        "bytes_in": received_bytes,
        "bytes_out": exchange.sent_bytes,
        "request_id": request_id,
    }
    if global_id:
        fields["global_request_id"] = global_id
    caller = exchange.caller
    if caller is not None and not caller.is_anonymous:
        fields["project"] = caller.project_id or NO_ROUTE
        fields["user"] = caller.user_id
    fields["address"] = address
    if exchange.ending is not Ending.WHOLE:
        fields["ended"] = exchange.ending.value
    if is_logged:
        _LOG.info("request", extra=fields)
    trace.end(**fields)


def record_refused(meter: Meter, status: int, reason: str, *, address: str) -> None:
    """Log and measure a request that the server refused before its head was complete, so that it has no method, route or id."""
    meter.add(REQUESTS, NO_ROUTE, NO_ROUTE, str(status))
    fields = {"method": NO_ROUTE, "route": NO_ROUTE, "status": status, "address": address, "refused": reason}
    _LOG.info("request", extra=fields)
