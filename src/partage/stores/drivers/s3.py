"""Objects in a bucket of any server with the S3 API, by botocore (docs/decisions/0073).

A put is one PUT request, so an object appears whole or not at all, and no draft is left. The server compares each body with its
MD5 (Content-MD5) before it answers. Reads are verified above, by the digests of chunks.
Credentials come from where botocore looks: the environment, a file, or the role of the machine. They are in no setting.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import botocore.session
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from partage import problems
from partage.content.digest import Buffer
from partage.stores import layout, store
from partage.stores.drivers import responses
from partage.stores.drivers.attempts import Attempts, IdentityCheck, Limits, TemporaryError, parse_retry_after
from partage.stores.drivers.per_process import PerProcess
from partage.stores.identity import LONGEST_BYTES, Identity

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects are, and who asks for them.

    `endpoint` empty: Amazon's of the region. `prefix` empty: the whole bucket. `addressing` is path, virtual or auto: whether the
    bucket is in the path or in the host name. `credentials_file` and `profile`: empty for what botocore finds by itself.
    `access_key` and `secret_key` are those of the configuration of a Glance, and have precedence.
    """

    bucket: str
    endpoint: str = ""
    region: str = "us-east-1"
    prefix: str = ""
    addressing: str = "auto"
    credentials_file: Path | None = None
    profile: str = ""
    ca_file: Path | None = None
    access_key: str = ""
    secret_key: str = field(default="", repr=False)


