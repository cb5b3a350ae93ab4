"""What an operator may set about the edge."""

from collections.abc import Callable
from dataclasses import dataclass, field

from partage.model.document import KnownFormats
from partage.model.import_request import ImportMethod

STALL_SECONDS = 300.0
"""How long a client may neither send nor take a byte, unless the operator says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """The edge's settings.

    `public_endpoint` is how clients reach the service when the Host header does not say it (behind a proxy).
    `stall_seconds`: a peer that neither sends nor takes a byte for so long is given up.
    `has_cache`: the service has a cache, and the versions of the API that brought it are listed.
    `reading_threads` answer what only reads documents, `listing_threads` lists of them.
    `validation_threads` ask the identity service about tokens that nothing is known of, and as many more about tokens that were
    valid before; at most `validations_waiting` of the former wait.
    `uploads_at_once` bounds the uploads that are under way in one process; more are refused. `upload_threads` are taken by those of
    them whose bytes have come. Over each `window_seconds` of waiting for it, a body of image data brings at least
    `slowest_bytes_per_second`.
    `data_thread_begins` is called first in every thread that moves image data.
    """

    www_authenticate_uri: str
    public_endpoint: str | None = None
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
