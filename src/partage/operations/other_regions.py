"""Import images from other regions of the same cloud, with the user's token, from the endpoint in the catalog, and verify them.

The token is encrypted while it waits in the task, is decrypted only while the import runs, and is sent only to Keystone and to
that image service. The description from the other service is validated like a client's: see `model/remote_image.py`.
"""

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import orjson

from partage import problems
from partage.content import digest
from partage.model.document import KnownFormats
from partage.model.ids import TaskID
from partage.model.import_request import ImportRequest
from partage.model.remote_image import COPIED, RemoteImage, parse_remote_image
from partage.operations import remote_chunks
from partage.operations.remote_chunks import Here, Peer
from partage.outbound import fetch
from partage.outbound.cancelling import Cancellation
from partage.outbound.rules import Rules

DOCUMENT_BYTES = 1 << 20
_DIGESTS = frozenset(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake"))
"""Those of a fixed length. Glance lets its operators choose any of them."""

_ANSWERS = {
    401: "does not accept the token any more; ask for the import again",
    403: "does not let you have the image; you need the role member there, in a project that the image is shared with",
    404: "has no such image that you may see; check the region, the image's id and your project",
}


class Catalog(Protocol):
    """The image services of the cloud. Thread-safe."""

    def find_image_endpoint(self, token: str, region: str, interface: str) -> str:
        """Return the URL of a region's image service, without the version at its end.

        Raises:
            RegionUnknown, Unauthenticated, IdentityUnavailable: it cannot be found.
        """


class TokenSeal(Protocol):
    """Encrypts tokens for tasks. Thread-safe."""

    def seal(self, token: str, *, task_id: TaskID) -> str:
        """Encrypt a token, so that only `unseal` for the same task can decrypt it."""

    def unseal(self, sealed: str, *, task_id: TaskID) -> str:
        """Decrypt the token.

        Raises:
            Unauthenticated: it cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRegions:
    """What an import from another region needs. Properties with a prefix in `copied` are copied as well.

    `delay_seconds`: how long requests for chunks wait before they are repeated for the first time, see `remote_chunks.Peer`.
    """

    catalog: Catalog
    seal: TokenSeal
    rules: Rules
    copied: tuple[str, ...] = COPIED
    delay_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A requested image and the user's token. `cancellation` ends the request from another thread.

    `here` says which chunks need not be fetched; None: the image is downloaded whole.
    """

    request: ImportRequest
    token: str = field(repr=False)
    cancellation: Cancellation | None = None
    here: Here | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An image of another region: its description, and its bytes.

    They match the description if the iterator ends without a problem.
    """

    image: RemoteImage
    blocks: Iterator[bytes]


@contextmanager
def open_remote(regions: OtherRegions, asked: Asked, *, known: KnownFormats, limit_bytes: int) -> Iterator[Opened]:
    """Open an image of another region as the user of the token.

    Raises:
        RegionUnknown, Unauthenticated, IdentityUnavailable: there is no way to it.
        RemoteImageRefused, ImageTooLarge: it is not given, or cannot be taken; now or while the blocks are read.
        DigestMismatch: when the blocks are read.
    """
    request, cancellation = asked.request, asked.cancellation or Cancellation()
    endpoint = cancellation.wait_for(lambda: regions.catalog.find_image_endpoint(asked.token, request.region, request.interface))
    url = f"{endpoint}/v2/images/{quote(request.remote_image_id, safe='')}"
    headers = {"X-Auth-Token": asked.token}
    with _refusing(request.region):
        image = parse_remote_image(_document(url, regions.rules, headers, cancellation), copied=regions.copied, known=known)
        _require_known_digest(image)
        if image.size_bytes > limit_bytes:
            raise problems.ImageTooLarge(f"The image in the other region is too large: at most {limit_bytes} bytes are taken")
        blocks = _open_chunks(endpoint, regions, asked, image, headers)
        if blocks is not None:
            with closing(blocks):
                yield Opened(image, _check_digest(image, blocks))
            return
        file = f"{url}/file"
        with fetch.open_url(file, regions.rules, limit_bytes=limit_bytes, headers=headers, cancellation=cancellation) as answer:
            yield Opened(image, _check_digest(image, answer.blocks))


def _open_chunks(
    endpoint: str, regions: OtherRegions, asked: Asked, image: RemoteImage, headers: Mapping[str, str]
) -> Generator[bytes, None, None] | None:
    """Open the image by its chunks; None if the other service has no manifest of it, or no digest of the whole to compare."""
    if asked.here is None or image.digest is None or not image.size_bytes:
        return None
    peer = Peer(
        url=f"{endpoint}/partage/v1/images/{quote(asked.request.remote_image_id, safe='')}",
        rules=regions.rules,
        headers=headers,
        cancellation=asked.cancellation or Cancellation(),
        until=time.monotonic() + regions.rules.total_seconds,
        delay_seconds=regions.delay_seconds,
    )
    return remote_chunks.open_blocks(peer, image.size_bytes, asked.here)


@contextmanager
def _refusing(region: str) -> Iterator[None]:
    """Report the response of the other region's service. The operator configured it, so that nothing is hidden."""
    subject = f"The image service of the region {region[:100]!r}"
    try:
        yield
    except problems.FetchFailed as problem:
        answer = _ANSWERS.get(problem.status or 0, "did not give the image or all of it; try again, or ask the operator")
        raise problems.RemoteImageRefused(f"{subject} {answer}", detail=problem.detail) from problem
    except problems.UriRefused as problem:
        words = f"{subject} cannot be reached by its address in the catalog; ask the operator"
        raise problems.RemoteImageRefused(words, detail=problem.sentence()) from problem


def _document(url: str, rules: Rules, headers: Mapping[str, str], cancellation: Cancellation) -> object:
    try:
        with fetch.open_url(url, rules, limit_bytes=DOCUMENT_BYTES, headers=headers, cancellation=cancellation) as answer:
            return orjson.loads(b"".join(answer.blocks))
    except (problems.ImageTooLarge, orjson.JSONDecodeError) as error:
        raise problems.RemoteImageRefused("The other region's description of the image cannot be read; ask the operator") from error


def _require_known_digest(image: RemoteImage) -> None:
    if image.digest is not None and image.digest[0] not in _DIGESTS:
        raise problems.RemoteImageRefused(
            f"The image in the other region has a digest of the kind {image.digest[0][:50]!r}, which is not known here"
        )


def _check_digest(image: RemoteImage, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield bytes; raise at the end if they do not match the digest in the image's description."""
    counted = _check_size(blocks, image.size_bytes)
    return counted if image.digest is None else digest.verify_stream(counted, *image.digest)


def _check_size(blocks: Iterator[bytes], expected_bytes: int) -> Iterator[bytes]:
    count = 0
    for block in blocks:
        count += len(block)
        if count > expected_bytes:
            break
        yield block
    if count != expected_bytes:
        raise problems.RemoteImageRefused(
            f"The image in the other region should have {expected_bytes} bytes and has another number; ask for the import again"
        )