class S3Store:
    """Keep objects in a bucket, which must exist. Threads and forked processes may share it."""

    def __init__(
        self,
        place: Place,
        limits: Limits | None = None,
        *,
        identity: Identity | None = None,
        settle_seconds: float = responses.SETTLE_SECONDS,
    ) -> None:
        limits = limits or Limits()
        self._bucket = place.bucket
        self._root = f"{place.prefix}/" if place.prefix else ""
        self._clients = PerProcess(lambda: _connect(place, limits))
        self._attempts = Attempts(limits)
        self._read_seconds = limits.read_seconds
        self._settle_seconds = settle_seconds
        self._identity = IdentityCheck(identity, self._read_identity)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See `store.Store.put`."""
        arguments = self._name(key)
        self._identity.require()
        body = b"".join(parts)
        arguments |= {"Body": body, "ContentMD5": _compute_md5(body)}
        self._request(f"store {key}", lambda client: client.put_object(**arguments))

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See `store.Store.put_if_absent`. Takes seconds, and is for an object that is created once."""
        arguments = self._name(key)
        self._identity.require()
        if self.stat(key) is not None:
            return False
        body, mark = b"".join(parts), secrets.token_hex(16)
        arguments |= {"Body": body, "ContentMD5": _compute_md5(body), "IfNoneMatch": "*", "Metadata": {_MARK: mark}}
        return responses.create_once(
            lambda: self._request(f"store {key}", lambda client: _create(client, arguments)),
            lambda: self._has_mark(key, mark),
            self._settle_seconds,
        )

    def get(self, key: str, start: int, length: int) -> bytes:
        """See `store.Store.get`."""
        layout.check_key(key)
        self._identity.require()
        if not length:
            if self.stat(key) is None:
                raise responses.absent(key)
            return b""
        return self._request(f"read {key}", lambda client: self._get(client, key, start, length))

    def stat(self, key: str) -> store.Stat | None:
        """See `store.Store.stat`."""
        arguments = self._name(key)
        found = self._request(f"look at {key}", lambda client: self._head(client, arguments))
        return None if found is None else store.Stat(found["ContentLength"], found["LastModified"])

    def remove(self, key: str) -> None:
        """See `store.Store.remove`."""
        arguments = self._name(key)
        self._identity.require()
        self._request(f"remove {key}", lambda client: client.delete_object(**arguments))

    def enumerate(self, prefix: str) -> Iterator[str]:
        """See `store.Store.enumerate`. One page of 1,000 keys is in memory at a time."""
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._root + prefix, "MaxKeys": _PAGE_KEYS}
        while True:
            page = self._request("list the store", lambda client: client.list_objects_v2(**arguments))
            for each in page.get("Contents", ()):
                yield each["Key"].removeprefix(self._root)
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def list_drafts(self) -> Iterator[store.Draft]:
        """See `store.Store.list_drafts`. There are none."""
        return iter(())

    def remove_draft(self, draft: store.Draft) -> None:
        """See `store.Store.remove_draft`. There are none."""

    def _name(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._root + layout.check_key(key)}

    def _request(self, action: str, act: Callable[[Any], Result]) -> Result:
        return self._attempts.run(action, lambda: self._attempt(action, act))

    def _attempt(self, action: str, act: Callable[[Any], Result]) -> Result:
        client = self._clients.find()
        try:
            return act(client)
        except exceptions.ClientError as error:
            refusal = _Refusal(error)
            if refusal.is_of_credentials and self._clients.renew(client):
                raise TemporaryError(refusal.code, 0) from error
            raise refusal.to_problem(action) from error
        except (exceptions.SSLError, *_CREDENTIALS) as error:
            raise problems.StoreUnavailable(f"The store could not {action}: {_explain(error)}") from error
        except (exceptions.BotoCoreError, ResponseParserError, OSError) as error:
            raise TemporaryError(_explain(error)) from error

    def _get(self, client: Any, key: str, start: int, length: int) -> bytes:
        stop = start + length
        try:
            found = client.get_object(**self._name(key), Range=f"bytes={start}-{stop - 1}")
        except exceptions.ClientError as error:
            if _Refusal(error).code == "NoSuchKey":
                raise responses.absent(key) from error
            if _Refusal(error).status == _RANGE_REFUSED:
                raise responses.too_short(key, stop) from error
            raise
        with found["Body"] as body:
            responses.check_range(found.get("ContentRange", ""), key, start, stop)
            pieces = iter(lambda: body.read(responses.PIECE_BYTES), b"")
            return responses.read_body(pieces, length, self._read_seconds)

    def _head(self, client: Any, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Return what HEAD shows of an object, or None. Its response has no body, so that of the bucket tells which is absent."""
        try:
            found: dict[str, Any] = client.head_object(**arguments)
        except exceptions.ClientError as error:
            if _Refusal(error).status != _ABSENT:
                raise
            client.list_objects_v2(Bucket=self._bucket, MaxKeys=1, Prefix=arguments["Key"])
            return None
        return found

    def _has_mark(self, key: str, mark: str) -> bool:
        arguments = self._name(key)
        found = self._request(f"look at {key}", lambda client: self._head(client, arguments))
        return found is not None and found.get("Metadata", {}).get(_MARK) == mark

    def _read_identity(self) -> bytes | None:
        arguments = self._name(layout.IDENTITY)
        found = self._request("read its identity", lambda client: self._head(client, arguments))
        if found is None:
            return None
        length = min(found["ContentLength"], LONGEST_BYTES)
        return self._request("read its identity", lambda client: self._get(client, layout.IDENTITY, 0, length))


def _connect(place: Place, limits: Limits) -> Any:
    """Return botocore's client; sends nothing yet. Reads the files with credentials.

    Raises:
        StoreUnavailable: the settings name a profile that is not in the file, or something else that botocore refuses.
    """
    # A profile that is named has precedence over the environment, so a file does too.
    session = botocore.session.Session(profile=place.profile or ("default" if place.credentials_file else None))
    if place.credentials_file is not None:
        session.set_config_variable("credentials_file", str(place.credentials_file))
    if place.access_key:
        session.set_credentials(place.access_key, place.secret_key)
    config = Config(
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        max_pool_connections=limits.parallel,
        tcp_keepalive=True,
        retries={"total_max_attempts": 1},  # attempts.py repeats, in one way for all drivers
        s3={"addressing_style": place.addressing},
        # Older servers refuse the newer checksums, and every server knows Content-MD5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return session.create_client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint or None,
            verify=str(place.ca_file) if place.ca_file else None,
            config=config,
        )
    except (exceptions.BotoCoreError, ValueError) as error:
        raise problems.StoreUnavailable(f"The client of the store cannot be made: {_explain(error)}") from error


class _Refusal:
    """An error response of the server. Its message and its body may name accounts, so only its code and status are used."""

    def __init__(self, error: exceptions.ClientError) -> None:
        metadata = error.response.get("ResponseMetadata", {})
        self.code = str(error.response.get("Error", {}).get("Code", ""))
        self.status = int(metadata.get("HTTPStatusCode", 0))
        self._retry_after = parse_retry_after(metadata.get("HTTPHeaders", {}).get("retry-after"))

    @property
    def is_of_credentials(self) -> bool:
        """Whether other credentials might help."""
        return self.status in _DENIED_STATUSES and self.code != _SKEWED

    def to_problem(self, action: str) -> Exception:
        """Return what to raise."""
        if self.status in _FULL_STATUSES or self.code in _FULL_CODES:
            return problems.StoreFull(f"The store has no room to {action} ({self.code}); free space or try another store")
        if self.code in _TEMPORARY_CODES or self.status in _TEMPORARY_STATUSES:
            return TemporaryError(self._reason, self._retry_after)
        remedy = _REMEDIES.get(self.code, _REMEDIES[""] if self.status in _DENIED_STATUSES else "try again later")
        return problems.StoreUnavailable(f"The store could not {action} ({self._reason}); {remedy}")

    @property
    def _reason(self) -> str:
        """The code, which a response without a body does not have, and the status."""
        return f"status {self.status}" if self.code in {"", str(self.status)} else f"{self.code}, status {self.status}"


def _create(client: Any, arguments: dict[str, Any]) -> bool:
    """Put an object that may not exist; False if it does."""
    try:
        client.put_object(**arguments)
    except exceptions.ClientError as error:
        if _Refusal(error).status == _PRECONDITION_FAILED:
            return False
        raise
    return True


def _compute_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _explain(error: Exception) -> str:
    """Say what happened without the text of the library, which has URLs and names of files."""
    for kind, sentence in _EXPLANATIONS:
        if isinstance(error, kind):
            return sentence
    return type(error).__name__


_MARK = "partage-mark"
_PAGE_KEYS = 1000

_ABSENT = 404
_PRECONDITION_FAILED = 412
_RANGE_REFUSED = 416
_DENIED_STATUSES = frozenset({401, 403})
_FULL_STATUSES = frozenset({413, 507})
_FULL_CODES = frozenset({"EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
_TEMPORARY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_TEMPORARY_CODES = frozenset({"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown", "XAmzContentSHA256Mismatch"})
_SKEWED = "RequestTimeTooSkewed"
_REMEDIES = {
    "": "the operator has to check the store's credentials and their permissions",
    "NoSuchBucket": "the operator has to create the store's bucket",
    "PermanentRedirect": "the operator has to set the store's region to that of the bucket",
    "AuthorizationHeaderMalformed": "the operator has to set the store's region to that of the bucket",
    _SKEWED: "the operator has to set the clock of this host, which differs from the store's",
}
_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.ConfigParseError,
)
_EXPLANATIONS: Sequence[tuple[type[Exception], str]] = (
    (exceptions.NoCredentialsError, "there are no credentials; the operator has to provide them in the environment or in a file"),
    (exceptions.PartialCredentialsError, "the credentials are incomplete; the operator has to complete them"),
    (exceptions.ProfileNotFound, "the profile is not in the file of credentials; the operator has to add it"),
    (exceptions.ConfigParseError, "the file of credentials cannot be parsed; the operator has to correct it"),
    (exceptions.SSLError, "the server's certificate is not trusted; the operator has to set the store's cafile"),
    (exceptions.ConnectTimeoutError, "the server cannot be reached in time"),
    (exceptions.EndpointConnectionError, "the server cannot be reached"),
    (exceptions.ReadTimeoutError, "the server does not respond in time"),
    (exceptions.ConnectionClosedError, "the server closed the connection"),
    (exceptions.IncompleteReadError, "the server sent too few bytes"),
    (exceptions.ResponseStreamingError, "the connection broke while the server sent"),
    (ResponseParserError, "the server sent no S3 response"),
)
