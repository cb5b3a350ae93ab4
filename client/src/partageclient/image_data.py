"""Read the data of an image as a stream that goes on after interruptions.

A download that breaks off is resumed from the last byte that arrived. Where the service does not serve ranges, the data is
requested again and skipped up to there. So the consumer of the stream, such as an upload, does not notice.
"""

import contextlib
import hashlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from keystoneauth1 import exceptions as refusals

from partageclient import connections, errors
from partageclient.connections import Cloud
from partageclient.images import Image

PIECE_BYTES = 1 << 20
READ_AHEAD_PIECES = 8
"""So that downloading and uploading overlap; together with the piece at either end this bounds the memory of a copy."""

TIMEOUT_SECONDS = (30, 300)
"""To connect, and between two packets."""

INTERRUPTIONS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    refusals.ConnectFailure,
    refusals.UnknownConnectionError,
    refusals.DiscoveryFailure,
    refusals.HttpServerError,
    OSError,
)
"""What the connection to the image service, or to the identity service for a new token, can meet and recover from."""

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


@dataclass(frozen=True)
class Patience:
    """How often a request that failed is repeated without any progress in between, and how long to wait."""

    attempts: int = 8
    first_delay_seconds: float = 1.0
    longest_delay_seconds: float = 60.0

    def delay_seconds(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row."""
        return min(self.longest_delay_seconds, self.first_delay_seconds * 2.0 ** (failures - 1))


@dataclass
class _Interruption(Exception):
    """The download can be tried again; `reason` is what happened."""

    reason: str


class ImageData:
    """The data of one image, to be sent as the body of a request: iterable from its first byte, any number of times.

    `len()` is the number of bytes, so that the request has a Content-Length. When the request is repeated, as keystoneauth does
    after it has got a new token, iteration begins again with the first byte. After the last byte `digest` has the digest of what
    was read; it is None if the first bytes were not, because `skip` left them out. `resumed_from` are the positions from which the
    data was requested again.
    """

    def __init__(
        self,
        cloud: Cloud,
        image: Image,
        *,
        patience: Patience | None = None,
        report: Callable[[int], None] = lambda _position: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe the stream without opening it.

        Args:
            cloud: signed in to a project that can download the image.
            image: its document from the Image API.
            patience: how to repeat what fails.
            report: called with the number of bytes read so far, again and again.
            sleep: waits for some seconds.
        """
        self._cloud, self._image_id, self._size = cloud, str(image["id"]), int(image["size"])
        self._url = f"{cloud.image_url}/v2/images/{image['id']}/file"  # now: later the identity service may be away for a while
        self._algorithm = _choose_algorithm(image)
        self._patience, self._report, self._sleep = patience or Patience(), report, sleep
        self._open: Iterator[bytes] | None = None
        self._hash = _Hash(None)
        self.digest: str | None = None
        self.interruptions: list[str] = []
        self.resumed_from: list[int] = []

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self.read_from(0)

    def skip(self, size_bytes: int) -> "RestOfData":
        """Return the data without its first bytes, to be sent as the body of a request."""
        return RestOfData(self, size_bytes)

    def read_from(self, start: int) -> Iterator[bytes]:
        """Read the data from a byte on. What was read before and is read again is not hashed twice."""
        self.close()
        self.digest = None
        if start:
            self._note_resumption(start)
            self._hash = self._hash.copy()  # the thread of the iteration before may still have a piece
        else:
            self._hash = _Hash(hashlib.new(self._algorithm, usedforsecurity=False) if self._algorithm else None)
        self._open = _read_ahead(self._hash_pieces(start, self._hash))
        return self._open

    def close(self) -> None:
        """End a download that is still open."""
        if isinstance(self._open, Generator):
            self._open.close()
        self._open = None

    def _hash_pieces(self, start: int, digest: "_Hash") -> Generator[bytes, None, None]:
        position = start
        with contextlib.closing(self._read_all(start)) as pieces:
            for piece in pieces:
                digest.update(position, piece)
                position += len(piece)
                yield piece
        self.digest = digest.find_value(self._size)

    def _read_all(self, start: int) -> Generator[bytes, None, None]:
        """Yield all pieces from a byte on in order, from as many requests as it takes.

        Raises:
            ClientError: the service refuses, or does not respond for too long.
        """
        position, failures = start, 0
        self._report(position)
        while position < self._size:
            try:
                with contextlib.closing(self._request_from(position)) as pieces:
                    for piece in pieces:
                        position += len(piece)
                        failures = 0
                        self._report(position)
                        yield piece
            except _Interruption as interruption:
                failures += 1
                self.interruptions.append(interruption.reason)
                if failures >= self._patience.attempts:
                    obstacle = f"{interruption.reason}; gave up after {failures} attempts in a row"
                    raise errors.Unreachable(
                        self._say_request(position), obstacle, "Run it again when the service answers"
                    ) from None
                self._sleep(self._patience.delay_seconds(failures))

    def _request_from(self, start: int) -> Generator[bytes, None, None]:
        """Yield the pieces of one request, without those before `start`."""
        try:
            response = self._get(start)
        except INTERRUPTIONS as error:
            raise _Interruption(_describe(error)) from None
        with contextlib.closing(response):
            skip = self._bytes_to_skip(response, start)
            left = self._size - start
            while left > 0:
                try:
                    piece = response.raw.read(PIECE_BYTES, decode_content=False)
                except INTERRUPTIONS as error:
                    raise _Interruption(_describe(error)) from None
                if not piece:
                    raise _Interruption(f"the response ended {left} bytes too early")
                skipped, skip = piece[skip:], max(0, skip - len(piece))
                if skipped:
                    left -= len(skipped)
                    yield skipped[: len(skipped) + min(0, left)]

    def _get(self, start: int) -> requests.Response:
        """Request the data from a byte on.

        Raises:
            ClientError: the service refuses.
            _Interruption: it may not refuse the next time.
        """
        response = self._send(start)
        if start and response.status_code in (400, 416):  # a store without random access, behind Glance
            response.close()
            response = self._send(0)
        status = response.status_code
        if status in (200, 206):
            return response
        with contextlib.closing(response):
            if status in PASSING:
                raise _Interruption(f"the image service answered {status}")
            if status == 204:  # noqa: PLR2004 - Source: Glance answers so when its store has lost the data
                raise errors.NotFound(self._say_request(start), "the image service has lost the data", "Ask its operator")
            raise connections.error_of_status(status, connections.read_document(response), self._say_request(start))

    def _send(self, start: int) -> requests.Response:
        # Not compressed: the sizes and digests of the Image API are those of the data.
        headers = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = self._cloud.connection.session.request
        response: requests.Response = request(
            self._url, "GET", headers=headers, stream=True, timeout=TIMEOUT_SECONDS, raise_exc=False, connect_retries=0
        )
        return response

    def _bytes_to_skip(self, response: requests.Response, start: int) -> int:
        """Say how many bytes of the response have been read before."""
        if response.status_code == 200:  # noqa: PLR2004
            return start
        given = response.headers.get("Content-Range", "")
        if not given.startswith(f"bytes {start}-"):
            raise errors.Unexpected(self._say_request(start), f"it sent other bytes ({given or 'without saying which'})")
        if start:
            self._note_resumption(start)
        return 0

    def _note_resumption(self, start: int) -> None:
        if start not in self.resumed_from[-1:]:
            self.resumed_from.append(start)

    def _say_request(self, position: int) -> str:
        return f"Download image {self._image_id} from byte {position} of {self._size} on"


class RestOfData:
    """The data of an image without its first bytes: iterable any number of times, with a length, as `ImageData` is."""

    def __init__(self, data: ImageData, start: int) -> None:
        self._data, self._start = data, start

    def __len__(self) -> int:
        return len(self._data) - self._start

    def __iter__(self) -> Iterator[bytes]:
        return self._data.read_from(self._start)


class _Hash:
    """The digest of the first bytes of the data. Bytes that were hashed before are left out; after a gap there is no digest."""

    def __init__(self, digest: Any, position: int = 0) -> None:
        self._digest, self._position = digest, position
        self._lock = threading.Lock()

    def update(self, start: int, piece: bytes) -> None:
        """Add a piece that begins at a byte."""
        with self._lock:
            if start > self._position:
                self._digest = None
            if self._digest is not None:
                self._digest.update(memoryview(piece)[self._position - start :])
            self._position = max(self._position, start + len(piece))

    def copy(self) -> "_Hash":
        """Return the same for another iteration."""
        with self._lock:
            return _Hash(self._digest and self._digest.copy(), self._position)

    def find_value(self, size: int) -> str | None:
        """Return the digest in hexadecimal digits; None if it is not that of all bytes."""
        return str(self._digest.hexdigest()) if self._digest is not None and self._position == size else None


def _choose_algorithm(image: Image) -> str | None:
    """Choose the digest to compute: the image's own, or else MD5, which the Image API calls checksum."""
    algorithm = image.get("os_hash_algo")
    if image.get("os_hash_value") and algorithm in hashlib.algorithms_available:
        return str(algorithm)
    return "md5" if image.get("checksum") else None


def find_digest(image: Image) -> tuple[str, str] | None:
    """Return the algorithm and value that `ImageData.digest` has to equal, or None if the service knows no digest."""
    algorithm = _choose_algorithm(image)
    if algorithm is None:
        return None
    is_own = algorithm == image.get("os_hash_algo") and image.get("os_hash_value")
    return algorithm, str(image["os_hash_value"] if is_own else image["checksum"])


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read_ahead(pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Yield pieces that a thread reads some of ahead. A failure of the thread is raised here."""
    found: queue.Queue[bytes | BaseException | None] = queue.Queue(READ_AHEAD_PIECES)
    is_over = threading.Event()

    def put(item: bytes | BaseException | None) -> bool:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                found.put(item, timeout=0.2)
                return True
        return False

    def read() -> None:
        try:
            with contextlib.closing(pieces):
                for piece in pieces:
                    if not put(piece):
                        return
            put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised in the consumer's thread
            put(error)

    reader = threading.Thread(target=read, name="partageclient-download", daemon=True)
    reader.start()
    try:
        while (item := found.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_over.set()
        reader.join(timeout=5)
