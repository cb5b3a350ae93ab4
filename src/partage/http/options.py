"""Settings of the HTTP edge."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from partage.model.document import KnownFormats
from partage.model.import_request import ImportMethod
from partage.operations.readiness import Readiness

STALL_SECONDS = 300.0
"""The default timeout of a client that neither sends nor reads a byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """The edge's settings.

    `public_endpoint` is the URL of the service for clients when the Host header does not show it (behind a proxy).
    `trusted_proxies`: networks of proxies whose `X-Forwarded-For` names the client.
    `stall_seconds`: timeout of a client that neither sends nor reads a byte.
    `has_cache`: the service has a cache, and lists the API versions that include it.
    `reading_threads` read documents, `listing_threads` list them.
    `validation_threads` validate unknown tokens, and as many more validate tokens that were valid before; at most
    `validations_waiting` unknown tokens wait.
    `uploads_at_once` limits the running uploads of one process; more are refused. `upload_threads` store received bytes. In each
    `window_seconds` of waiting the client must send at least `slowest_bytes_per_second` of image data.
    `readiness` is what `/readiness` reports. While the file `disabled_by` exists, `/healthcheck` responds with 503.
    `data_thread_begins` is called first in every thread that transfers image data.
    """

    www_authenticate_uri: str
    public_endpoint: str | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    formats: KnownFormats = field(default_factory=KnownFormats)
    import_methods: tuple[ImportMethod, ...] = ()
    allow_anonymous: bool = False
    show_direct_url: bool = False
    has_cache: bool = False
    document_bytes: int = 1 << 20
    stall_seconds: float = STALL_SECONDS
    uploads_at_once: int = 128
    slowest_bytes_per_second: int = 256
    window_seconds: float = 300.0
    reading_threads: int = 2
    listing_threads: int = 2
    metadata_threads: int = 8
    upload_threads: int = 32
    download_threads: int = 8
    remote_threads: int = 32
    validation_threads: int = 5
    validations_waiting: int = 64
    data_thread_begins: Callable[[], None] | None = None
    readiness: Readiness = field(default_factory=Readiness)
    disabled_by: Path | None = None
