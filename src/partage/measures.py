"""What a process measures, and the protocol by which every package reports it.

Only definitions: no package but `metrics` knows how measurements are kept or shown. A label has few values, and no client chooses
one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of a histogram's buckets, in seconds."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: its name for Prometheus, its meaning, and the names of its labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counter(Measure):
    """A number that only grows. It goes on when a worker is replaced, and starts from zero when the program starts."""


@dataclass(frozen=True, slots=True)
class Level(Measure):
    """A number that grows and shrinks, of all living processes together."""


@dataclass(frozen=True, slots=True)
class Durations(Measure):
    """How long something took, in seconds: a histogram."""

    bounds: tuple[float, ...] = QUICK


REQUESTS = Counter(
    "http_requests", "Requests that have ended, also those that were refused before they had a route", ("method", "route", "status")
)
REQUEST_SECONDS = Durations("http_request_seconds", "Time from a request's head to the end of its response", ("method", "route"))
RECEIVED_BYTES = Counter("http_received_bytes", "Bytes of request bodies that were received", ("route",))
SENT_BYTES = Counter("http_sent_bytes", "Bytes of response bodies that were sent", ("route",))
BROKEN_OFF = Counter("http_broken_off", "Requests that did not end as a whole", ("route", "ended"))
TRANSFERS = Level("http_transfers", "Uploads and downloads of image data that are under way", ("direction",))
POOL_THREADS = Level("pool_threads", "Threads that a pool may have", ("pool",))
POOL_BUSY = Level("pool_busy", "Threads of a pool that work", ("pool",))
POOL_WAITING = Level("pool_waiting", "Calls that wait for a thread of a pool", ("pool",))
TRANSACTION_SECONDS = Durations(
    "database_transaction_seconds", "Time of a transaction, including the wait for a connection", ("kind",)
)
DATABASE_FAILURES = Counter("database_failures", "Transactions that failed because of the database", ("kind",))
STORE_CALL_SECONDS = Durations("store_call_seconds", "Time of one call of a store", ("store", "call"))
STORE_FAILURES = Counter("store_failures", "Calls of a store that failed", ("store", "call"))
STORE_BYTES = Counter("store_bytes", "Bytes that were put into a store or read from it", ("store", "direction"))
VALIDATION_SECONDS = Durations("keystone_validation_seconds", "Time of a token's validation by Keystone", ("result",))
TOKEN_LOOKUPS = Counter("token_cache_lookups", "Look-ups of a token in the cache of validations", ("result",))
CHUNK_LOOKUPS = Counter("chunk_lookups", "Chunks of arriving image data: known ones are stored already", ("store", "result"))
CACHE_READS = Counter("cache_reads", "Reads of image data through the cache, by whether the copy had all of it", ("result",))
CACHE_DAMAGE = Counter("cache_damage", "Parts of copies in the cache (1 MiB) that the scrub found damaged")
IMPORTS = Counter("imports", "Import tasks that have ended", ("type", "result"))
DELIVERIES = Counter("webhook_deliveries", "Attempts to send an event to a webhook", ("result",))
JOB_RUNS = Counter("job_runs", "Runs of a periodic job", ("name", "result"))
DEPENDENCY_FAILURES = Counter(
    "dependency_failures", "Failures of dependencies, also those that the log does not repeat", ("problem",)
)
DEPENDENCIES_MISSING = Level("dependencies_missing", "Processes that miss a dependency", ("name",))

ALL: tuple[Measure, ...] = (
    REQUESTS, REQUEST_SECONDS, RECEIVED_BYTES, SENT_BYTES, BROKEN_OFF, TRANSFERS, POOL_THREADS, POOL_BUSY, POOL_WAITING,
    TRANSACTION_SECONDS, DATABASE_FAILURES, STORE_CALL_SECONDS, STORE_FAILURES, STORE_BYTES, VALIDATION_SECONDS, TOKEN_LOOKUPS,
    CHUNK_LOOKUPS, CACHE_READS, CACHE_DAMAGE, IMPORTS, DELIVERIES, JOB_RUNS, DEPENDENCY_FAILURES, DEPENDENCIES_MISSING,
)  # fmt: skip


Fact = str | int | float
"""A value that a trace has under a name."""


class Activity(StrEnum):
    """What has a trace of its own. That of a maintenance run has no parts: a sweep makes millions of calls."""

    REQUEST = "request"
    IMPORT = "import"
    MAINTENANCE = "maintenance"


class Trace(Protocol):
    """The trace of one activity, which has begun."""

    @property
    def is_kept(self) -> bool:
        """Whether anybody reads the facts."""

    def end(self, **facts: Fact) -> None:
        """End the trace, in the thread or task in which it began; `facts` describe what it was."""


class Meter(Protocol):
    """Takes measurements. Thread-safe; never waits for input or output, and never fails."""

    def add(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """Add to a counter."""

    def change(self, level: Level, *labels: str, by: float) -> None:
        """Raise or lower a level."""

    def time(self, durations: Durations, seconds: float, *labels: str) -> None:
        """Record how long something took, which has just ended."""

    def trace(self, activity: Activity, traceparent: str = "") -> Trace:
        """Begin a trace: what is timed in this context, and in its copies in other threads, belongs to it until it ends.

        `traceparent` is the header by which a caller names its own trace; "" begins one.
        """

    def close(self) -> None:
        """Take no more measurements, and send those that wait, for a few seconds at most."""


class Untraced:
    """A trace that nobody keeps."""

    is_kept = False

    def end(self, **facts: Fact) -> None:
        """See `Trace`."""


UNTRACED = Untraced()


class Unmetered:
    """Takes no measurements: metrics are off."""

    def add(self, counter: Counter, *labels: str, by: float = 1) -> None:
        """See `Meter`."""

    def change(self, level: Level, *labels: str, by: float) -> None:
        """See `Meter`."""

    def time(self, durations: Durations, seconds: float, *labels: str) -> None:
        """See `Meter`."""

    def trace(self, activity: Activity, traceparent: str = "") -> Trace:  # noqa: ARG002 - the protocol's
        """See `Meter`."""
        return UNTRACED

    def close(self) -> None:
        """See `Meter`."""
