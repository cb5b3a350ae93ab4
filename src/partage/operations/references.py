"""Image data that stays on the web: every download reads it from there, through the one fetcher and its rules.

The data of an image with digests is compared with them: a complete download is correct to the last byte, or breaks off before
it. A range cannot be verified, so that ranges are never read from the web if a store has the data. An image without a digest
has whatever its server sends, as in Glance; only its size is compared with the record.
"""

import hashlib
import logging
from collections.abc import Iterator

from partage import problems
from partage.model.image import Image
from partage.operations.service import Service
from partage.outbound import fetch
from partage.outbound.cancelling import Cancellation
from partage.outbound.fetch import Part

_LOG = logging.getLogger(__name__)
_USELESS = (problems.FetchFailed, problems.UriRefused, problems.ImageTooLarge)


def read(service: Service, image: Image, start: int, stop: int, *, cancellation: Cancellation | None = None) -> Iterator[bytes]:
    """Yield the bytes of [start, stop), at least one, from the first place that gives them.

    Where one fails on the way, the next goes on at the same byte only if the whole is held against a digest: bytes of two places
    might make an image that nobody ever made.

    Raises:
        StoreUnavailable: none of the places gives them at the moment.
        ContentCorrupt: all bytes are there but for the last block, and do not have the image's digests.
    """
    part = Part(start, stop, image.size or 0)
    if part.is_whole and _digests(image):
        return _verify_digest(image, _from_any(service, image, part, cancellation, goes_on=True))
    return _from_any(service, image, part, cancellation, goes_on=False)


def _from_any(service: Service, image: Image, wanted: Part, cancellation: Cancellation | None, *, goes_on: bool) -> Iterator[bytes]:
    start = wanted.start
    for place in image.references:
        if not service.stores.is_http(place.store) or not (goes_on or start == wanted.start):
            continue
        try:
            rest = Part(start, wanted.stop, wanted.of_bytes)
            with fetch.open_part(place.url, service.integrations.fetch, rest, cancellation=cancellation) as blocks:
                for block in blocks:
                    yield block
                    start += len(block)
        except _USELESS as problem:
            reason = problem.detail if isinstance(problem, problems.FetchFailed) else problem.sentence()
            _LOG.warning("image %s, at byte %d of a location: %s", image.id, start, reason)
        else:
            return
    raise problems.StoreUnavailable(
        "The image's data is on the web, and none of its locations gives it at the moment; try again, or ask its owner"
    )


def _verify_digest(image: Image, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass blocks on, the last one only when all of them have the image's digests."""
    expected = _digests(image)
    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in expected}
    held = b""
    for block in blocks:
        if held:
            yield held
        for hasher in hashers.values():
            hasher.update(block)
        held = block
    for name, hasher in hashers.items():
        if hasher.hexdigest() != expected[name]:
            raise problems.ContentCorrupt(
                f"The locations of image {image.id} give other bytes than those with its {name}; ask its owner"
            )
    yield held


def _digests(image: Image) -> dict[str, str]:
    """Return the known digests of the data by algorithm."""
    known = {image.os_hash_algo: image.os_hash_value, "md5": image.checksum}
    return {algorithm: value for algorithm, value in known.items() if algorithm is not None and value is not None}
